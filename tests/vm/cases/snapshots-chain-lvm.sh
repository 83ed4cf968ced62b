#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The same as snapshots-chain in a pool of thin volumes, of which each change takes longer the more there
# are. Some of them; by hand ROUNDS says how many.
# timeout: 3000
# shellcheck source=tests/vm/guest/snapshots_chain.sh
. "$NVMEOT_SRC/tests/vm/guest/snapshots_chain.sh"
# shellcheck source=tests/vm/guest/thin_pool.sh
. "$NVMEOT_SRC/tests/vm/guest/thin_pool.sh"
agent_flags=(--overcommit=p1=20)

free_bytes() {
	dmsetup status vg-tp-tpool | awk '{ split($6, data, "/"); print data[2] - data[1] }'
}

make_thin_pool 2G 64M 3G
pool=p1=lvm:vg/tp
defer stop_driver
open_client "$agent_address"
start_agent "${agent_flags[@]}"
chain "${ROUNDS:-8}"
