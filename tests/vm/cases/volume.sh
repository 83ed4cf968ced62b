#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Mounts, binds, probes and mkfs of csi/volume on loop devices: read-only states, refusals in the
# kernel's words, the proof that a device is released, file systems that this kernel mounts.
# timeout: 240

# shellcheck source=tests/vm/guest/lib.sh
. "$NVMEOT_SRC/tests/vm/guest/lib.sh"

modprobe -a loop ext4 xfs dm_mod
check "mounts, probes and mkfs on loop devices" "$NVMEOT_BUILD/tests/volume_mounts"
