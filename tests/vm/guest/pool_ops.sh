# SPDX-License-Identifier: Apache-2.0
#
# Sourced by cases that drive the pool of thin_pool.sh by its own operations, without a target.
# shellcheck shell=bash

bytes=$((18 << 20)) # not a multiple of the extent size
# shellcheck disable=SC2034 # for the cases
grown=$((41 << 20))

# One operation by a process of its own.
once() {
	"$NVMEOT_BUILD/tests/pool_ops" p=lvm:vg/tp "$@"
}

# One process for most of it: opening a pool takes some commands of lvm2.
serve() {
	local to from

	coproc server { exec "$NVMEOT_BUILD/tests/pool_ops" p=lvm:vg/tp -; }
	to=${server[1]} from=${server[0]} server_pid=$server_PID
	exec {to_server}>&"$to" {from_server}<&"$from"
	# Its input ends with the last of them.
	exec {to}>&- {from}<&-
}

unserve() {
	exec {to_server}>&- {from_server}<&-
	wait "$server_pid" || true
}

ops() {
	local line

	echo "$*" >&"$to_server"
	while IFS= read -r line <&"$from_server"; do
		[[ $line != . ]] || return 0
		[[ $line != !* ]] || { echo "${line#!}" >&2; return 1; }
		echo "$line"
	done
	return 2
}

# How many devices of the machine are suspended.
suspended() {
	dmsetup info -c --noheadings -o name,suspended | grep -c Suspended || true
}
