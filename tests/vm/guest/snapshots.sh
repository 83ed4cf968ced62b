# SPDX-License-Identifier: Apache-2.0
#
# Sourced by cases of snapshots and copies below CSI: an agent, and this machine as the host that is
# connected to its volumes.
# shellcheck shell=bash
# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"

host_id=0d1b3f52-93c6-4c43-8a39-1b2b0d7a2c77
host_nqn=nqn.2014-08.org.nvmexpress:uuid:$host_id
order_writer=$NVMEOT_BUILD/tests/order_writer

# The UUID of a short name: id_of V1
id_of() {
	local hex
	hex=$(md5sum <<<"$1")
	echo "${hex:0:8}-${hex:8:4}-4${hex:12:3}-8${hex:15:3}-${hex:18:12}"
}

agent() { # METHOD JSON
	rpc "$agent_address" nvmeot.target.v1.Target "$1" "{\"target_id\":\"t1\",$2}"
}

# make_volume NAME BYTES [SOURCE]: SOURCE is volume=NAME or snapshot=NAME
make_volume() {
	local source=
	[ $# = 2 ] || source=",\"source\":{\"${3%%=*}_uuid\":\"$(id_of "${3#*=}")\"}"
	agent CreateVolume "\"uuid\":\"$(id_of "$1")\",\"name\":\"$1\",\"size_bytes\":$2,
		\"pool\":\"${in_pool:-p1}\"$source"
}

delete_volume() { # NAME
	agent DeleteVolume "\"uuid\":\"$(id_of "$1")\",\"pool\":\"${in_pool:-p1}\""
}

# take NAME VOLUME [NAME VOLUME...]: one, or a group named after the first
take() {
	local items= group=
	[ $# = 2 ] || group=",\"group_uuid\":\"$(id_of "group $1")\",\"group_name\":\"group-$1\""
	while [ $# -gt 0 ]; do
		items+="{\"uuid\":\"$(id_of "$1")\",\"name\":\"$1\",\"volume_uuid\":\"$(id_of "$2")\"},"
		shift 2
	done
	agent CreateSnapshots "\"snapshots\":[${items%,}]$group"
}

drop() { # NAME of a snapshot
	agent DeleteSnapshot "\"uuid\":\"$(id_of "$1")\",\"pool\":\"${in_pool:-p1}\""
}

snapshots() { # their names, in order
	agent ListSnapshots '"max_entries":0' | jq -r '.snapshots[]?.name' | sort | xargs
}

# What it holds by itself, in bytes; -1: the pool cannot tell. JSON leaves 0 out.
used_by() { # NAME
	agent GetSnapshot "\"uuid\":\"$(id_of "$1")\",\"with_used_bytes\":true" | jq -r '.snapshot.used_bytes // 0'
}

image() { # NAME
	echo "$pool_dir/$(id_of "$1").img"
}

find_namespace() { # NAME: sets $device
	local file uuid
	uuid=$(id_of "$1")
	for file in /sys/class/nvme-subsystem/*/nvme*n*/uuid; do
		[[ -r $file && $(<"$file") == "$uuid" ]] || continue
		file=${file%/uuid}
		device=/dev/${file##*/}
		[[ -b $device ]] && return
	done
	return 1
}

# attach NAME: lets this host in and connects it; sets $device
attach() {
	agent Export "\"uuid\":\"$(id_of "$1")\",\"host_nqn\":\"$host_nqn\",
		\"mode\":\"ACCESS_MODE_SINGLE_NODE\"" >/dev/null
	echo "nqn=nqn.2026-11.io.nvmeot:$(id_of "$1"),transport=tcp,traddr=127.0.0.1,trsvcid=4420,\
nr_io_queues=1,hostid=$host_id,hostnqn=$host_nqn" >/dev/nvme-fabrics
	wait_for 20 find_namespace "$1"
}

detach() { # NAME
	local path
	for path in /sys/class/nvme/nvme*; do
		[ "$(<"$path/subsysnqn")" != "nqn.2026-11.io.nvmeot:$(id_of "$1")" ] ||
			echo 1 >"$path/delete_controller"
	done
	agent Unexport "\"uuid\":\"$(id_of "$1")\",\"host_nqn\":\"$host_nqn\"" >/dev/null
}

# An agent with an empty pool, and nothing else of the driver.
start_target() { # [FLAG...]
	make_pool "$pool_dir" "${pool_size:-8G}"
	defer stop_driver
	open_client "$agent_address"
	start_agent "$@"
}

# --- an ordered writer ------------------------------------------------------------------------

# start_order A B: counts in A, then in B, each durable before the next
start_order() {
	rm -f /run/order
	"$order_writer" write "$1" "$2" /run/order &
	order_pid=$!
	wait_for 20 order_beyond 0
}

order_beyond() {
	[ "$(ordered)" -gt "$1" ]
}

# How far it has come.
ordered() {
	"$order_writer" acknowledged /run/order 2>/dev/null || echo 0
}

order_goes_on() {
	wait_for 30 order_beyond $(($(ordered) + 5))
}

stop_order() {
	local status=0
	kill "$order_pid"
	wait "$order_pid" || status=$?
	check "the writer met no error" [ $status = 0 ]
}

# in_order A B LEAST: B is never ahead of A, and neither is behind what was acknowledged before.
in_order() {
	local a b
	a=$("$order_writer" read "$1")
	b=$("$order_writer" read "$2")
	echo "A has $a, B has $b, acknowledged were $3"
	((a >= b && b >= $3))
}
