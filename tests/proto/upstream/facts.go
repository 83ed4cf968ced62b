// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// facts maps "full name, property" to the value of that property.
type facts map[string]string

// collector gathers the facts of one file. Option extensions are named by that file alone.
type collector struct {
	facts      facts
	extensions map[protoreflect.FullName]map[protowire.Number]string
}

// factsOf leaves out go_package, which says nothing about the wire, and the order of declarations.
func factsOf(file protoreflect.FileDescriptor) facts {
	c := collector{facts{}, map[protoreflect.FullName]map[protowire.Number]string{}}
	for extension := range each(file.Extensions()) {
		target := extension.ContainingMessage().FullName()
		if c.extensions[target] == nil {
			c.extensions[target] = map[protowire.Number]string{}
		}
		c.extensions[target][extension.Number()] = string(extension.Name())
	}
	c.file(file)
	return c.facts
}

// list is what protoreflect's many list types have in common.
type list[T any] interface {
	Len() int
	Get(int) T
}

func each[T any](l list[T]) func(yield func(T) bool) {
	return func(yield func(T) bool) {
		for i := range l.Len() {
			if !yield(l.Get(i)) {
				return
			}
		}
	}
}

func (c *collector) add(d protoreflect.Descriptor, property string, value any) {
	c.facts[string(d.FullName())+" "+property] = fmt.Sprint(value)
}

func (c *collector) file(file protoreflect.FileDescriptor) {
	c.facts["file package"] = string(file.Package())
	c.facts["file syntax"] = file.Syntax().String()
	for dependency := range each(file.Imports()) {
		c.facts["file import "+dependency.Path()] = fmt.Sprintf("public=%t", dependency.IsPublic)
	}
	for service := range each(file.Services()) {
		c.service(service)
	}
	for enum := range each(file.Enums()) {
		c.enum(enum)
	}
	for message := range each(file.Messages()) {
		c.message(message)
	}
	for extension := range each(file.Extensions()) {
		c.field(extension)
	}
}

func (c *collector) service(service protoreflect.ServiceDescriptor) {
	c.add(service, "is", "service")
	c.options(service)
	for method := range each(service.Methods()) {
		c.add(method, "input", method.Input().FullName())
		c.add(method, "output", method.Output().FullName())
		c.add(method, "client streaming", method.IsStreamingClient())
		c.add(method, "server streaming", method.IsStreamingServer())
		c.options(method)
	}
}

func (c *collector) enum(enum protoreflect.EnumDescriptor) {
	c.add(enum, "is", "enum")
	c.add(enum, "reserved names", names(enum.ReservedNames()))
	c.add(enum, "reserved ranges", ranges(enum.ReservedRanges()))
	c.options(enum)
	for value := range each(enum.Values()) {
		// Full names of values omit the enum: they live in the scope around it.
		key := fmt.Sprintf("%s.%s", enum.FullName(), value.Name())
		c.facts[key+" number"] = fmt.Sprint(value.Number())
		c.facts[key+" options"] = c.optionText(value)
	}
}

func (c *collector) message(message protoreflect.MessageDescriptor) {
	c.add(message, "is", "message")
	c.add(message, "map entry", message.IsMapEntry())
	c.add(message, "reserved names", names(message.ReservedNames()))
	c.add(message, "reserved ranges", ranges(message.ReservedRanges()))
	c.add(message, "extension ranges", ranges(message.ExtensionRanges()))
	c.options(message)
	for oneof := range each(message.Oneofs()) {
		c.add(oneof, "is", fmt.Sprintf("oneof, synthetic=%t", oneof.IsSynthetic()))
		c.options(oneof)
	}
	for field := range each(message.Fields()) {
		c.field(field)
	}
	for enum := range each(message.Enums()) {
		c.enum(enum)
	}
	for nested := range each(message.Messages()) {
		c.message(nested)
	}
	for extension := range each(message.Extensions()) {
		c.field(extension)
	}
}

func (c *collector) field(field protoreflect.FieldDescriptor) {
	c.add(field, "number", field.Number())
	c.add(field, "json name", field.JSONName())
	c.add(field, "cardinality", field.Cardinality())
	c.add(field, "kind", field.Kind())
	c.add(field, "type", typeName(field))
	c.add(field, "presence", field.HasPresence())
	c.add(field, "packed", field.IsPacked())
	c.add(field, "default", field.Default())
	if field.IsExtension() {
		c.add(field, "extends", field.ContainingMessage().FullName())
	}
	if oneof := field.ContainingOneof(); oneof != nil {
		c.add(field, "oneof", oneof.Name())
	}
	c.options(field)
}

func typeName(field protoreflect.FieldDescriptor) protoreflect.FullName {
	if message := field.Message(); message != nil {
		return message.FullName()
	}
	if enum := field.Enum(); enum != nil {
		return enum.FullName()
	}
	return ""
}

func (c *collector) options(d protoreflect.Descriptor) {
	c.add(d, "options", c.optionText(d))
}

// optionText reads options from their encoding, so that both sides are named by the same rule:
// the extensions of their own file first, then what descriptor.proto knows.
func (c *collector) optionText(d protoreflect.Descriptor) string {
	options := d.Options()
	kind := options.ProtoReflect().Descriptor()
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(options)
	if err != nil {
		panic(fmt.Sprintf("%s: options: %v", d.FullName(), err))
	}
	var out []string
	for len(raw) > 0 {
		number, wireType, tagLen := protowire.ConsumeTag(raw)
		valueLen := protowire.ConsumeFieldValue(number, wireType, raw[max(tagLen, 0):])
		if tagLen < 0 || valueLen < 0 {
			panic(fmt.Sprintf("%s: options do not parse", d.FullName()))
		}
		name := fmt.Sprintf("#%d", number)
		if known := kind.Fields().ByNumber(number); known != nil {
			name = string(known.Name())
		} else if extension, ok := c.extensions[kind.FullName()][number]; ok {
			name = extension
		}
		out = append(out, fmt.Sprintf("%s=%x", name, raw[tagLen:tagLen+valueLen]))
		raw = raw[tagLen+valueLen:]
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func names(l protoreflect.Names) string {
	return strings.Join(slices.Sorted(func(yield func(string) bool) {
		for name := range each(l) {
			if !yield(string(name)) {
				return
			}
		}
	}), " ")
}

// ranges prints [first, last] or [first, end) as the descriptor holds them: alike on both sides.
func ranges[T any](l list[T]) string {
	var out []string
	for r := range each(l) {
		out = append(out, fmt.Sprint(r))
	}
	return strings.Join(out, " ")
}
