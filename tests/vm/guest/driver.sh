# SPDX-License-Identifier: Apache-2.0
#
# Sourced by cases that run the driver: starts and stops its processes, and calls them as a CO does.
# shellcheck shell=bash
# shellcheck source=tests/vm/guest/lib.sh
. "$NVMEOT_SRC/tests/vm/guest/lib.sh"

run_dir=/run/nvmeot
kubelet_dir=/var/lib/kubelet
state_dir=/var/lib/nvmeot
pool_dir=/mnt/pool
portal=${portal:-tcp://127.0.0.1:4420}
pool=p1=dir:$pool_dir
controller_socket=unix://$run_dir/controller.sock
node_socket=unix://$run_dir/node.sock
agent_address=127.0.0.1:9500
declare -A pids=() clients_in=() clients_out=() volume_contexts=() publish_contexts=()
clients=()
mkdir -p "$run_dir" "$kubelet_dir"
# A node has a machine ID, from which its host NQN is derived; a bare root file system has none.
[ -s /etc/machine-id ] || echo 4f0d5c8e2b9a41d7a6c3e1f09b8d7c65 >/etc/machine-id

# A mode of CSI as a JSON capability: capability MODE [FSTYPE|block] [MOUNT_FLAG...]
capability() {
	local mode=$1 type=${2:-ext4} flags
	shift; [ $# -eq 0 ] || shift
	if [ "$type" = block ]; then
		printf '{"block":{},"access_mode":{"mode":"%s"}}' "$mode"
		return
	fi
	flags=$(printf '"%s",' "$@")
	[ $# -gt 0 ] || flags=
	printf '{"mount":{"fs_type":"%s","mount_flags":[%s]},"access_mode":{"mode":"%s"}}' \
		"$type" "${flags%,}" "$mode"
}

# What most cases use; a case may set another one before it calls.
cap=$(capability SINGLE_NODE_WRITER)

# --- processes --------------------------------------------------------------------------------

# start NAME BINARY ARGS...: in the background, with its log in $run_dir/NAME.log
start() {
	local name=$1
	shift
	"$NVMEOT_BUILD/bin/$@" >>"$run_dir/$name.log" 2>&1 &
	pids[$name]=$!
}

# start_agent [FLAG...]; with a second portal if the case has set far to its address.
start_agent() {
	mkdir -p "$pool_dir"
	start agent nvmeot-target --name=t1 --listen="$agent_address" --insecure \
		--portal="$portal" ${far:+--portal="tcp://$far:4420"} --pool="$pool" \
		--log-level="${log_level:-info}" "$@"
	wait_for 60 answers "$agent_address" nvmeot.target.v1.Target GetInfo || no_start agent
}

start_controller() { # [FLAG...]
	start controller nvmeot-csi --role=controller --endpoint="$controller_socket" --insecure \
		--target=t1="$agent_address" --log-level="${log_level:-info}" "$@"
	wait_for 60 is_ready "$controller_socket" || no_start controller
}

launch_node() { # [FLAG...]
	start node nvmeot-csi --role=node --endpoint="$node_socket" --state-dir="$state_dir" \
		--log-level="${log_level:-info}" "$@"
}

start_node() { # [FLAG...]
	launch_node "$@"
	node_starts
}

node_starts() {
	wait_for 60 is_ready "$node_socket" || no_start node
}

answers() {
	rpc "$@" >/dev/null 2>&1
}

is_ready() { # SOCKET
	[[ $(rpc "$1" csi.v1.Identity Probe 2>/dev/null) == *true* ]]
}

no_start() {
	sed 's/^/# /' "$run_dir/$1.log" >&3
	fail "$1 does not start"
}

# stop NAME [SIGNAL]: and wait; sets $stopped to the exit status, which is 0 for TERM.
stop() {
	stopped=0
	kill "-${2:-TERM}" "${pids[$1]}"
	wait "${pids[$1]}" 2>/dev/null || stopped=$?
	unset "pids[$1]"
}

# The machine's pieces: a pool, the agent, the controller and the node; all gone at the end. If the case
# has set a topology the node says it, and the target is reachable from everywhere.
start_driver() {
	# It needs nobody, so the others start meanwhile.
	launch_node ${topology:+--topology="$topology"}
	make_pool "$pool_dir" "${pool_size:-64G}"
	defer stop_driver
	open_client "$agent_address"
	open_client "$controller_socket"
	open_client "$node_socket"
	start_agent
	start_controller ${topology:+--topology-aware}
	node_starts
	host_nqn=$(node NodeGetInfo | jq -r .node_id)
}

# The pool of a target whose disk outlives it: made if the disk is empty. Both kinds go at the end.
take_dir_pool() {
	modprobe xfs
	[ -n "$(blkid /dev/vda)" ] || mkfs.xfs -q -m reflink=1 /dev/vda
	mkdir -p "$pool_dir"
	mount /dev/vda "$pool_dir" || return
	defer umount "$pool_dir"
}

take_lvm_pool() {
	local config='activation { udev_sync=0 udev_rules=0 }'
	export LVM_SUPPRESS_FD_WARNINGS=1
	modprobe -a dm_mod dm_thin_pool target_core_mod target_core_file tcm_loop sd_mod
	if [ -z "$(blkid /dev/vda)" ]; then
		vgcreate -qq --config "$config" vg /dev/vda
		lvcreate -qq --config "$config" --type thin-pool -l 90%FREE -n thin vg
	fi
	vgchange -qq --config "$config" -ay vg || return
	defer vgchange -qq --config "$config" -an vg
	pool=p1=lvm:vg/thin
}

# The driver over several guests: one is the target, and has the controller too, since an agent
# without TLS listens on loopback alone.
start_storage() { # [dir|lvm]
	"take_${1:-dir}_pool" || return
	defer stop_driver
	open_client "$agent_address"
	open_client "$controller_socket"
	start_agent
	start_controller
}

# The others are nodes.
launch_worker() {
	defer stop_driver
	open_client "$node_socket"
	launch_node
}

worker_starts() {
	node_starts
	host_nqn=$(node NodeGetInfo | jq -r .node_id)
}

stop_driver() {
	local name result=0
	kill "${clients[@]}"
	for name in "${!pids[@]}"; do
		stop "$name"
		[ "$stopped" = 0 ] || { echo "not ok - $name ends with status $stopped"; result=1; }
	done
	if [ "$vm_failed" = 1 ] || [ "${vm_explain:-0}" = 1 ] || [ $result = 1 ]; then
		tail -n 40 "$run_dir"/*.log | sed 's/^/# /'
	fi
	find /sys/kernel/config/nvmet/ports -mindepth 1 -maxdepth 1 -exec rmdir {} +
	return $result
}

# --- calls ------------------------------------------------------------------------------------

# One client per endpoint runs for the whole case: starting a program costs a second here, a call
# some milliseconds. It is started in the case's own shell, before any subshell needs it.
# With a TIMEOUT it is one more, for calls to "ENDPOINT TIMEOUT", and with a NAME yet another, for
# "ENDPOINT TIMEOUT NAME".
open_client() { # ENDPOINT [TIMEOUT [NAME]]
	local name=client-${#clients[@]} key="$*" in out
	mkfifo "$run_dir/$name.in" "$run_dir/$name.out"
	exec {in}<>"$run_dir/$name.in" {out}<>"$run_dir/$name.out"
	clients_in[$key]=$in clients_out[$key]=$out
	"$NVMEOT_BUILD/bin/nvmeotctl" --endpoint="$1" --timeout="${2:-60s}" rpc - \
		<"$run_dir/$name.in" >"$run_dir/$name.out" 2>>"$run_dir/$name.log" &
	clients+=($!)
}

# rpc ENDPOINT SERVICE METHOD [JSON]: prints the answer, or CODE: MESSAGE and fails
rpc() {
	begin_rpc "$@"
	end_rpc "$1"
}

# The same in two: what is to happen during the call comes between.
begin_rpc() { # ENDPOINT SERVICE METHOD [JSON]
	local json=${4:-{\}}
	printf '%s %s %s\n' "$2" "$3" "${json//[$'\n\t']/}" >&"${clients_in[$1]}"
}

end_rpc() { # ENDPOINT
	local line
	IFS= read -r -t 90 line <&"${clients_out[$1]}" || { echo "no answer from the client"; return 1; }
	if [ "${line%% *}" = OK ]; then
		echo "${line#OK }"
	else
		echo "${line%% *}: ${line#* }" >&2
		return 1
	fi
}

# hurried TIMEOUT COMMAND...: its calls of the node have this deadline, by the client opened for it.
hurried() {
	local node_socket="$node_socket $1"
	"${@:2}"
}

# within MS COMMAND...: it succeeds, and takes no longer
within() {
	local begun_ms took_ms status=0
	begun_ms=$(now_ms)
	"${@:2}" || status=$?
	took_ms=$(($(now_ms) - begun_ms))
	echo "took $took_ms ms" | tee /run/took
	((took_ms <= $1)) && return $status
}

controller() {
	rpc "$controller_socket" csi.v1.Controller "$@"
}

node() {
	rpc "$node_socket" csi.v1.Node "$@"
}

# request_volume NAME [BYTES] [PARAMETERS]: prints the answer
request_volume() {
	controller CreateVolume "{\"name\":\"$1\",\"volume_capabilities\":[$cap],
		\"capacity_range\":{\"required_bytes\":${2:-1073741824}},\"parameters\":${3:-{\}}}"
}

# create NAME [BYTES] [PARAMETERS]: sets $volume
create() {
	local answer
	answer=$(request_volume "$@") || return
	volume=$(jq -r .volume.volume_id <<<"$answer")
	volume_contexts[$volume]=$(jq -c '.volume.volume_context // {}' <<<"$answer")
}

# attach_to NODE_ID VOLUME [true: read-only]: prints the answer
attach_to() {
	controller ControllerPublishVolume "{\"volume_id\":\"$2\",\"node_id\":\"$1\",
		\"volume_capability\":$cap,\"readonly\":${3:-false},
		\"volume_context\":${volume_contexts[$2]}}"
}

# attach VOLUME [true: read-only]: publishes it to this node
attach() {
	local answer
	answer=$(attach_to "$host_nqn" "$@") || return
	publish_contexts[$1]=$(jq -c .publish_context <<<"$answer")
}

detach() {
	controller ControllerUnpublishVolume "{\"volume_id\":\"$1\",\"node_id\":\"$host_nqn\"}"
}

delete() {
	controller DeleteVolume "{\"volume_id\":\"$1\"}"
}

contexts() { # VOLUME
	printf '"volume_context":%s,"publish_context":%s' "${volume_contexts[$1]}" \
		"${publish_contexts[$1]}"
}

staging() { # VOLUME
	echo "$kubelet_dir/plugins/staging/${1##*/}"
}

staged() { # VOLUME: where it is bound in its staging path
	echo "$(staging "$1")/volume"
}

pod() { # NAME: the target path of a pod
	echo "$kubelet_dir/pods/$1/volume"
}

stage() { # VOLUME
	# On a file system that is dead not even that can be asked.
	mkdir -p "$(staging "$1")" 2>/dev/null || true
	node NodeStageVolume "{\"volume_id\":\"$1\",\"staging_target_path\":\"$(staging "$1")\",
		\"volume_capability\":$cap,$(contexts "$1")}"
}

unstage() { # VOLUME
	node NodeUnstageVolume "{\"volume_id\":\"$1\",\"staging_target_path\":\"$(staging "$1")\"}"
}

publish() { # VOLUME POD [true: read-only]
	mkdir -p "$kubelet_dir/pods/$2"
	node NodePublishVolume "{\"volume_id\":\"$1\",\"staging_target_path\":\"$(staging "$1")\",
		\"target_path\":\"$(pod "$2")\",\"volume_capability\":$cap,\"readonly\":${3:-false},
		$(contexts "$1")}"
}

unpublish() { # VOLUME POD
	node NodeUnpublishVolume "{\"volume_id\":\"$1\",\"target_path\":\"$(pod "$2")\"}"
}

# via VOLUME ADDRESS: the node is given this portal only
via() {
	publish_contexts[$1]=$(jq -c ".portals = \"tcp://$2:4420\"" <<<"${publish_contexts[$1]}")
}

# provision NAME [BYTES]: created, attached and staged; sets $volume
provision() {
	create "$@" >/dev/null
	attach "$volume"
	stage "$volume" >/dev/null
}

# retire VOLUME: everything back; the pods are unpublished already
retire() {
	unstage "$1" >/dev/null
	detach "$1" >/dev/null
	delete "$1" >/dev/null
}

# --- the second portal ------------------------------------------------------------------------

cut_far() {
	nft -f - <<-END
	table inet cut {
		chain in {
			type filter hook input priority 0
			ip daddr $far tcp dport 4420 drop
			ip saddr $far tcp sport 4420 drop
		}
	}
	END
}

rejoin_far() {
	nft delete table inet cut
}

# --- looking at the kernel --------------------------------------------------------------------

uuid_of() { # VOLUME
	echo "${1##*/}"
}

# device_of VOLUME: "nvme0n1"; fails when there is none
device_of() {
	local file
	for file in /sys/class/nvme-subsystem/*/nvme*n*/uuid; do
		[ "$(cat "$file" 2>/dev/null)" = "$(uuid_of "$1")" ] || continue
		basename "$(dirname "$file")"
		return
	done
	return 1
}

# mounts_of DEVICE: mountinfo lines of its file system
mounts_of() {
	local dev
	dev=$(cat "/sys/block/$1/dev")
	awk -v dev="$dev" '$3 == dev' /proc/self/mountinfo
}

controllers() { # how many NVMe controllers there are
	find /sys/class/nvme -mindepth 1 | wc -l
}

mount_flags() { # PATH: the per-mount options of the topmost mount there
	awk -v path="$1" '$5 == path { flags = $6 } END { print flags }' /proc/self/mountinfo
}

is_readonly() { # PATH
	[[ ,$(mount_flags "$1"), == *,ro,* ]]
}
