#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Changed blocks of a pool of thin volumes, by CSI: snapshots of a raw volume that a pod writes, discards
# and that grows; what the service streams, applied to a copy, makes it each snapshot, and the volume,
# byte for byte. The metadata snapshot that this takes is never left behind, also not by an agent that
# is killed with it, and that of another program stays. Some snapshots; ROUNDS=100 takes more.
# timeout: 1800
# expect-kernel: device-mapper: thin( metadata)?: .*metadata.snap
# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"
# shellcheck source=tests/vm/guest/thin_pool.sh
. "$NVMEOT_SRC/tests/vm/guest/thin_pool.sh"

# A thin_delta that hangs when it is told to.
mkdir -p /run/slow
mkfifo /run/slow/there
cat >/run/slow/thin_delta <<-EOF2
	#!/bin/sh
	[ ! -e /run/slow/hang ] || { rm /run/slow/hang; echo \$\$ >/run/slow/there; exec sleep 1000; }
	exec $(type -P thin_delta) "\$@"
EOF2
chmod +x /run/slow/thin_delta
PATH=/run/slow:$PATH

# The volume grows by 5 MiB in every other round, and its snapshots may come to hold as much.
make_thin_pool 2G 16M 3G
pool=p1=lvm:vg/tp
defer stop_driver
open_client "$agent_address"
open_client "$controller_socket"
open_client "$node_socket"
launch_node
start_agent
start_controller
node_starts
host_nqn=$(node NodeGetInfo | jq -r .node_id)
cap=$(capability SINGLE_NODE_WRITER block)

metadata() { # METHOD JSON
	rpc "$controller_socket" csi.v1.SnapshotMetadata "$@"
}

held() {
	dmsetup status vg-tp-tpool | awk '{ print $7 }'
}

snapshot() { # NAME: prints its ID
	controller CreateSnapshot "{\"name\":\"$1\",\"source_volume_id\":\"$volume\"}" |
		jq -r .snapshot.snapshot_id
}

bytes=$(((66 << 20) + 4096)) # a multiple neither of the extents nor of the chunks
provision raw $bytes
publish "$volume" pod >/dev/null
check_program metadata_rounds "$controller_socket" "$volume" "$(pod pod)" /dev/vg/nvmeot- "" \
	"${ROUNDS:-2}" $(((5 << 20) + 4096))
check "no metadata snapshot is left" [ "$(held)" = - ]

older=$(snapshot a)
dd if=/dev/urandom of="$(pod pod)" bs=4k count=1 seek=1000 oflag=direct status=none
newer=$(snapshot b)
both="{\"base_snapshot_id\":\"$older\",\"target_snapshot_id\":\"$newer\"}"
of_it="{\"snapshot_id\":\"$newer\"}"
check "of one block that is written its chunk is told" \
	[ "$(metadata GetMetadataDelta "$both" | jq -c .block_metadata)" = \
	'[{"byte_offset":4063232,"size_bytes":65536}]' ]

dmsetup message vg-tp-tpool 0 reserve_metadata_snap
check "that of another program is not taken" refuses UNAVAILABLE "another program has reserved" \
	metadata GetMetadataAllocated "$of_it"
check "nor released" [ "$(held)" != - ]
dmsetup message vg-tp-tpool 0 release_metadata_snap

touch /run/slow/hang
begin_rpc "$controller_socket" csi.v1.SnapshotMetadata GetMetadataAllocated "$of_it"
read -r sleeper </run/slow/there
check "it is held while thin_delta runs" [ "$(held)" != - ]
stop agent KILL
check "the call fails" refuses UNAVAILABLE . end_rpc "$controller_socket"
check "and after the death of the agent" [ "$(held)" != - ]
start_agent
check "but not after its next start" [ "$(held)" = - ]
kill "$sleeper"
check "which answers" metadata GetMetadataAllocated "$of_it"
check "and leaves none" [ "$(held)" = - ]

for id in "$older" "$newer"; do
	controller DeleteSnapshot "{\"snapshot_id\":\"$id\"}" >/dev/null
done
unpublish "$volume" pod >/dev/null
retire "$volume"
