#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The device on which a write is durable before it is acknowledged: that it flushes each write and
# hands discards on, and that it is made whole and goes whole wherever its maker is killed.
# timeout: 900

# shellcheck source=tests/vm/guest/lib.sh
. "$NVMEOT_SRC/tests/vm/guest/lib.sh"

uuid=5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a11
node=/dev/nvmeot-$uuid
target=/sys/kernel/config/target

ops() {
	"$NVMEOT_BUILD/tests/pool_ops" "through:$backing" "$1" "$uuid"
}

flushes() {
	awk '{ print $16 }' "/sys/block/${backing#/dev/}/stat"
}

allocated() {
	stat -c '%b * 512' /run/image
}

# Direct writes of 64 KiB, 20 of them; prints the flushes it took.
write_some() {
	local before

	before=$(flushes)
	dd if=/run/data of="$node" bs=64k count=20 oflag=direct status=none
	echo $(($(flushes) - before))
}

nothing_left() {
	[[ ! -e $node && -z $(ls "$target/loopback" "$target/core/fileio_28160" | grep -F -- "$uuid") ]]
	[[ -z $(find /sys/block -name 'sd*') ]]
}

whole() {
	[[ $(find /sys/block -name 'sd*' | wc -l) == 1 ]]
	cmp -n 1310720 "$node" /run/data
}

# Killed at each call that changes something, each verb must finish what the killed one began.
kill_everywhere() {
	local verb=$1 call n points=0

	for call in mkdirat write symlinkat mknodat unlinkat; do
		for ((n = 1; n < 100; n++)); do
			[[ $verb == attach ]] || ops attach
			! strace -qq -o /dev/null -e "trace=$call" -e "inject=$call:signal=KILL:when=$n" \
				"$NVMEOT_BUILD/tests/pool_ops" "through:$backing" "$verb" "$uuid" \
				2>/dev/null || break
			points=$((points + 1))
			ops "$verb"
			if [[ $verb != detach ]]; then
				whole
				ops detach
			fi
			nothing_left
		done
		ops detach
	done
	((points >= 5))
	echo "# $verb: killed at each of $points steps" >&3
}

truncate -s 64M /run/image
head -c 1310720 /dev/urandom >/run/data
backing=$(losetup -f --show /run/image)
defer losetup -d "$backing"

check "without the kernel's SCSI target it is said what is needed" \
	refuses FAILED_PRECONDITION "modprobe -a target_core_mod" ops attach
check "and nothing to detach is fine" ops detach
modprobe -a target_core_mod target_core_file tcm_loop sd_mod
check "it is made" ops attach
check "and once more" ops attach
took=$(write_some)
note "20 direct writes: $took flushes below, blocks of $(blockdev --getss "$node") bytes"
check "each write is flushed before it is acknowledged" [ "$took" -ge 20 ]
check "what was written is below" cmp -n 1310720 "$backing" /run/data
before=$(($(allocated)))
blkdiscard "$node"
check "a discard reaches what is below" [ $(($(allocated))) -lt $((before - 1000000)) ]
dd if=/run/data of="$node" bs=64k oflag=direct status=none
check "no other program could mistake two of them" \
	grep -q "$uuid" "$target/core/fileio_28160/$uuid/wwn/vpd_unit_serial"
check "it goes" ops detach
check "and nothing of it is left" nothing_left

check "killed while it is made, it is whole at the next try" kill_everywhere attach
check "killed while it goes, it is gone at the next try" kill_everywhere detach
