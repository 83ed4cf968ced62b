// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// A mutation is a mistake that a transcription can make.
type mutation struct {
	name  string
	apply func(file *descriptorpb.FileDescriptorProto) error
}

var registrationMutations = []mutation{
	{"package renamed", func(file *descriptorpb.FileDescriptorProto) error {
		file.Package = proto.String("pluginregistration.v1")
		for _, method := range file.Service[0].Method {
			method.InputType = proto.String(strings.Replace(method.GetInputType(), ".pluginregistration.", ".pluginregistration.v1.", 1))
			method.OutputType = proto.String(strings.Replace(method.GetOutputType(), ".pluginregistration.", ".pluginregistration.v1.", 1))
		}
		return nil
	}},
	{"method renamed", func(file *descriptorpb.FileDescriptorProto) error {
		file.Service[0].Method[0].Name = proto.String("GetPluginInfo")
		return nil
	}},
	{"versions not repeated", onField("PluginInfo", "supported_versions", func(field *descriptorpb.FieldDescriptorProto) {
		field.Label = descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()
	})},
	{"endpoint renumbered", onField("PluginInfo", "endpoint", func(field *descriptorpb.FieldDescriptorProto) {
		field.Number = proto.Int32(5)
	})},
	{"result has another type", onField("RegistrationStatus", "plugin_registered", func(field *descriptorpb.FieldDescriptorProto) {
		field.Type = descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum()
	})},
	{"reason left out", onMessage("RegistrationStatus", func(message *descriptorpb.DescriptorProto) {
		message.Field = message.Field[:1]
	})},
}

// csiMutations has one of each kind.
var csiMutations = []mutation{
	{"service left out", func(file *descriptorpb.FileDescriptorProto) error {
		file.Service = file.Service[1:]
		return nil
	}},
	{"method added", func(file *descriptorpb.FileDescriptorProto) error {
		method := proto.Clone(file.Service[0].Method[0]).(*descriptorpb.MethodDescriptorProto)
		method.Name = proto.String("NotInTheContract")
		file.Service[0].Method = append(file.Service[0].Method, method)
		return nil
	}},
	{"method streams", func(file *descriptorpb.FileDescriptorProto) error {
		file.Service[0].Method[0].ServerStreaming = proto.Bool(true)
		return nil
	}},
	{"method takes another request", func(file *descriptorpb.FileDescriptorProto) error {
		file.Service[0].Method[0].InputType = file.Service[0].Method[1].InputType
		return nil
	}},
	{"message added", func(file *descriptorpb.FileDescriptorProto) error {
		file.MessageType = append(file.MessageType,
			&descriptorpb.DescriptorProto{Name: proto.String("NotInTheContract")})
		return nil
	}},
	{"field left out", onMessage("CapacityRange", func(message *descriptorpb.DescriptorProto) {
		message.Field = message.Field[1:]
	})},
	{"field renumbered", onField("CapacityRange", "limit_bytes", func(field *descriptorpb.FieldDescriptorProto) {
		field.Number = proto.Int32(3)
	})},
	{"field renamed", onField("CapacityRange", "limit_bytes", func(field *descriptorpb.FieldDescriptorProto) {
		field.Name = proto.String("limit")
	})},
	{"field has another JSON name", onField("CapacityRange", "limit_bytes", func(field *descriptorpb.FieldDescriptorProto) {
		field.JsonName = proto.String("limit")
	})},
	{"field has another type", onField("CapacityRange", "limit_bytes", func(field *descriptorpb.FieldDescriptorProto) {
		field.Type = descriptorpb.FieldDescriptorProto_TYPE_UINT64.Enum()
	})},
	{"field repeated", onField("CapacityRange", "limit_bytes", func(field *descriptorpb.FieldDescriptorProto) {
		field.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	})},
	{"field has another message type", onField("CreateVolumeResponse", "volume", func(field *descriptorpb.FieldDescriptorProto) {
		field.TypeName = proto.String(".csi.v1.Snapshot")
	})},
	{"field joins a oneof", onField("VolumeCapability", "access_mode", func(field *descriptorpb.FieldDescriptorProto) {
		field.OneofIndex = proto.Int32(0)
	})},
	{"secret loses its mark", onField("NodeStageVolumeRequest", "secrets", func(field *descriptorpb.FieldDescriptorProto) {
		field.Options = nil
	})},
	{"field deprecated", onField("CapacityRange", "limit_bytes", func(field *descriptorpb.FieldDescriptorProto) {
		field.Options = &descriptorpb.FieldOptions{Deprecated: proto.Bool(true)}
	})},
	{"message loses its alpha mark", onMessage("VolumeHealth", func(message *descriptorpb.DescriptorProto) {
		message.Options = nil
	})},
	{"reserved number freed", onMessage("NodeGetVolumeStatsResponse", func(message *descriptorpb.DescriptorProto) {
		message.ReservedRange = nil
	})},
	{"enum value renumbered", func(file *descriptorpb.FileDescriptorProto) error {
		file.EnumType[0].Value[1].Number = proto.Int32(99)
		return nil
	}},
	{"enum value left out", func(file *descriptorpb.FileDescriptorProto) error {
		file.EnumType[0].Value = file.EnumType[0].Value[:1]
		return nil
	}},
	{"extension renumbered", func(file *descriptorpb.FileDescriptorProto) error {
		file.Extension[0].Number = proto.Int32(50000)
		return nil
	}},
}

func fileOf(set *descriptorpb.FileDescriptorSet, name string) *descriptorpb.FileDescriptorProto {
	for _, file := range set.File {
		if file.GetName() == name {
			return file
		}
	}
	return nil
}

func onMessage(name string, change func(*descriptorpb.DescriptorProto)) func(*descriptorpb.FileDescriptorProto) error {
	return func(file *descriptorpb.FileDescriptorProto) error {
		for _, message := range file.MessageType {
			if message.GetName() == name {
				change(message)
				return nil
			}
		}
		return fmt.Errorf("no message %s", name)
	}
}

func onField(messageName, name string, change func(*descriptorpb.FieldDescriptorProto)) func(*descriptorpb.FileDescriptorProto) error {
	missing := fmt.Errorf("no field %s.%s", messageName, name)
	return func(file *descriptorpb.FileDescriptorProto) error {
		err := missing
		notFound := onMessage(messageName, func(message *descriptorpb.DescriptorProto) {
			for _, field := range message.Field {
				if field.GetName() == name {
					change(field)
					err = nil
				}
			}
		})(file)
		if notFound != nil {
			return notFound
		}
		return err
	}
}
