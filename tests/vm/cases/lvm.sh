#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A pool of thin volumes: its whole life by its own operations, what it looks like to a connected
# host, what a killed lvm2 left suspended, device nodes that are gone, and its ends: full data, full
# metadata. What may fail or die on the way is in lvm-faults.
# timeout: 1200
# The hosts' writes to a full pool.
# expect-kernel: (Buffer )?I/O error

# shellcheck source=tests/vm/guest/export.sh
. "$NVMEOT_SRC/tests/vm/guest/export.sh"
# shellcheck source=tests/vm/guest/thin_pool.sh
. "$NVMEOT_SRC/tests/vm/guest/thin_pool.sh"
# shellcheck source=tests/vm/guest/pool_ops.sh
. "$NVMEOT_SRC/tests/vm/guest/pool_ops.sh"

offer() {
	export_at "$1"
	connect
}

let_go() {
	disconnect
	unexport
}

usage_of() {
	ops usage | sed -n "s/^$1 //p"
}

# Bytes of the thin volume that are allocated.
mapped() {
	dmsetup status "vg-nvmeot--${uuid//-/--}" | awk '{ print $4 * 512 }'
}

flushes() {
	awk '{ print $16 }' "/sys/block/${pv#/dev/}/stat"
}

nothing_attached() {
	local left

	left=$(ls -d /dev/nvmeot-* /dev/mapper/nvmeot-* /sys/kernel/config/target/loopback/* \
		/sys/kernel/config/target/core/fileio_28160/* 2>/dev/null | grep -- - || true)
	left+=$(ls -d /sys/block/sd* 2>/dev/null || true)
	[[ -z $left ]] || { echo "left: $left"; return 1; }
}

# A direct write of N blocks of 64 KiB to the connected host's device; prints the flushes it took.
writes_flush() {
	local before

	before=$(flushes)
	dd if=/dev/urandom of="$device" bs=64k count="$1" seek="$2" oflag=direct status=none
	echo $(($(flushes) - before))
}

one_life() {
	local cache=$1 took sum path

	ops create "$uuid" "$bytes" $cache
	check "a new volume has no data" [ "$(ops find "$uuid")" = "$((20 << 20)) blank" ]
	check "making it again is fine" ops create "$uuid" "$bytes" $cache
	check "it is listed" [ "$(ops list)" = "$uuid" ]
	ops attach-rw "$uuid" "$bytes" $cache
	path=$(ops path-rw "$uuid" "$bytes" $cache)
	check "hosts get exactly its size" [ "$(blockdev --getsize64 "$path")" = "$bytes" ]
	offer "$path"
	note "blocks of $(blockdev --getss "$device") bytes," \
		"$(cat "/sys/block/${device#/dev/}/queue/write_cache")"
	took=$(writes_flush 64 0)
	note "64 direct writes of 64 KiB: $took flushes of the disk below"
	if [[ $cache == volatile ]]; then
		check "writes are not flushed one by one" [ "$took" -lt 32 ]
	else
		check "each write is flushed before it is acknowledged" [ "$took" -ge 64 ]
	fi
	check "what is written is allocated" [ "$(mapped)" = $((4 << 20)) ]
	check "and is data" [ "$(ops find "$uuid")" = "$((20 << 20)) data" ]
	check "which is never made anew" refuses FAILED_PRECONDITION \
		"holds data and has no record" ops create "$uuid" "$bytes" $cache

	sum=$(dd if="$device" bs=1M iflag=direct status=none | md5sum)
	ops attach-rw "$uuid" "$bytes" $cache
	ops grow "$uuid" "$grown"
	ops grow "$uuid" "$grown"
	echo 1 >"$nvmet/subsystems/$nqn/namespaces/1/revalidate_size"
	check "hosts see it grow" wait_for 10 eval "[[ \$(blockdev --getsize64 $device) == $grown ]]"
	check "with its data" [ "$(dd if="$device" bs=1M count=$((bytes >> 20)) iflag=direct \
		status=none | md5sum)" = "$sum" ]
	check "the new end can be written" dd if=/dev/urandom of="$device" bs=1M count=1 \
		seek=$(((grown >> 20) - 1)) oflag=direct
	check "it never shrinks" refuses INTERNAL "backings are never cut" ops grow "$uuid" "$bytes"
	sum=$(dd if="$device" bs=1M iflag=direct status=none | md5sum)
	let_go
	check "what is attached goes" ops detach "$uuid"
	check "and leaves nothing" nothing_attached

	ops attach-ro "$uuid" "$grown" $cache
	offer "$(ops path-ro "$uuid" "$grown" $cache)"
	check "read-only, hosts read what was written" \
		[ "$(dd if="$device" bs=1M iflag=direct status=none | md5sum)" = "$sum" ]
	check "and cannot write" not dd if=/dev/zero of="$device" bs=64k count=1 oflag=direct
	# It may be taken for advice and not fail.
	blkdiscard "$device" || true
	check "nor discard" [ "$(dd if="$device" bs=1M iflag=direct status=none | md5sum)" = "$sum" ]
	let_go
	ops detach "$uuid"

	ops attach-rw "$uuid" "$grown" $cache
	offer "$(ops path-rw "$uuid" "$grown" $cache)"
	check "it is unharmed" [ "$(dd if="$device" bs=1M iflag=direct status=none | md5sum)" = "$sum" ]
	blkdiscard "$device"
	check "a discard reaches the thin pool" [ "$(mapped)" = 0 ]
	let_go
	ops detach "$uuid"
	check "removing" ops remove "$uuid"
	check "and once more" ops remove "$uuid"
	check "it is gone" [ "$(ops find "$uuid")" = absent ]
}

make_thin_pool
check "a thin pool that is not there is named" refuses FAILED_PRECONDITION "no thin pool vg/tq" \
	"$NVMEOT_BUILD/tests/pool_ops" p=lvm:vg/tq list
check "nothing is in a new pool" [ -z "$(once list)" ]
check "and nothing stays mounted" not grep nvmeot /proc/self/mountinfo
serve
note "capacity $(usage_of capacity), available $(usage_of available)"
check "its room is that of the thin pool less the reserve and the records" eval \
	"((\$(usage_of available) > 230 << 20 && \$(usage_of available) < 256 << 20))"

note "write cache none"
one_life ''
note "write cache volatile"
one_life volatile
unserve

once create "$uuid" "$bytes" volatile
for device in "vg-nvmeot--${uuid//-/--}" vg-tp-tpool vg-tp_tdata; do
	dmsetup suspend --noflush --nolockfs "$device"
done
check "an open resumes what was left suspended" once find "$uuid"
check "all of it" [ "$(suspended)" = 0 ]
rm -rf /dev/vg /dev/mapper/vg-*
check "without device nodes it is found" [ "$(once find "$uuid")" = "$((20 << 20)) blank" ]
rm -rf /dev/vg /dev/mapper/vg-*
check "attached" once attach-rw "$uuid" "$bytes" volatile
check "and detached" once detach "$uuid"
once remove "$uuid"

serve
ops create "$uuid" "$((1 << 30))" volatile
check "more was made than there is room for, and that is said" eval \
	"ops usage | grep 'warning volumes may still write 1073741824 bytes'"
ops attach-rw "$uuid" "$((1 << 30))" volatile
offer "$(ops path-rw "$uuid" "$((1 << 30))" volatile)"
check "a write to a full thin pool fails" eval \
	"! dd if=/dev/zero of=$device bs=1M count=600 oflag=direct 2>/run/refusal &&
	grep 'error writing' /run/refusal"
check "the usage says so" eval "ops usage | grep -E 'warning the thin pool is in mode|only .* free'"
check "nothing is available" [ "$(usage_of available)" = 0 ]
blkdiscard "$device"
let_go
ops detach "$uuid"
ops remove "$uuid"
check "with the volume its room comes back" eval "((\$(usage_of available) > 230 << 20))"
unserve
