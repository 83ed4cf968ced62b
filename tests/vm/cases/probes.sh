#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the processes say of themselves over HTTP while they start, work and end, and how a kubelet
# finds a node that registers itself.
# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"
make_pool "$pool_dir" 4G
defer stop_driver
node_socket=unix://$kubelet_dir/plugins/csi.nvmeot.io/csi.sock
registry=$kubelet_dir/plugins_registry
registration=unix://$registry/csi.nvmeot.io-reg.sock
mkdir -p "$registry" "$(dirname "${node_socket#unix://}")"
open_client "$agent_address"
open_client "$controller_socket"
open_client "$node_socket"
open_client "$registration"
agent_http=127.0.0.1:9601 controller_http=127.0.0.1:9602 node_http=127.0.0.1:9603

# get ADDRESS PATH: the body, then the status on a line of its own
get() {
	curl -s -w '%{http_code}\n' "http://$1$2" || true
}

answers_with() { # STATUS ADDRESS PATH
	local out
	out=$(get "$2" "$3")
	echo "$out"
	[ "$(tail -n 1 <<<"$out")" = "$1" ]
}

metric() { # ADDRESS SERIES: its value
	curl -s "http://$1/metrics" | awk -v series="$2" 'index($0, series " ") == 1 { print $NF }'
}

is() { # VALUE ADDRESS SERIES
	local value
	value=$(metric "$2" "$3")
	echo "$3 is $value"
	[ "$value" = "$1" ]
}

calls() { # SERVICE METHOD [CODE]
	echo "nvmeot_rpc_calls_total{service=\"$1\",method=\"$2\",code=\"${3:-OK}\"}"
}

memory() { # NAME
	awk '/^RssAnon/ { print $2 " KiB" }' "/proc/${pids[$1]}/status"
}

# --- the target -------------------------------------------------------------------------------

start_agent --http=$agent_http
start_controller --http=$controller_http
check "the controller is ready" answers_with 200 $controller_http /readyz
check "the target is ready" answers_with 200 $agent_http /readyz
check "and alive" answers_with 200 $agent_http /livez
check "a path that there is not" answers_with 404 $agent_http /
check "nothing is taken" eval '[ "$(curl -s -o /dev/null -w "%{http_code}" -d x http://$agent_http/livez)" = 405 ]'
create counted >/dev/null
check "the controller has counted the call" is 1 $controller_http \
	"$(calls csi.v1.Controller CreateVolume)"
check "so has the target" is 1 $agent_http "$(calls nvmeot.target.v1.Target CreateVolume)"
check "the target has a volume" is 1 $agent_http nvmeot_target_volumes
check "its pool answers" wait_for 30 is 1 $agent_http 'nvmeot_target_pool_up{pool="p1",kind="dir"}'
# Figures of a pool may be those of the scrape before.
check "what it has promised" wait_for 30 is 1073741824 $agent_http \
	'nvmeot_target_pool_provisioned_bytes{pool="p1"}'
check "of what it has" is "$(df -B1 --output=size "$pool_dir" | tail -n 1 | tr -d ' ')" \
	$agent_http 'nvmeot_target_pool_capacity_bytes{pool="p1"}'

# --- the node ---------------------------------------------------------------------------------

start_node --http=$node_http --kubelet-dir="$kubelet_dir"
host_nqn=$(node NodeGetInfo | jq -r .node_id)
check "the node is ready: its kernel is fit" wait_for 30 answers_with 200 $node_http /readyz
check "nothing is staged" is 0 $node_http nvmeot_node_volumes_staged
attach "$volume"
stage "$volume" >/dev/null
check "the target has an export" is 1 $agent_http nvmeot_target_exports
check "a volume is staged" is 1 $node_http nvmeot_node_volumes_staged
check "by a live controller" is 1 $node_http 'nvmeot_node_controllers{state="live"}'
check "the call is counted" is 1 $node_http "$(calls csi.v1.Node NodeStageVolume)"
check "one that fails, too" refuses NOT_FOUND . node NodeGetVolumeStats \
	"{\"volume_id\":\"t1/p1/00000000-0000-4000-8000-000000000009\",\"volume_path\":\"/nowhere\"}"
check "by its code" is 1 $node_http "$(calls csi.v1.Node NodeGetVolumeStats NOT_FOUND)"
check "nothing runs" is 0 $node_http nvmeot_node_jobs

# --- a target that is away --------------------------------------------------------------------

stop agent KILL
check "a node without its target is alive" answers_with 200 $node_http /livez
check "and ready" wait_for 30 answers_with 200 $node_http /readyz

# --- restart ----------------------------------------------------------------------------------

# What a probe sees from the first moment on; nothing but these two, and never the second first.
: >/run/seen
watch_start() {
	until [ -e /run/watched ]; do
		curl -s -o /dev/null -w '%{http_code}\n' "http://$agent_http/readyz" >>/run/seen || true
	done
}
watch_start &
watcher=$!
start_agent --http=$agent_http
touch /run/watched
wait $watcher || true
note "a probe sees while the target restarts: $(uniq -c /run/seen | tr -s ' \n' ' ')"
check "not there, then not ready, then ready" eval \
	'[[ $(uniq /run/seen | tr "\n" " ") =~ ^(000\ )?(503\ )?(200\ )?$ ]]'
check "ready after its restore" answers_with 200 $agent_http /readyz
check "the restored volume is counted" is 1 $agent_http nvmeot_target_volumes
check "and its export" is 1 $agent_http nvmeot_target_exports
note "anonymous memory of the target: $(memory agent), of the node: $(memory node)"

# --- registration -----------------------------------------------------------------------------

check "a kubelet finds one socket" [ "$(ls "$registry")" = csi.nvmeot.io-reg.sock ]
info=$(rpc "$registration" pluginregistration.Registration GetInfo)
echo "$info"
check "which says who is there" [ "$(jq -cS . <<<"$info")" = "$(jq -cnS --arg path \
	"${node_socket#unix://}" '{type: "CSIPlugin", name: "csi.nvmeot.io", endpoint: $path,
	supported_versions: ["1.0.0"]}')" ]
rpc "$registration" pluginregistration.Registration NotifyRegistrationStatus \
	'{"plugin_registered":true}' >/dev/null
check "it was registered" grep -q "registered with the kubelet" "$run_dir/node.log"
rpc "$registration" pluginregistration.Registration NotifyRegistrationStatus \
	'{"error":"no such node"}' >/dev/null || true
status=0
wait "${pids[node]}" || status=$?
unset "pids[node]"
check "turned down, the node ends with status 1" [ $status = 1 ]
check "and says why" grep -q "cannot run .*no such node" "$run_dir/node.log"
check "its sockets are gone" [ -z "$(ls -A "$registry" "$(dirname "${node_socket#unix://}")" |
	grep -F .sock)" ]
start_node --kubelet-dir="$kubelet_dir"
check "the volume is still staged" [ "$(controllers)" = 1 ]
stop node KILL
check "a killed node leaves its sockets" [ -S "${registration#unix://}" ]
start_node --kubelet-dir="$kubelet_dir"
check "the next one takes them over" answers "$registration" pluginregistration.Registration GetInfo
check "and nothing else is there" [ "$(ls -A "$registry")" = csi.nvmeot.io-reg.sock ]
check "an endpoint that the kubelet would not find" eval '! "$NVMEOT_BUILD/bin/nvmeot-csi" \
	--role=node --endpoint=unix:///run/x.sock --kubelet-dir="$kubelet_dir" 2>/run/out &&
	grep -q "endpoint .*run/x.sock.* is not below --kubelet-dir" /run/out'
check "an address that is taken" eval '! "$NVMEOT_BUILD/bin/nvmeot-csi" --role=controller \
	--endpoint=unix:///run/x.sock --http=$agent_http 2>/run/out &&
	grep -q "listen at $agent_http: Address already in use" /run/out'
retire "$volume"

# --- the end ----------------------------------------------------------------------------------

stop agent
check "the target ends with status 0" [ "$stopped" = 0 ]
check "and its address is free" answers_with 000 $agent_http /livez
