// SPDX-License-Identifier: Apache-2.0

// Compares our compiled contracts with the descriptors that upstream's Go packages carry, fact by
// fact and in both directions. Then breaks ours in memory, one way at a time, and demands that the
// comparison notices: a silent comparison proves nothing.
//
// Usage: proto CSI REGISTRATION, each what protoc --include_imports --descriptor_set_out wrote.
package main

import (
	"fmt"
	"os"
	"slices"

	csi "github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

// contract is one of ours, and what it must be equal to.
type contract struct {
	name      string
	file      string
	theirs    protoreflect.FileDescriptor
	mutations []mutation
}

var contracts = []contract{
	{"csi", "csi.proto", csi.File_csi_proto, csiMutations},
	{"registration", "registration.proto",
		registration.File_staging_src_k8s_io_kubelet_pkg_apis_pluginregistration_v1_api_proto,
		registrationMutations},
}

// loadSet keeps options as raw bytes: upstream's extensions are registered in this process and
// would otherwise lend their meaning to ours.
func loadSet(path string) (*descriptorpb.FileDescriptorSet, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	set := new(descriptorpb.FileDescriptorSet)
	if err := (proto.UnmarshalOptions{Resolver: new(protoregistry.Types)}).Unmarshal(data, set); err != nil {
		return nil, fmt.Errorf("%s: not a FileDescriptorSet: %w", path, err)
	}
	return set, nil
}

func (c contract) of(set *descriptorpb.FileDescriptorSet) (protoreflect.FileDescriptor, error) {
	files, err := protodesc.NewFiles(set)
	if err != nil {
		return nil, err
	}
	return files.FindFileByPath(c.file)
}

// differences says where two tables of facts disagree, sorted.
func differences(ours, theirs facts) []string {
	var out []string
	for key, value := range theirs {
		got, ok := ours[key]
		if !ok {
			out = append(out, fmt.Sprintf("missing here: %s = %q", key, value))
		} else if got != value {
			out = append(out, fmt.Sprintf("differs: %s = %q, upstream %q", key, got, value))
		}
	}
	for key, value := range ours {
		if _, ok := theirs[key]; !ok {
			out = append(out, fmt.Sprintf("unknown upstream: %s = %q", key, value))
		}
	}
	slices.Sort(out)
	return out
}

// proveItCanFail applies every mutation to a copy of its own. A mutation that makes the set
// invalid would prove nothing about the comparison, so that is an error as well.
func (c contract) proveItCanFail(set *descriptorpb.FileDescriptorSet, theirs facts) error {
	for _, mutation := range c.mutations {
		broken := proto.Clone(set).(*descriptorpb.FileDescriptorSet)
		if err := mutation.apply(fileOf(broken, c.file)); err != nil {
			return fmt.Errorf("mutation %q: %w", mutation.name, err)
		}
		file, err := c.of(broken)
		if err != nil {
			return fmt.Errorf("mutation %q: %w", mutation.name, err)
		}
		if len(differences(factsOf(file), theirs)) == 0 {
			return fmt.Errorf("mutation %q went unnoticed", mutation.name)
		}
	}
	return nil
}

func (c contract) run(path string) error {
	set, err := loadSet(path)
	if err != nil {
		return err
	}
	file, err := c.of(set)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	theirs := factsOf(c.theirs)
	found := differences(factsOf(file), theirs)
	for _, difference := range found {
		fmt.Println(difference)
	}
	if len(found) > 0 || len(theirs) == 0 {
		return fmt.Errorf("%d differences in %d facts", len(found), len(theirs))
	}
	if err := c.proveItCanFail(set, theirs); err != nil {
		return err
	}
	fmt.Printf("upstream: %s: %d facts compared, 0 differences; all %d mutations noticed\n", c.name, len(theirs), len(c.mutations))
	return nil
}

func main() {
	if len(os.Args) != 1+len(contracts) {
		fmt.Fprintln(os.Stderr, "usage: proto CSI REGISTRATION (descriptor sets, with imports)")
		os.Exit(2)
	}
	for i, contract := range contracts {
		if err := contract.run(os.Args[1+i]); err != nil {
			fmt.Fprintf(os.Stderr, "upstream: %s: %v\n", contract.name, err)
			os.Exit(1)
		}
	}
}
