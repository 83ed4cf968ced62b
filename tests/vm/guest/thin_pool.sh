# SPDX-License-Identifier: Apache-2.0
#
# Sourced by cases with a pool of thin volumes, after lib.sh or what has it.
# shellcheck shell=bash

# lvm2 complains about descriptors that it inherits.
export LVM_SUPPRESS_FD_WARNINGS=1
quiet=(--config 'activation{udev_sync=0 udev_rules=0}')

# Those that the pool's data volume has, in chunks of 64 KiB.
free_bytes() {
	dmsetup status vg-tp-tpool | awk '{ split($6, data, "/"); print (data[2] - data[1]) * 65536 }'
}

# The thin pool vg/tp, in memory; sets $pv, the disk below. It goes when the case ends.
make_thin_pool() { # [SIZE METADATA DISK]
	modprobe -a loop dm_mod dm_thin_pool ext4 target_core_mod target_core_file tcm_loop sd_mod
	truncate -s "${3:-1G}" /run/pv.img
	pv=$(losetup -f --show /run/pv.img)
	defer losetup -d "$pv"
	lvm pvcreate "${quiet[@]}" -q "$pv"
	lvm vgcreate "${quiet[@]}" -q vg "$pv"
	lvm lvcreate "${quiet[@]}" -q -y --type thin-pool -L "${1:-512M}" --poolmetadatasize "${2:-4M}" -n tp vg
	lvm lvchange "${quiet[@]}" -q --errorwhenfull y vg/tp
	defer lvm vgremove "${quiet[@]}" -q -f -y vg
}
