// SPDX-License-Identifier: Apache-2.0

// Changed-blocks does what a backup program does, with the client library of external-snapshot-metadata
// as it is, in a pod of a cluster and as that pod's account:
//
//	changed-blocks list SNAPSHOT [BASE]
//	changed-blocks verify SOURCE TARGET SNAPSHOT [BASE]
//
// SNAPSHOT and BASE are VolumeSnapshots of the pod's namespace. list prints the places that have data,
// or that differ from BASE. verify copies these places from the device SOURCE, which is made of SNAPSHOT,
// to the device TARGET, which is blank or made of BASE, and fails unless the two are equal then.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/kubernetes-csi/external-snapshot-metadata/pkg/iterator"
	"k8s.io/client-go/rest"
)

const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// devices opens what verify is given.
func devices(source, target string) (iterator.IteratorEmitter, error) {
	from, err := os.Open(source)
	if err != nil {
		return nil, err
	}
	to, err := os.OpenFile(target, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return &iterator.VerifierEmitter{SourceDevice: from, TargetDevice: to}, nil
}

func run(words []string) error {
	var (
		args iterator.Args
		err  error
	)
	switch {
	case len(words) >= 2 && words[0] == "list":
		args.Emitter = &iterator.TableEmitter{Writer: os.Stdout}
		words = words[1:]
	case len(words) >= 4 && words[0] == "verify":
		if args.Emitter, err = devices(words[1], words[2]); err != nil {
			return err
		}
		words = words[3:]
	}
	if args.Emitter == nil || len(words) > 2 {
		return fmt.Errorf("list SNAPSHOT [BASE], or verify SOURCE TARGET SNAPSHOT [BASE]")
	}
	args.SnapshotName = words[0]
	if len(words) == 2 {
		args.PrevSnapshotName = words[1]
	}
	namespace, err := os.ReadFile(namespaceFile)
	if err != nil {
		return err
	}
	args.Namespace = string(namespace)
	config, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	if args.Clients, err = iterator.BuildClients(config); err != nil {
		return err
	}
	return iterator.GetSnapshotMetadata(context.Background(), args)
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "changed-blocks:", err)
		os.Exit(1)
	}
	fmt.Println("done")
}
