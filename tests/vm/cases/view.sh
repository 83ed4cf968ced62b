#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Read-only views: what a connected host does to one never reaches the backing, whatever it sends;
# its blocks are those of the read-write export; a view is made whole and goes whole, whenever the
# process that makes it is killed.
# timeout: 900

# shellcheck source=tests/vm/guest/export.sh
. "$NVMEOT_SRC/tests/vm/guest/export.sh"

bytes=$((16 << 20))
pool_dir=/mnt/pool

ops() {
	local verb=$1
	shift
	"$NVMEOT_BUILD/tests/pool_ops" "p=dir:$pool_dir" "$verb" "$uuid" "$@"
}

sum() {
	md5sum <"$pool_dir/$uuid.img"
}

# What is left of any view: device-mapper and loop devices, nodes. The pool is loop0.
leftovers() {
	ls -d /sys/block/dm-* /dev/mapper/nvmeot-* 2>/dev/null || true
	grep -l "$uuid" /sys/block/loop*/loop/backing_file 2>/dev/null || true
}

nothing_left() {
	local left

	left=$(leftovers)
	[[ -z $left ]] || { echo "left: $left"; return 1; }
}

host_cannot_write() {
	local before read_back

	before=$(sum)
	read_back=$(dd if="$device" bs=1M iflag=direct status=none | md5sum)
	check "a host reads what is there" [ "$read_back" = "$before" ]
	check "a direct write fails" not dd if=/dev/zero of="$device" bs=64k count=4 oflag=direct
	check "so does one at the very end" not \
		dd if=/dev/zero of="$device" bs=4k count=1 seek=$((bytes / 4096 - 1)) oflag=direct
	check "so does a discard" not blkdiscard "$device"
	check "so does write-zeroes" not blkdiscard -z "$device"
	check "a buffered write fails at its fsync" not \
		dd if=/dev/zero of="$device" bs=64k count=4 conv=fsync
	sync
	check "the backing is the same to the byte" [ "$(sum)" = "$before" ]
}

blocks_of_export() {
	export_at "$1"
	connect
	blockdev --getss "$device"
	disconnect
	unexport
}

same_blocks() {
	local rw ro

	rw=$(blocks_of_export "$(ops path-rw "$bytes")")
	ops attach-ro "$bytes"
	ro=$(blocks_of_export "$(ops path-ro "$bytes")")
	ops detach
	note "$1: $rw bytes read-write, $ro read-only"
	check "$1: hosts see the same blocks read-only" [ "$rw" = "$ro" ]
}

# killed_at CALL N VERB...: kills it at its N-th such system call.
killed_at() {
	local call=$1 n=$2
	shift 2
	strace -qq -o /dev/null -e "trace=$call" -e "inject=$call:signal=KILL:when=$n" \
		"$NVMEOT_BUILD/tests/pool_ops" "p=dir:$pool_dir" "$@" 2>/dev/null
}

whole() {
	cmp "$(ops path-ro "$bytes")" "$pool_dir/$uuid.img"
	[[ $(find /sys/block -name 'dm-*' | wc -l) == 1 ]]
}

# Killed at each call that changes something, each verb must finish what the killed one began.
kill_everywhere() {
	local verb=$1 call n points=0
	shift

	for call in ioctl mknodat mkdir unlinkat; do
		for ((n = 1; n < 100; n++)); do
			if [[ $verb == detach ]]; then
				ops attach-ro "$bytes"
			else
				rm -f /dev/mapper/nvmeot-*
			fi
			! killed_at "$call" "$n" "$verb" "$uuid" "$@" || break
			points=$((points + 1))
			ops "$verb" "$@"
			if [[ $verb != detach ]]; then
				whole
				ops detach
			fi
			nothing_left
		done
		ops detach
	done
	((points >= 3))
	echo "# $verb: killed at each of $points steps" >&3
}

modprobe -a loop xfs ext4
make_pool "$pool_dir" 512M
ops create "$bytes"
head -c "$bytes" /dev/urandom >"$pool_dir/$uuid.img"
sync

check "nothing to detach is fine, without device-mapper" ops detach
check "a view is made" ops attach-ro "$bytes"
check "and once more" ops attach-ro "$bytes"
check "of one device each" [ "$(find /sys/block -name 'dm-*' | wc -l)" = 1 ]
check "a wrong node is replaced" eval "rm $(ops path-ro "$bytes") &&
	mknod $(ops path-ro "$bytes") b 1 1 && ops attach-ro $bytes &&
	cmp $(ops path-ro "$bytes") $pool_dir/$uuid.img"
export_at "$(ops path-ro "$bytes")"
connect
host_cannot_write
check "a view in use is not removed" refuses FAILED_PRECONDITION "in use" ops detach
check "and not disturbed by being made again" ops attach-ro "$bytes"
disconnect
unexport
check "a view goes" ops detach
check "and nothing of it is left" nothing_left

same_blocks "xfs with 4096"
check "killed while it is made, it is whole at the next try" kill_everywhere attach-ro "$bytes"
check "killed while it goes, it is gone at the next try" kill_everywhere detach

# Another image under the same view: what is shown must not be the old one.
ops attach-ro "$bytes"
cp "$pool_dir/$uuid.img" /run/copy
mv /run/copy "$pool_dir/$uuid.img"
dd if=/dev/urandom of="$pool_dir/$uuid.img" bs=1M count=1 conv=notrunc status=none
check "a view of what is no more the backing is made anew" eval \
	"ops attach-ro $bytes && cmp $(ops path-ro "$bytes") $pool_dir/$uuid.img"
ops detach

truncate -s 64M /run/small.img
mkfs.ext4 -q -b 1024 /run/small.img
mkdir /mnt/small
mount -o loop /run/small.img /mnt/small
defer umount /mnt/small
pool_dir=/mnt/small
ops create "$bytes"
same_blocks "ext4 with 1024"

mkdir /run/memory
pool_dir=/run/memory
ops create "$bytes" volatile
check "a file system without direct I/O has views, too" ops attach-ro "$bytes"
ops detach
check "nothing of all that is left" nothing_left
