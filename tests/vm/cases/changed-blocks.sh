#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Changed blocks by CSI: snapshots of a raw volume that a pod writes; what the service streams, applied
# to a copy, makes it each snapshot, and the volume, byte for byte. And what is refused. Some
# snapshots; ROUNDS=100 takes them all.
# timeout: 1800
# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"
start_driver
cap=$(capability SINGLE_NODE_WRITER block)

metadata() {
	rpc "$controller_socket" csi.v1.SnapshotMetadata "$@"
}

# snapshot NAME VOLUME: prints its ID
snapshot() {
	controller CreateSnapshot "{\"name\":\"$1\",\"source_volume_id\":\"$2\"}" |
		jq -r .snapshot.snapshot_id
}

check "the service is said to be there" eval "rpc $controller_socket csi.v1.Identity \
	GetPluginCapabilities | grep -q SNAPSHOT_METADATA_SERVICE"
provision raw $((64 << 20))
publish "$volume" pod >/dev/null
check_program metadata_rounds "$controller_socket" "$volume" "$(pod pod)" "$pool_dir/" .img "${ROUNDS:-8}" 0

raw=$volume
unpublish "$raw" pod >/dev/null
create other $((64 << 20)) >/dev/null
a=$(snapshot a "$raw")
b=$(snapshot b "$raw")
of_other=$(snapshot c "$volume")
check "two snapshots of an unchanged volume do not differ" eval \
	"[[ \$(metadata GetMetadataDelta '{\"base_snapshot_id\":\"$a\",\"target_snapshot_id\":\"$b\"}' |
		jq -c '[.volume_capacity_bytes, .block_metadata // []]') == '[67108864,[]]' ]]"
check "a blank volume has nothing allocated" eval \
	"[[ \$(metadata GetMetadataAllocated '{\"snapshot_id\":\"$of_other\"}' |
		jq -c '.block_metadata // []') == '[]' ]]"
check "of snapshots of two volumes it is refused" refuses INVALID_ARGUMENT "of volume" \
	metadata GetMetadataDelta "{\"base_snapshot_id\":\"$of_other\",\"target_snapshot_id\":\"$b\"}"
absent=${a%????}0000
check "of a snapshot that is not there" refuses NOT_FOUND "has no.*${absent##*@}" \
	metadata GetMetadataAllocated "{\"snapshot_id\":\"$absent\"}"
check "from beyond its end" refuses OUT_OF_RANGE 67108865 \
	metadata GetMetadataAllocated "{\"snapshot_id\":\"$a\",\"starting_offset\":67108865}"
for id in "$a" "$b" "$of_other"; do
	controller DeleteSnapshot "{\"snapshot_id\":\"$id\"}" >/dev/null
done
check "of one that is deleted" refuses NOT_FOUND "has no.*${b##*@}" \
	metadata GetMetadataDelta "{\"base_snapshot_id\":\"$a\",\"target_snapshot_id\":\"$b\"}"
delete "$volume" >/dev/null
retire "$raw"
