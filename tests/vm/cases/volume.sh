#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Mounts, binds, probes and mkfs of csi/volume on loop devices: read-only states, refusals in the
# kernel's words, the proof that a device is released, file systems that this kernel mounts. Growing,
# checking and repairing them, and what is told of those whose device fails or hangs.
# timeout: 400

# shellcheck source=tests/vm/guest/lib.sh
. "$NVMEOT_SRC/tests/vm/guest/lib.sh"

modprobe -a loop ext4 xfs btrfs dm_mod
# A skipped test proves nothing: in a guest there is all that it could need.
run_program() {
	"$NVMEOT_BUILD/tests/$1" >/run/program 2>&1 || { cat /run/program; return 1; }
	! grep SKIPPED /run/program
}
check "mounts, probes and mkfs on loop devices" run_program volume_mounts
check "file systems grow, are checked, fail and hang" run_program volume_fs
