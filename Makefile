# SPDX-License-Identifier: Apache-2.0
# nvmeot-csi: everything is built below build/. `make help` lists the targets.
#
# V picks a variant of the build, each in a tree of its own:
#   gcc (default, what ships)   clang   asan (ASan + UBSan)   tsan
#   arm64 (what ships there; deploy/image/fetch arm64 gets what it is compiled with)

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules

BUILD := build
V ?= gcc
O := $(BUILD)/$(V)
GEN := $(BUILD)/gen
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.1.0)

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Werror
CFLAGS := -std=gnu17 -O2 -g -fPIE -fstack-protector-strong -ffunction-sections -fdata-sections \
	-ffile-prefix-map=$(CURDIR)=.
CPPFLAGS := -D_GNU_SOURCE -I. -I$(GEN) -DNVMEOT_VERSION='"$(VERSION)"'
LDFLAGS := -pie -Wl,--as-needed -Wl,--gc-sections -Wl,-z,relro,-z,now

LIBS = $(LIB) -lmicrohttpd -lgrpc -lgpr -lssl -lcrypto -lprotobuf-c -lnvme -lmount -lblkid -luuid -ljson-c -lpthread

CC_gcc := gcc
CC_clang := clang
CC_asan := gcc
CC_tsan := gcc
CC_arm64 := aarch64-linux-gnu-gcc --sysroot=$(BUILD)/image/arm64/sysroot
CC := $(CC_$(V))
ifneq ($(filter gcc arm64,$(V)),)
CFLAGS += -D_FORTIFY_SOURCE=2
endif
ifeq ($(V),asan)
CFLAGS += -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -O1
LDFLAGS += -fsanitize=address,undefined
endif
ifeq ($(V),tsan)
CFLAGS += -fsanitize=thread -fno-omit-frame-pointer -O1
LDFLAGS += -fsanitize=thread
endif

MODULES := nvme/base nvme/host nvme/target \
	csi/rpc csi/http csi/request csi/volume csi/identity csi/registration csi/controller csi/group csi/node csi/agent
SOURCES := $(wildcard $(addsuffix /*.c,$(MODULES))) csi/proto/secrets.c
PROTOS := csi target registration
GEN_SOURCES := $(PROTOS:%=$(GEN)/%.pb-c.c) $(GEN)/proto_secrets.c \
	$(addprefix $(GEN)/google/protobuf/,descriptor.pb-c.c timestamp.pb-c.c wrappers.pb-c.c)
GEN_HEADERS := $(patsubst %.c,%.h,$(filter %.pb-c.c,$(GEN_SOURCES)))
LIB := $(O)/libnvmeot.a
BINARIES := nvmeot-csi nvmeot-target nvmeotctl
UNIT_TESTS := $(basename $(notdir $(wildcard tests/unit/test_*.c)))
TSAN_TESTS := $(filter test_rpc_% test_http_% test_cmd_monitor test_registration_registration test_agent_attendance test_base_job test_node_freeze test_node_node test_node_vitals test_target_pool test_target_target_tally test_target_thin,$(UNIT_TESTS))
VM_TESTS := $(basename $(notdir $(wildcard tests/vm/programs/*.c)))
BENCHES := $(basename $(notdir $(wildcard tests/bench/*.c)))

LIB_OBJECTS := $(SOURCES:%.c=$(O)/%.o) $(GEN_SOURCES:$(GEN)/%.c=$(O)/gen/%.o)

##@ Main
.PHONY: help
help: ## this list
	@awk -F':.*## ' '/^##@/ {print "\n" substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

.PHONY: all
all: $(BINARIES:%=$(O)/bin/%) ## build the three programs into build/gcc/bin

.PHONY: demo
demo: ## install what it needs, build, and run the main job once on a real kernel
	@tests/deps --demo
	@$(MAKE) --no-print-directory all
	@tests/vm/demo

.PHONY: test
test: deps ## install what it needs and run every test that CI runs
	@tests/run-all

# The variant of each architecture is deploy/image/arch.sh's, too.
ARCH ?= amd64
VARIANT_amd64 := gcc
VARIANT_arm64 := arm64
.PHONY: image $(addprefix image-,amd64 arm64)
image: deps ## the container image into build/image; ARCH="amd64 arm64" for both
	@$(MAKE) --no-print-directory $(ARCH:%=image-%)
	@NVMEOT_VERSION="$(VERSION)" deploy/image/build $(ARCH)
$(addprefix image-,amd64 arm64): image-%:
	@deploy/image/fetch $*
	@$(MAKE) --no-print-directory V=$(VARIANT_$*) all

##@ Suites
.PHONY: lint
lint: deps ## layers, sizes, format, both compilers without a warning
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory V=clang all
	@tests/lint/run

.PHONY: unit
unit: deps ## unit tests under ASan and UBSan, what has threads of its own under TSan
	@$(MAKE) --no-print-directory V=asan unit-binaries
	@$(MAKE) --no-print-directory V=tsan unit-binaries UNIT_TESTS="$(TSAN_TESTS)"
	@tests/unit/run

.PHONY: proto
proto: deps ## our wire contract against the committed facts and upstream's descriptor
	@$(MAKE) --no-print-directory $(GEN)/csi.desc $(GEN)/registration.desc $(GEN)/protofacts
	@tests/proto/run

.PHONY: sanity
sanity: deps ## csi-sanity against the real node and controller, in a guest
	@$(MAKE) --no-print-directory all
	@tests/sanity/run

.PHONY: chart
chart: deps ## the Helm chart, the plain manifests and the examples, without a cluster
	@$(MAKE) --no-print-directory all
	@tests/chart/run

.PHONY: vm
vm: deps ## cases on a real kernel; CASE="name …" picks some, KERNEL=6.1|6.12|7.2
	@$(MAKE) --no-print-directory all vm-programs
	@NVMEOT_BUILD=$(abspath $(O)) tests/vm/run $(if $(KERNEL),-k $(KERNEL)) -j 2 $(CASE)

.PHONY: image-test
image-test: deps ## the image of both architectures: what is in it, and that it runs
	@$(MAKE) --no-print-directory image ARCH="amd64 arm64"
	@tests/image/run

.PHONY: bench
bench: deps ## what our calls cost, as ratios to the bare system calls they need
	@$(MAKE) --no-print-directory all vm-programs
	@tests/bench/run

.PHONY: cluster cluster-programs cluster-up cluster-down
cluster: cluster-programs ## a Kubernetes with nodes in guests: the chart installed, a user's day, removed
	@tests/cluster/run
cluster-up: cluster-programs ## the same cluster, empty, left running; says how kubectl reaches it
	@tests/cluster/up
cluster-down: ## end it
	@tests/cluster/down
cluster-programs: deps
	@$(MAKE) --no-print-directory image ARCH=amd64
	@tests/cluster/build
	@tests/cluster/images

.PHONY: vm-selftest
vm-selftest: deps ## proof that the guest harness can fail
	@tests/vm/selftest -j 2

##@ House
.PHONY: deps
deps: ## install the packages that building and testing need (no-op when they are there)
	@tests/deps

.PHONY: format
format: ## lay out all C files by .clang-format
	@git ls-files '*.c' '*.h' | xargs clang-format -i

.PHONY: clean
clean: ## remove build/
	rm -rf $(BUILD)

.PHONY: unit-binaries vm-programs
unit-binaries: $(UNIT_TESTS:%=$(O)/tests/%)
vm-programs: $(VM_TESTS:%=$(O)/tests/%) $(BENCHES:%=$(O)/bench/%)

# --- generated code ---------------------------------------------------------------------------

PROTOC_C := protoc-c --c_out=$(GEN) -Icsi/proto -I/usr/include
$(GEN)/%.pb-c.c $(GEN)/%.pb-c.h &: csi/proto/%.proto
	@mkdir -p $(GEN)
	$(PROTOC_C) csi/proto/$*.proto
$(GEN)/google/protobuf/%.pb-c.c $(GEN)/google/protobuf/%.pb-c.h &: /usr/include/google/protobuf/%.proto
	@mkdir -p $(GEN)
	$(PROTOC_C) google/protobuf/$*.proto
$(GEN)/%.desc: csi/proto/%.proto csi/proto/csi.proto
	@mkdir -p $(GEN)
	protoc -Icsi/proto -I/usr/include --include_imports --descriptor_set_out=$@ $*.proto
$(GEN)/proto_secrets.c: $(GEN)/target.desc $(GEN)/protofacts
	$(GEN)/protofacts secrets $< >$@
$(GEN)/protofacts: csi/proto/protofacts.c $(GEN)/google/protobuf/descriptor.pb-c.c
	gcc -std=gnu17 -O1 -g -D_GNU_SOURCE $(WARN) -I. -I$(GEN) $^ -o $@ -lprotobuf-c

# --- compiling --------------------------------------------------------------------------------

$(O)/gen/%.o: $(GEN)/%.c | $(GEN_HEADERS)
	@mkdir -p $(@D)
	@echo "CC $@"; $(CC) $(CPPFLAGS) $(CFLAGS) -Wall -Werror -MMD -MP -c $< -o $@
$(O)/%.o: %.c | $(GEN_HEADERS)
	@mkdir -p $(@D)
	@echo "CC $@"; $(CC) $(CPPFLAGS) $(CFLAGS) $(WARN) -MMD -MP -c $< -o $@
$(LIB): $(LIB_OBJECTS)
	@rm -f $@
	@echo "AR $@"; ar rcs $@ $^

# What ships is compiled anew where it names the version and that has changed.
ifneq ($(filter gcc arm64,$(V)),)
.PHONY: FORCE
FORCE:
$(O)/version: FORCE
	@mkdir -p $(@D)
	@[ "$$(cat $@ 2>/dev/null)" = "$(VERSION)" ] || echo "$(VERSION)" >$@
$(patsubst %.c,$(O)/%.o,$(shell grep -rl NVMEOT_VERSION --include='*.c' cmd csi nvme)): $(O)/version
endif

# A program is one folder below cmd, named by its last word: cmd/csi makes nvmeot-csi.
$(O)/bin/nvmeotctl: $(patsubst %.c,$(O)/%.o,$(wildcard cmd/nvmeotctl/*.c) cmd/options.c) $(LIB)
$(O)/bin/nvmeot-csi: $(patsubst %.c,$(O)/%.o,$(wildcard cmd/nvmeot-csi/*.c cmd/*.c)) $(LIB)
$(O)/bin/nvmeot-target: $(patsubst %.c,$(O)/%.o,$(wildcard cmd/nvmeot-target/*.c cmd/*.c)) $(LIB)
$(O)/bin/%:
	@mkdir -p $(@D)
	@echo "LD $@"; $(CC) $(CFLAGS) $(LDFLAGS) $^ -o $@ $(LIBS)

$(O)/tests/%: $(O)/tests/unit/%.o $(LIB)
	@mkdir -p $(@D)
	@echo "LD $@"; $(CC) $(CFLAGS) $(LDFLAGS) $^ -o $@ -lcmocka $(LIBS)
$(O)/tests/%: $(O)/tests/vm/programs/%.o $(LIB)
	@mkdir -p $(@D)
	@echo "LD $@"; $(CC) $(CFLAGS) $(LDFLAGS) $^ -o $@ -lcmocka $(LIBS)
$(O)/bench/%: $(O)/tests/bench/%.o $(LIB)
	@mkdir -p $(@D)
	@echo "LD $@"; $(CC) $(CFLAGS) $(LDFLAGS) $^ -o $@ $(LIBS)

-include $(shell find $(O) -name '*.d' 2>/dev/null)
