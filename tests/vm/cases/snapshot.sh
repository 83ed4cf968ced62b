#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Snapshots of a volume under a writing host, volumes made from them and from the volume itself,
# restarts of the agent in between, deletion in any order, and where there are no copies.
# timeout: 900
# shellcheck source=tests/vm/guest/snapshots.sh
. "$NVMEOT_SRC/tests/vm/guest/snapshots.sh"

# A pool on ext4, beside the one on xfs.
truncate -s 1G /run/ext4.img
mkfs.ext4 -q /run/ext4.img
mkdir -p /mnt/ext4
mount -o loop /run/ext4.img /mnt/ext4
defer rm /run/ext4.img
defer umount /mnt/ext4
start_target --pool=p2=dir:/mnt/ext4

let_go() {
	! mountpoint -q /mnt/v || umount /mnt/v
}

bytes=$((512 << 20))
make_volume V $bytes >/dev/null
attach V
device_v=$device
mkfs.xfs -q "$device_v"
mkdir -p /mnt/v /mnt/copy
mount "$device_v" /mnt/v
defer let_go
start_order /mnt/v/a /mnt/v/b
check "a host writes" order_goes_on

# mounted NAME: the copy can be mounted beside its source, and its writer's order holds
mounted() { # NAME LEAST
	attach "$1" && mount -o nouuid "$device" /mnt/copy &&
		in_order /mnt/copy/a /mnt/copy/b "$2"
}

unmounted() { # NAME
	umount /mnt/copy
	xfs_repair -n "$device"
	detach "$1"
}

least=$(ordered)
took_ms=$(now_ms)
check "a snapshot is taken meanwhile" take S1 V
note "it took $(($(now_ms) - took_ms)) ms"
check "the host goes on" order_goes_on
check "the same call again gives the same one" \
	[ "$(take S1 V | jq -r '.snapshots[0].created_ns')" = \
	"$(take S1 V | jq -r '.snapshots[0].created_ns')" ]
created=$(take S1 V | jq -r '.snapshots[0].created_ns')
check "taken when it says" [ $(($(date +%s) - created / 1000000000)) -lt 60 ]
later=$(ordered)
check "a volume is made from it" make_volume R $bytes snapshot=S1
mounted R "$least" >/run/said || fail "$(cat /run/said)"
check "what it holds is of the moment of the snapshot" \
	[ "$("$order_writer" read /mnt/copy/a)" -le $((later + 1)) ]
check "it can be written" eval 'echo mine >/mnt/copy/mine && sync /mnt/copy/mine'
check "its file system is clean" unmounted R

least=$(ordered)
stop agent KILL
start_agent --pool=p2=dir:/mnt/ext4
check "a restarted agent knows the snapshot" [ "$(snapshots)" = S1 ]
check "a clone of the volume, and larger" make_volume C $((2 * bytes)) volume=V
check "the host goes on" order_goes_on
mounted C "$least" >/run/said || fail "$(cat /run/said)"
check "the clone has its own size" [ "$(blockdev --getsize64 "$device")" = $((2 * bytes)) ]
check "both are written at once" eval 'echo mine >/mnt/copy/mine && sync /mnt/copy/mine'
check "and the clone grows to its volume" xfs_growfs /mnt/copy
check "its file system is clean" unmounted C
check "the source has nothing of it" not [ -e /mnt/v/mine ]
check "never blank" [ "$(agent GetVolume "\"uuid\":\"$(id_of C)\"" | jq -r '.volume.blank // false')" = false ]

check "a smaller one is refused" refuses OUT_OF_RANGE "are less than the $bytes of snapshot" \
	make_volume D 4096 snapshot=S1
in_pool=p2
check "another pool is refused" refuses INVALID_ARGUMENT "is in pool p1, .*pool p2" \
	make_volume D $bytes snapshot=S1
make_volume E 16777216 >/dev/null
check "on ext4 there are no snapshots" refuses FAILED_PRECONDITION \
	"the ext4 file system cannot share blocks.*btrfs.*xfs" take S9 E
check "and no clones" refuses FAILED_PRECONDITION "ext4 file system" make_volume F 16777216 volume=E
delete_volume E >/dev/null
in_pool=p1
check "nothing is left of them" [ -z "$(find /mnt/ext4 -name '*.img*' -o -name '*.json')" ]

take S2 V >/dev/null
check "two snapshots" [ "$(snapshots)" = "S1 S2" ]
drop S1 >/dev/null
check "the older one is deleted under the writer" order_goes_on
mounted R 0 >/run/said || fail "$(cat /run/said)"
check "what was made from it has all of its own" [ "$(cat /mnt/copy/mine)" = mine ]
check "and is clean" unmounted R
stop_order
umount /mnt/v
detach V
delete_volume V >/dev/null
check "a snapshot outlives its volume" [ "$(snapshots)" = S2 ]
make_volume R2 $bytes snapshot=S2 >/dev/null
mounted R2 0 >/run/said || fail "$(cat /run/said)"
check "and can still be restored, clean" unmounted R2
for volume in C R R2; do delete_volume $volume >/dev/null; done
drop S2 >/dev/null
check "nothing is left in the pool" [ -z "$(find "$pool_dir" -name '*.img*' -o -name '*.json')" ]
