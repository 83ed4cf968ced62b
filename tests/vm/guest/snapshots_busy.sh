# SPDX-License-Identifier: Apache-2.0
#
# What snapshots-busy and snapshots-many share: snapshots of a file system that a host writes to, each
# made a volume, checked by its file system's program and by the writer's order.
# shellcheck shell=bash
# shellcheck source=tests/vm/guest/snapshots.sh
. "$NVMEOT_SRC/tests/vm/guest/snapshots.sh"

# Makes a volume of the snapshot and looks at its image as a disk: the journal is replayed by the
# mount, and what it leaves must be clean.
good_copy() { # TYPE LEAST
	local loop status=0
	make_volume copy "$bytes" snapshot=snap >/dev/null || return
	loop=$(losetup --find --show "$(image copy)")
	mount -o "$([ "$1" = xfs ] && echo nouuid || echo defaults)" "$loop" /mnt/copy &&
		in_order /mnt/copy/a /mnt/copy/b "$2" && umount /mnt/copy || status=1
	! mountpoint -q /mnt/copy || umount /mnt/copy
	if [ "$1" = xfs ]; then xfs_repair -n "$loop"; else fsck.ext4 -fn "$loop"; fi || status=1
	losetup -d "$loop"
	delete_volume copy >/dev/null || return
	return $status
}

busy_round() { # TYPE
	local least
	least=$(ordered)
	take snap V >/dev/null && good_copy "$1" "$least" && drop snap >/dev/null
}

busy_rounds() { # TYPE ROUNDS
	local i
	for ((i = 1; i <= $2; i++)); do
		busy_round "$1" || { echo "round $i"; return 1; }
	done
}

busy() { # TYPE ROUNDS
	bytes=$((512 << 20))
	make_volume V $bytes >/dev/null
	attach V
	"mkfs.$1" -q "$device"
	mkdir -p /mnt/v /mnt/copy
	mount "$device" /mnt/v
	start_order /mnt/v/a /mnt/v/b
	check "$2 snapshots of a busy $1: each is clean and in order" busy_rounds "$1" "$2"
	check "the host goes on" order_goes_on
	stop_order
	umount /mnt/v
	detach V
	delete_volume V >/dev/null
	check "nothing is left in the pool" [ -z "$(find "$pool_dir" -name '*.img*' -o -name '*.json')" ]
}
