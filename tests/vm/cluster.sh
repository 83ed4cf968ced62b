# SPDX-License-Identifier: Apache-2.0
#
# Sourced by cases of the whole driver that have several guests: `target` has pool, agent and
# controller, the others are nodes. What a guest does itself is called by `on`, with the functions of
# guest/driver.sh; here is what takes two of them.
# shellcheck shell=bash
# shellcheck source=tests/vm/guests.sh
. "$NVMEOT_SRC/tests/vm/guests.sh"

declare -A nqns=()

start_cluster() { # [dir|lvm]
	local guest
	for guest in "${vm_guests[@]}"; do
		[[ $guest == target ]] || on "$guest" launch_worker
	done
	on target start_storage "${1:-dir}"
	for guest in "${vm_guests[@]}"; do
		[[ $guest != target ]] || continue
		on "$guest" worker_starts
		nqns[$guest]=$(on "$guest" 'echo "$host_nqn"')
	done
}

# everywhere COMMAND...: on every guest, one after the other
everywhere() {
	local guest
	for guest in "${vm_guests[@]}"; do
		on "$guest" "$@"
	done
}

# create_volume NAME [BYTES] [PARAMETERS]: sets $volume, here and on the target
create_volume() {
	on target create "$@"
	volume=$(on target 'echo "$volume"')
}

# give_to GUEST: publishes $volume to it and gives it the contexts
give_to() {
	local contexts
	on target "host_nqn=${nqns[$1]} attach $volume"
	contexts=$(on target declare -p volume_contexts publish_contexts)
	on "$1" "${contexts//declare -A/declare -gA}; volume=$volume"
}

take_from() { # GUEST
	on target "host_nqn=${nqns[$1]} detach $volume" >/dev/null
}

# Guests have no use for these.
vm_own_functions=$(declare -F)
