#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The operator's tool against a real agent, beside one that is not there; and where the agent says
# that it stands, as the controller tells it on.
# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"
make_pool "$pool_dir" 4G
defer stop_driver
open_client "$agent_address"
open_client "$controller_socket"
start_agent --topology=topology.kubernetes.io/zone=a --topology=example.com/rack=7

target=nvmeot.target.v1.Target
uuid=5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a11
host=nqn.2014-08.org.nvmexpress:uuid:aaaaaaaa-0000-4000-8000-000000000001
export NVMEOT_TARGET="t1=$agent_address"

ctl() {
	"$NVMEOT_BUILD/bin/nvmeotctl" "$@"
}

# shows REGEX ARGS...: a line of the output is like this
shows() {
	local regex=$1 out
	shift
	out=$(ctl "$@")
	echo "$out"
	grep -qE "^$regex\$" <<<"$out"
}

# prints WANT FILTER ARGS...: what jq makes of the JSON
prints() {
	local want=$1 filter=$2 out
	shift 2
	out=$(ctl "$@" -o json)
	echo "$out"
	[ "$(jq -c "$filter" <<<"$out")" = "$want" ]
}

check "help lists the commands" eval 'ctl --help | grep -q "nvmeotctl .* orphans"'
check "an empty target: a title and no volume" eval '[ "$(ctl volumes | wc -l)" = 1 ]'
rpc "$agent_address" $target CreateVolume "{\"target_id\":\"t1\",\"uuid\":\"$uuid\",\"pool\":\"p1\",
	\"name\":\"pvc-1\",\"size_bytes\":1073741824}" >/dev/null
check "volumes" shows "t1/p1/$uuid +pvc-1 +1Gi +none +- +0 +ok" volumes
rpc "$agent_address" $target Export "{\"target_id\":\"t1\",\"uuid\":\"$uuid\",
	\"host_nqn\":\"$host\",\"mode\":\"ACCESS_MODE_SINGLE_NODE\"}" >/dev/null
check "volumes of an exported one" \
	shows "t1/p1/$uuid +pvc-1 +1Gi +none +single-node +1 +ok" volumes
check "exact bytes in JSON" prints '["t1/p1/'$uuid'",1073741824,["'$host'"],[]]' \
	'[.volumes[0] | .volume_id, .size_bytes, .hosts, .conditions]' volumes
check "exports" shows "t1/p1/$uuid +$host +single-node +false" exports
check "exports in JSON" prints '["single-node",false]' '[.exports[0] | .access, .readonly]' exports
snapshot=6e6f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a12
write_first() { # MIB
	dd if=/dev/zero of="$pool_dir/$uuid.img" bs=1M count="$1" conv=notrunc,fsync status=none
}
write_first 3
rpc "$agent_address" $target CreateSnapshots "{\"target_id\":\"t1\",\"snapshots\":[{\"uuid\":\"$snapshot\",
	\"name\":\"snap-1\",\"volume_uuid\":\"$uuid\"}]}" >/dev/null
check "snapshots" shows "t1/p1/@$snapshot +snap-1 +1Gi +0 +20[0-9T:-]+Z +$uuid +-" snapshots
write_first 2
check "what one holds by itself" shows "t1/p1/@$snapshot +snap-1 +1Gi +2Mi +20.*" snapshots
check "in JSON" prints 2097152 '.snapshots[0].used_bytes' snapshots
rpc "$agent_address" $target DeleteSnapshot "{\"target_id\":\"t1\",\"uuid\":\"$snapshot\"}" >/dev/null
check "no snapshot any more" prints '[]' .snapshots snapshots
check "targets" shows "t1 +.* +p1 +dir +[0-9.]+Gi .* tcp://127.0.0.1:4420 .*" targets
segments='{"example.com/rack":"7","topology.kubernetes.io/zone":"a"}'
check "where the target stands" prints "$segments" '.targets[0].topology | to_entries | sort_by(.key) |
	from_entries' targets
check "targets in JSON" prints '["t1","p1"]' '[.targets[0] | .target, .pools[0].pool]' targets

: >"$pool_dir/00000000-0000-4000-8000-000000000001.img"
check "orphans" shows \
	"t1 +backing +p1 +00000000-0000-4000-8000-000000000001 +$pool_dir/00000000.*" orphans
check "orphans in JSON" prints '["backing"]' '[.orphans[].kind]' orphans
rm "$pool_dir"/00000000-*.img

NVMEOT_TARGET="t0=127.0.0.1:9 t1=$agent_address"
status=0
ctl volumes >/run/out 2>/run/errors || status=$?
check "a target that is not there: exit status UNAVAILABLE" [ $status = 14 ]
check "it is named on stderr" grep -q '^UNAVAILABLE: target t0: ' /run/errors
check "the other one is shown" grep -q "^t1/p1/$uuid " /run/out
status=0
ctl volumes -o json >/run/out 2>/run/errors || status=$?
check "in JSON: exit status UNAVAILABLE" [ $status = 14 ]
check "the error and the other one's volume" \
	[ "$(jq -c '[.errors[0].target, .errors[0].code, .volumes[0].uuid]' /run/out)" = \
	'["t0","UNAVAILABLE","'$uuid'"]' ]

rpc "$agent_address" $target Unexport "{\"target_id\":\"t1\",\"uuid\":\"$uuid\"}" >/dev/null
rpc "$agent_address" $target DeleteVolume "{\"target_id\":\"t1\",\"uuid\":\"$uuid\"}" >/dev/null

start_controller
cap=$(capability SINGLE_NODE_WRITER)
answer=$(controller CreateVolume "{\"name\":\"pvc-2\",\"volume_capabilities\":[$cap],
	\"capacity_range\":{\"required_bytes\":1073741824}}")
echo "$answer"
check "the controller says from where the volume can be reached" \
	[ "$(jq -cS '[.volume.accessible_topology[].segments]' <<<"$answer")" = "[$segments]" ]
check "nothing is made elsewhere" refuses RESOURCE_EXHAUSTED . controller CreateVolume \
	"{\"name\":\"pvc-3\",\"volume_capabilities\":[$cap],\"accessibility_requirements\":{
	\"requisite\":[{\"segments\":{\"topology.kubernetes.io/zone\":\"b\"}}]}}"
controller DeleteVolume "{\"volume_id\":\"$(jq -r .volume.volume_id <<<"$answer")\"}" >/dev/null
