#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The container image drives volumes: agent, controller and node run from its tree as their pods
# would, with a read-only root, mount namespaces of their own, and of the machine only what is named
# here; every program they run is the image's.
# by hand: it needs make image; make image-test runs it
# timeout: 900
# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"

tree=$NVMEOT_SRC/build/image/amd64/rootfs
image=/run/image
export LVM_SUPPRESS_FD_WARNINGS=1
lvm_quiet=(--config 'activation{udev_sync=0 udev_rules=0}' -q)

# What a mount made by the node must come through: a volume with bidirectional propagation.
share() {
	mkdir -p "$1"
	mount --bind "$1" "$1"
	mount --make-shared "$1"
}

# At the same path in the image.
give() {
	mkdir -p "$image$1"
	mount --bind "$1" "$image$1"
}

# With what is mounted in it; what goes there stays here.
give_all() {
	mkdir -p "$image$1"
	mount --rbind "$1" "$image$1"
	mount --make-rslave "$image$1"
}

make_image() {
	[ -x "$tree/usr/bin/nvmeot-csi" ] || fail "no image is built: make image"
	mkdir "$image"
	cp -a "$tree/." "$image/"
	mount --bind "$image" "$image"
	mount --make-private "$image"
	defer umount -lR "$image"
	for dir in "$run_dir" "$state_dir" "$kubelet_dir"; do
		share "$dir"
		# This shell has its pipes to the clients in one of them.
		defer umount -l "$dir"
		give "$dir"
	done
	give_all /dev
	give /proc
	give_all /sys
	give /lib/modules
	mkdir -p /run/lock/lvm /etc/lvm
	give /run/lock/lvm
	give /etc/lvm
	give "$pool_dir"
	touch "$image/etc/machine-id"
	mount --bind /etc/machine-id "$image/etc/machine-id"
	mount -o remount,bind,ro "$image"
}

# In place of driver.sh's: from the image.
start() { # NAME BINARY ARGS...
	local name=$1 program=$2
	shift 2
	env -i PATH=/usr/sbin:/usr/bin unshare --mount --propagation unchanged \
		chroot "$image" "/usr/bin/$program" "$@" >>"$run_dir/$name.log" 2>&1 &
	pids[$name]=$!
}

make_group() {
	truncate -s 1G /run/pv.img
	pv=$(losetup -f --show /run/pv.img)
	defer losetup -d "$pv"
	lvm pvcreate "${lvm_quiet[@]}" "$pv"
	lvm vgcreate "${lvm_quiet[@]}" vg "$pv"
	lvm lvcreate "${lvm_quiet[@]}" -y --type thin-pool -L 512M -n tp vg
	lvm vgchange "${lvm_quiet[@]}" -an vg
	defer lvm vgremove "${lvm_quiet[@]}" -f -y vg
}

runs_from_image() { # NAME BINARY
	[ "/proc/${pids[$1]}/exe" -ef "$image/usr/bin/$2" ]
	[ ! -e "/proc/${pids[$1]}/root/bin/bash" ]
	[ -e "/proc/${pids[$1]}/root/usr/bin/$2" ]
	not touch "/proc/${pids[$1]}/root/tmp/written"
}

# life NAME FSTYPE POOL MIB: from creation to deletion, with data
life() {
	cap=$(capability SINGLE_NODE_WRITER "$2")
	create "$1" $(($4 << 20)) "{\"pool\":\"$3\"}" >/dev/null
	attach "$volume"
	stage "$volume" >/dev/null
	publish "$volume" writer >/dev/null
	publish "$volume" reader true >/dev/null
	[ "$(findmnt -nfo FSTYPE "$(pod writer)")" = "$2" ]
	echo "written to $1" >"$(pod writer)/greeting"
	[ "$(cat "$(pod reader)/greeting")" = "written to $1" ]
	is_readonly "$(pod reader)"
	unpublish "$volume" reader >/dev/null
	unpublish "$volume" writer >/dev/null
	unstage "$volume" >/dev/null
	stage "$volume" >/dev/null
	publish "$volume" writer >/dev/null
	[ "$(cat "$(pod writer)/greeting")" = "written to $1" ]
	unpublish "$volume" writer >/dev/null
	retire "$volume"
}

pool_dir=/mnt/pool
make_pool "$pool_dir" 8G
make_image
modprobe -a dm_mod dm_thin_pool target_core_mod target_core_file tcm_loop sd_mod
make_group
modprobe -r nvme-tcp
check "the node's kernel module is not loaded" [ ! -e /dev/nvme-fabrics ]

# lvm2 of the image takes up the volume group, which is not active.
defer stop_driver
open_client "$agent_address"
open_client "$controller_socket"
open_client "$node_socket"
start_agent --pool=p2=lvm:vg/tp
start_controller
start_node
host_nqn=$(node NodeGetInfo | jq -r .node_id)

check "the image brings no host NQN" [ ! -e "$image/etc/nvme" ]
check "modprobe of the image has loaded it" [ -c /dev/nvme-fabrics ]
check "the agent is the image's" runs_from_image agent nvmeot-target
check "the controller is the image's" runs_from_image controller nvmeot-csi
check "the node is the image's" runs_from_image node nvmeot-csi
check "ext4, from creation to deletion" life one ext4 p1 1024
check "xfs" life two xfs p1 1024
check "btrfs" life three btrfs p1 1024
check "ext4 on a thin volume" life four ext4 p2 64

cap=$(capability SINGLE_NODE_WRITER ext4)
provision kept
publish "$volume" pod >/dev/null
echo before >"$(pod pod)/file"
stop node KILL
start_node
check "a new pod of the node finds what the old one had mounted" \
	publish "$volume" pod
check "and what is in it" [ "$(cat "$(pod pod)/file")" = before ]
unpublish "$volume" pod >/dev/null
retire "$volume"
check "no mount is left" not grep -qE "$kubelet_dir/|$state_dir/" /proc/self/mountinfo
