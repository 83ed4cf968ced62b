#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What is told to differ between two clones of a file, applied to the older one, makes the newer one
# byte for byte, over random rounds (ROUNDS of each, 20 if not set): on xfs, on btrfs with and without
# compression, and while btrfs moves all of its data around.
# timeout: 1800

# shellcheck source=tests/vm/guest/lib.sh
. "$NVMEOT_SRC/tests/vm/guest/lib.sh"

# btrfs_pool DIR OPTIONS: a new btrfs at DIR.
btrfs_pool() {
	local image

	image=$(mktemp /run/pool.XXXXXX)
	defer rm "$image"
	truncate -s 1G "$image"
	mkfs.btrfs -q "$image"
	mkdir -p "$1"
	mount -o "loop,$2" "$image" "$1"
	defer umount "$1"
}

ranges() {
	"$NVMEOT_BUILD/tests/extents" list "$@"
}

# A file of 1 TiB with a few blocks of data, and its clone with another few.
sparse() {
	local dir=$1

	truncate -s 1T "$dir/old"
	for at in 0 4095 268435455; do
		dd if=/dev/urandom of="$dir/old" bs=4k count=1 seek=$at conv=notrunc status=none
	done
	cp --reflink=always "$dir/old" "$dir/new"
	for at in 4095 4096 100000000; do
		dd if=/dev/urandom of="$dir/new" bs=4k count=1 seek=$at conv=notrunc status=none
	done
	[[ $(ranges "$dir/new") == "$(printf '%d %d\n' 0 4096 $((4095 * 4096)) 8192 \
		$((100000000 * 4096)) 4096 $((268435455 * 4096)) 4096)" ]]
	[[ $(ranges "$dir/new" "$dir/old") == "$(printf '%d %d\n' $((4095 * 4096)) 8192 \
		$((100000000 * 4096)) 4096)" ]]
	rm "$dir/old" "$dir/new"
}

modprobe -a loop xfs btrfs
# Before 6.6 a write to a part of a large folio writes all of it back, and so copies it.
exact=exact
[[ $KERNEL != 6.1 ]] || exact=coarse

make_pool /mnt/xfs 512M
check "xfs: of a file of 1 TiB exactly what has data, and what differs" sparse /mnt/xfs
check_program extents /mnt/xfs "${ROUNDS:-20}" "$exact"

btrfs_pool /mnt/btrfs rw
check "btrfs: of a file of 1 TiB exactly what has data, and what differs" sparse /mnt/btrfs
check_program extents /mnt/btrfs "${ROUNDS:-20}" exact

btrfs_pool /mnt/packed compress-force=zstd
check_program extents /mnt/packed "${ROUNDS:-20}" packed

btrfs_pool /mnt/moving rw
touch /run/moving
while [[ -e /run/moving ]]; do
	! btrfs balance start --full-balance /mnt/moving >/dev/null 2>&1 || echo >>/run/moved
done &
check_program extents /mnt/moving "${ROUNDS:-20}" coarse
rm /run/moving
wait
note "all data was moved $(wc -l </run/moved) times"
check "all data was moved meanwhile, again and again" [ "$(wc -l </run/moved)" -ge 5 ]

mkdir -p /run/memory
echo text >/run/memory/file
check "a file system that is neither is refused" \
	refuses FAILED_PRECONDITION "keep the pool on xfs or btrfs" ranges /run/memory/file
