# SPDX-License-Identifier: Apache-2.0
#
# Sourced by the scripts of this folder: where the cluster is, and how it is spoken to.
#
# Everything has an address in a network namespace of its own, in which nothing leads to the
# machine's network: a bridge with the control plane and, behind a tap each, the nodes. The API
# server listens at the address of the Service `kubernetes` itself, so that no kube-proxy is needed.
# shellcheck shell=bash
# shellcheck disable=SC2034  # for who sources it
cluster_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
src=$(cd "$cluster_here/../.." && pwd)
bin=$src/build/cluster/bin
images=$src/build/cluster/images
store=$images/store.disk
run=$src/build/cluster/run
logs=$src/build/cluster/log
kernel_version=6.12

netns=nvmeot-cluster
control=10.77.0.1
service=10.96.0.1
nodes=(node-a node-b)
storage_node=node-a
storage_address=10.77.0.11

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

node_number() { # NODE
	local i
	for i in "${!nodes[@]}"; do
		[[ ${nodes[i]} != "$1" ]] || echo $((i + 1))
	done
}

node_address() { # NODE
	echo "10.77.0.1$(node_number "$1")"
}

in_net() {
	nsenter --net="/run/netns/$netns" "$@"
}

kubectl() {
	in_net "$bin/kubectl" --kubeconfig "$run/admin.conf" "$@"
}

helm() {
	in_net "$src/build/bin/helm" --kubeconfig "$run/admin.conf" "$@"
}

# sidecar_image VALUE: by the chart's values, unless this cluster has others
sidecar_image() {
	yq -rs --arg name "$1" '.[0] * .[1] | .sidecars[$name].image' \
		"$src/charts/nvmeot-csi/values.yaml" "$src/tests/cluster/values.yaml"
}

# The snapshot controller that goes with the snapshotter
snapshot_controller_image() {
	sidecar_image snapshotter | sed 's|/csi-snapshotter:|/snapshot-controller:|'
}

# on NODE COMMAND: shell text that the node itself runs, beside all containers; with its status
on() {
	local out
	out=$(in_net busybox nc "$(node_address "$1")" 23 <<-SH
		{ $2
		} 2>&1 </dev/null
		printf '\nstatus %d' \$?
	SH
	) || true
	[[ ${out##*$'\n'} == status\ * ]] || return 255
	[[ ${out%$'\n'*} == '' ]] || echo "${out%$'\n'*}"
	return "${out##*status }"
}

# wait_for SECONDS COMMAND...: until it succeeds; nothing tells when, so it is asked each second.
wait_for() {
	local limit=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		((SECONDS < limit)) || return 1
		sleep 1
	done
}
