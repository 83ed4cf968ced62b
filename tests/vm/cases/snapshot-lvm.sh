#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Snapshots and copies in a pool of thin volumes: under a writing host, restored, cloned larger, grown,
# deleted in any order, with a restart of the agent in between; and what each holds by itself.
# timeout: 1200
# shellcheck source=tests/vm/guest/snapshots.sh
. "$NVMEOT_SRC/tests/vm/guest/snapshots.sh"
# shellcheck source=tests/vm/guest/thin_pool.sh
. "$NVMEOT_SRC/tests/vm/guest/thin_pool.sh"

# How often the metadata of the pool are read, a line each time.
mkdir -p /run/counted
cat >/run/counted/thin_ls <<-EOF2
	#!/bin/sh
	[ "\$1" = -V ] || echo "\$@" >>/run/counted/log
	exec $(type -P thin_ls) "\$@"
EOF2
chmod +x /run/counted/thin_ls
PATH=/run/counted:$PATH

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
# A slow machine's lvm2 may not have told in time what there is.
orphans() {
	rpc "$agent_address" nvmeot.target.v1.Target ListOrphans >/run/orphans
}
wait_for 60 orphans
check "no orphan" [ "$(jq '.orphans // [] | length' /run/orphans)" = 0 ]

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

overwrite() { # MIB
	dd if=/dev/urandom of="$device" bs=1M count="$1" oflag=direct status=none
}

# Each of the list, by name.
used_by_all() {
	agent ListSnapshots '"max_entries":0,"with_used_bytes":true' |
		jq -r '.snapshots[] | "\(.name)=\(.used_bytes // 0)"' | sort | xargs
}

make_volume W $((32 << 20)) >/dev/null
attach W
overwrite 16
take T1 W >/dev/null
check "a snapshot that shares all holds nothing by itself" [ "$(used_by T1)" = 0 ]
overwrite 5
check "then what its volume has written anew" [ "$(used_by T1)" = $((5 << 20)) ]
take T2 W >/dev/null
overwrite 7
rm /run/counted/log
check "what two snapshots share is of neither" [ "$(used_by_all)" = \
	"T1=$((5 << 20)) T2=$((5 << 20))" ]
check "all of a list are asked about at once" [ "$(wc -l </run/counted/log)" = 1 ]
free=$(free_bytes)
drop T1 >/dev/null
check "as much is free when it is deleted" [ $(($(free_bytes) - free)) = $((5 << 20)) ]
check "and the other one holds what they shared" [ "$(used_by T2)" = $((7 << 20)) ]
dmsetup message vg-tp-tpool 0 reserve_metadata_snap
check "while another program has the metadata nobody knows" [ "$(used_by T2)" = -1 ]
check "for which the log has the reason" grep -q "another program has reserved" "$run_dir/agent.log"
dmsetup message vg-tp-tpool 0 release_metadata_snap
drop T2 >/dev/null
detach W
delete_volume W >/dev/null
check "nothing is left but the records" [ "$(lvs --noheadings -o lv_name -S 'tags=nvmeot' vg | xargs)" = \
	nvmeot-records-tp ]
