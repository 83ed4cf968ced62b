// SPDX-License-Identifier: Apache-2.0

// Validate does with manifests what an API server of this module's Kubernetes does before it stores
// them: decodes, sets defaults, validates. It goes beyond what a schema says: names and labels, ports,
// mount propagation and privileges, selectors. Kinds of others (custom resources) are passed over.
//
//	validate FILE...	prints a line for each thing that is wrong
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/apps"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	appsvalidation "k8s.io/kubernetes/pkg/apis/apps/validation"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	corevalidation "k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/apis/networking"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	networkingvalidation "k8s.io/kubernetes/pkg/apis/networking/validation"
	"k8s.io/kubernetes/pkg/apis/policy"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	policyvalidation "k8s.io/kubernetes/pkg/apis/policy/validation"
	"k8s.io/kubernetes/pkg/apis/rbac"
	_ "k8s.io/kubernetes/pkg/apis/rbac/install"
	rbacvalidation "k8s.io/kubernetes/pkg/apis/rbac/validation"
	"k8s.io/kubernetes/pkg/apis/storage"
	_ "k8s.io/kubernetes/pkg/apis/storage/install"
	storagevalidation "k8s.io/kubernetes/pkg/apis/storage/validation"
	"k8s.io/kubernetes/pkg/capabilities"
)

func validate(object runtime.Object) field.ErrorList {
	switch o := object.(type) {
	case *apps.Deployment:
		return appsvalidation.ValidateDeployment(o, corevalidation.PodValidationOptions{})
	case *apps.DaemonSet:
		return appsvalidation.ValidateDaemonSet(o, corevalidation.PodValidationOptions{})
	case *core.Namespace:
		return corevalidation.ValidateNamespace(o)
	case *core.Pod:
		return corevalidation.ValidatePodCreate(o, corevalidation.PodValidationOptions{})
	case *core.PersistentVolume:
		return corevalidation.ValidatePersistentVolume(o, corevalidation.PersistentVolumeSpecValidationOptions{})
	case *core.PersistentVolumeClaim:
		return corevalidation.ValidatePersistentVolumeClaim(o, corevalidation.PersistentVolumeClaimSpecValidationOptions{})
	case *core.Secret:
		return corevalidation.ValidateSecret(o)
	case *core.Service:
		// The server allocates these before it validates.
		if o.Spec.ClusterIP == "" {
			o.Spec.ClusterIP = "192.0.2.1"
		}
		o.Spec.ClusterIPs = []string{o.Spec.ClusterIP}
		return corevalidation.ValidateServiceCreate(o)
	case *core.ServiceAccount:
		return corevalidation.ValidateServiceAccount(o)
	case *networking.NetworkPolicy:
		return networkingvalidation.ValidateNetworkPolicy(o, networkingvalidation.NetworkPolicyValidationOptions{})
	case *policy.PodDisruptionBudget:
		return policyvalidation.ValidatePodDisruptionBudget(o, policyvalidation.PodDisruptionBudgetValidationOptions{})
	case *rbac.ClusterRole:
		return rbacvalidation.ValidateClusterRole(o, rbacvalidation.ClusterRoleValidationOptions{})
	case *rbac.ClusterRoleBinding:
		return rbacvalidation.ValidateClusterRoleBinding(o)
	case *rbac.Role:
		return rbacvalidation.ValidateRole(o)
	case *rbac.RoleBinding:
		return rbacvalidation.ValidateRoleBinding(o)
	case *storage.CSIDriver:
		return storagevalidation.ValidateCSIDriver(o)
	case *storage.StorageClass:
		return storagevalidation.ValidateStorageClass(o)
	case *storage.VolumeAttributesClass:
		return storagevalidation.ValidateVolumeAttributesClass(o)
	}
	return field.ErrorList{field.InternalError(nil, fmt.Errorf("no validation for %T", object))}
}

// clusterWide kinds have no namespace; the others get one, as from a client.
func clusterWide(object runtime.Object) bool {
	switch object.(type) {
	case *core.Namespace, *core.PersistentVolume, *rbac.ClusterRole, *rbac.ClusterRoleBinding,
		*storage.CSIDriver, *storage.StorageClass, *storage.VolumeAttributesClass:
		return true
	}
	return false
}

func one(file string, raw []byte) {
	object, kind, err := legacyscheme.Codecs.UniversalDecoder().Decode(raw, nil, nil)
	if runtime.IsNotRegisteredError(err) {
		return
	}
	if err != nil {
		fmt.Printf("%s: %v\n", file, err)
		return
	}
	accessor, err := meta.Accessor(object)
	if err != nil {
		fmt.Printf("%s: %v\n", file, err)
		return
	}
	if !clusterWide(object) && accessor.GetNamespace() == "" {
		accessor.SetNamespace("default")
	}
	for _, wrong := range validate(object) {
		fmt.Printf("%s: %s %s: %v\n", file, kind.Kind, accessor.GetName(), wrong)
	}
}

func all(file string) error {
	stream, err := os.Open(file)
	if err != nil {
		return err
	}
	defer stream.Close()
	decoder := yaml.NewYAMLOrJSONDecoder(stream, 4096)
	for {
		var raw runtime.RawExtension
		if err := decoder.Decode(&raw); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if text := bytes.TrimSpace(raw.Raw); len(text) > 0 && !bytes.Equal(text, []byte("null")) {
			one(file, text)
		}
	}
}

func main() {
	capabilities.Setup(true, 0) // privileged pods, as the namespace allows them
	for _, file := range os.Args[1:] {
		if err := all(file); err != nil {
			fmt.Println(err)
		}
	}
}
