#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# As killed, on a pool of thin volumes.
# by hand: lvm2 is slow in an emulated machine, and it is killed hundreds of times
# timeout: 3600

# shellcheck source=tests/vm/guest/lib.sh
. "$NVMEOT_SRC/tests/vm/guest/lib.sh"

# lvm2 complains about descriptors that it inherits.
export LVM_SUPPRESS_FD_WARNINGS=1
quiet=(--config 'activation{udev_sync=0 udev_rules=0}')

modprobe -a target_core_mod tcm_loop sd_mod
truncate -s 1G /run/pv.img
pv=$(losetup -f --show /run/pv.img)
defer losetup -d "$pv"
lvm pvcreate "${quiet[@]}" -q "$pv"
lvm vgcreate "${quiet[@]}" -q vg "$pv"
lvm lvcreate "${quiet[@]}" -q -y --type thin-pool -L 512M --poolmetadatasize 4M -n tp vg
lvm lvchange "${quiet[@]}" -q --errorwhenfull y vg/tp
defer lvm vgremove "${quiet[@]}" -q -f -y vg

set +e
"$NVMEOT_BUILD/tests/target_crash" lvm vg/tp 5 2>&1 | sed -u 's/^/# /'
status=${PIPESTATUS[0]}
set -e
check "target_crash lvm vg/tp 5" test "$status" = 0
