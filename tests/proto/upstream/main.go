// SPDX-License-Identifier: Apache-2.0

// Compares our compiled CSI contract with the descriptor that upstream's Go package carries, fact
// by fact and in both directions. Then breaks ours in memory, one way at a time, and demands that
// the comparison notices: a silent comparison proves nothing.
//
// Usage: proto SET, where SET is what protoc --include_imports --descriptor_set_out wrote.
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
)

const contract = "csi.proto"

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

func contractOf(set *descriptorpb.FileDescriptorSet) (protoreflect.FileDescriptor, error) {
	files, err := protodesc.NewFiles(set)
	if err != nil {
		return nil, err
	}
	return files.FindFileByPath(contract)
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
func proveItCanFail(set *descriptorpb.FileDescriptorSet, theirs facts) error {
	for _, mutation := range mutations {
		broken := proto.Clone(set).(*descriptorpb.FileDescriptorSet)
		if err := mutation.apply(contractFile(broken)); err != nil {
			return fmt.Errorf("mutation %q: %w", mutation.name, err)
		}
		file, err := contractOf(broken)
		if err != nil {
			return fmt.Errorf("mutation %q: %w", mutation.name, err)
		}
		if len(differences(factsOf(file), theirs)) == 0 {
			return fmt.Errorf("mutation %q went unnoticed", mutation.name)
		}
	}
	return nil
}

func run(path string) error {
	set, err := loadSet(path)
	if err != nil {
		return err
	}
	file, err := contractOf(set)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	theirs := factsOf(csi.File_csi_proto)
	found := differences(factsOf(file), theirs)
	for _, difference := range found {
		fmt.Println(difference)
	}
	if len(found) > 0 || len(theirs) == 0 {
		return fmt.Errorf("%d differences in %d facts", len(found), len(theirs))
	}
	if err := proveItCanFail(set, theirs); err != nil {
		return err
	}
	fmt.Printf("upstream: %d facts compared, 0 differences; all %d mutations noticed\n", len(theirs), len(mutations))
	return nil
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: proto SET (a descriptor set with csi.proto and its imports)")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "upstream:", err)
		os.Exit(1)
	}
}
