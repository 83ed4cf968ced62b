#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The same as snapshots-chain in a pool of thin volumes, of which each change takes longer the more there
# are. Some of them; by hand ROUNDS says how many.
# by hand: lvm2 takes seconds for each of them in a guest
# timeout: 3000
# shellcheck source=tests/vm/guest/snapshots_chain.sh
. "$NVMEOT_SRC/tests/vm/guest/snapshots_chain.sh"
# shellcheck source=tests/vm/guest/thin_pool.sh
. "$NVMEOT_SRC/tests/vm/guest/thin_pool.sh"
agent_flags=(--overcommit=p1=20)

# What lvm2 itself takes, and what it keeps of the group's metadata, each copy of which may have half
# of the area that is given.
note_bare() {
	took lvm lvcreate "${quiet[@]}" -q -y --snapshot -n bare --setactivationskip n "vg/nvmeot-$(id_of V)"
	note "lvcreate --snapshot took $(ms "$took_us")"
	took lvm lvs "${quiet[@]}" -o lv_name -S lv_name=bare vg
	note "lvs of one took $(ms "$took_us")"
	lvm lvremove "${quiet[@]}" -q -y vg/bare
	note "free of the metadata area: $(lvm vgs "${quiet[@]}" --noheadings -o vg_mda_free,vg_mda_size vg | xargs)"
}

make_thin_pool 2G 64M 3G
pool=p1=lvm:vg/tp
defer stop_driver
open_client "$agent_address"
start_agent "${agent_flags[@]}"
chain "${ROUNDS:-8}"

# Tags take what lvm2 keeps of the group, as thousands of thin volumes would: at last no short one fits.
fill_group() {
	local -a tags
	local letters count i last=0
	letters=$(printf 'x%.0s' {1..200})
	for count in 100 10 1; do
		while :; do
			tags=()
			for ((i = 0; i < count; i++)); do tags+=(--addtag "$letters.$((last++))"); done
			lvm lvchange "${quiet[@]}" -q "${tags[@]}" vg/tp >/run/said 2>&1 || break
		done
	done
}

make_volume V $chain_bytes >/dev/null
take S V >/dev/null
fill_group
note "$(tail -n 1 /run/said)"
check "a group without room for one more is said to be full" refuses RESOURCE_EXHAUSTED \
	"exceeds maximum metadata size.*--metadatasize in pvcreate" take T V
check "nothing is left of it" [ "$(snapshots)" = S ]
check "what there is can go" drop S
delete_volume V >/dev/null
