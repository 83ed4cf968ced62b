#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Many snapshots of one volume, each some blocks apart, in a directory: what the last costs, what they
# hold, deletion in random order, and the room that comes back. Some of them; ROUNDS=1000 takes all.
# timeout: 3000
# shellcheck source=tests/vm/guest/snapshots_chain.sh
. "$NVMEOT_SRC/tests/vm/guest/snapshots_chain.sh"
pool_size=64G
agent_flags=()

free_bytes() {
	df --output=avail -B 1 "$pool_dir" | tail -n 1
}

note_bare() {
	took cp --reflink=always "$(image V)" "$pool_dir/bare"
	note "cp --reflink took $(ms "$took_us")"
	rm "$pool_dir/bare"
}

start_target
chain "${ROUNDS:-20}"
