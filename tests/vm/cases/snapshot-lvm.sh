#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Snapshots and copies in a pool of thin volumes: under a writing host, restored, cloned larger, grown,
# deleted in any order, with a restart of the agent in between.
# timeout: 1200
# shellcheck source=tests/vm/guest/snapshots.sh
. "$NVMEOT_SRC/tests/vm/guest/snapshots.sh"
# shellcheck source=tests/vm/guest/thin_pool.sh
. "$NVMEOT_SRC/tests/vm/guest/thin_pool.sh"

make_thin_pool
pool=p1=lvm:vg/tp
defer stop_driver
open_client "$agent_address"
start_agent

let_go() {
	! mountpoint -q /mnt/v || umount /mnt/v
}

bytes=$((18 << 20)) # not a multiple of the extent size
make_volume V $bytes >/dev/null
attach V
mkfs.ext4 -q "$device"
mkdir -p /mnt/v /mnt/copy
mount "$device" /mnt/v
defer let_go
start_order /mnt/v/a /mnt/v/b
check "a host writes" order_goes_on

mounted() { # NAME LEAST
	attach "$1" && mount "$device" /mnt/copy && in_order /mnt/copy/a /mnt/copy/b "$2"
}

unmounted() { # NAME
	umount /mnt/copy
	fsck.ext4 -fn "$device"
	detach "$1"
}

least=$(ordered)
check "a snapshot is taken meanwhile" take S1 V
check "the host goes on" order_goes_on
check "a volume is made from it" make_volume R $bytes snapshot=S1
mounted R "$least" >/run/said 2>&1 || fail "$(cat /run/said)"
check "it can be written" eval 'echo mine >/mnt/copy/mine && sync /mnt/copy/mine'
check "its file system is clean" unmounted R

least=$(ordered)
stop agent KILL
start_agent
check "a restarted agent knows the snapshot" [ "$(snapshots)" = S1 ]
check "a clone of the volume, and larger" make_volume C $((2 * bytes)) volume=V
mounted C "$least" >/run/said 2>&1 || fail "$(cat /run/said)"
check "the clone has its own size" [ "$(blockdev --getsize64 "$device")" = $((2 * bytes)) ]
check "its file system is clean" unmounted C
check "it grows afterwards" agent ExpandVolume "\"uuid\":\"$(id_of C)\",\"size_bytes\":$((3 * bytes))"
check "nothing is left half-made" [ -z "$(lvs --noheadings -o lv_name -S 'tags=nvmeot.copying' vg)" ]
check "no orphan" [ "$(rpc "$agent_address" nvmeot.target.v1.Target ListOrphans | jq '.orphans // [] | length')" = 0 ]

drop S1 >/dev/null
check "the snapshot is deleted under the writer" order_goes_on
mounted R 0 >/run/said 2>&1 || fail "$(cat /run/said)"
check "what was made from it has all of its own" [ "$(cat /mnt/copy/mine)" = mine ]
check "and is clean" unmounted R
take S2 V >/dev/null
stop_order
umount /mnt/v
detach V
delete_volume V >/dev/null
check "a snapshot outlives its volume" make_volume R2 $bytes snapshot=S2
mounted R2 0 >/run/said 2>&1 || fail "$(cat /run/said)"
check "and can still be restored, clean" unmounted R2
for volume in C R R2; do delete_volume $volume >/dev/null; done
drop S2 >/dev/null
check "nothing is left but the records" [ "$(lvs --noheadings -o lv_name -S 'tags=nvmeot' vg | xargs)" = \
	nvmeot-records-tp ]
