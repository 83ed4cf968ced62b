# SPDX-License-Identifier: Apache-2.0
#
# What snapshots-chain and snapshots-chain-lvm share: many snapshots of one volume, some blocks apart,
# deleted in random order, some of them restored in between.
# shellcheck shell=bash
# shellcheck source=tests/vm/guest/snapshots.sh
. "$NVMEOT_SRC/tests/vm/guest/snapshots.sh"

chain_writer=$NVMEOT_BUILD/tests/chain_writer
seed=${SEED:-$RANDOM}
chain_bytes=$((32 << 20))
RANDOM=$seed

# took COMMAND...: runs it; sets $took_us
took() {
	local begun=${EPOCHREALTIME/./}
	"$@" >/dev/null
	took_us=$((${EPOCHREALTIME/./} - begun))
}

ms() { # US
	printf '%d.%d ms' $(($1 / 1000)) $(($1 % 1000 / 100))
}

# The one in the middle of those from $1 on, of at most ten.
median_of_ten() { # FIRST US...
	local -a times
	mapfile -t times < <(printf '%s\n' "${@:$1 + 1:10}" | sort -n)
	echo "${times[$((${#times[@]} / 2))]}"
}

# take_chain ROUNDS: sets $spent, how long the n-th snapshot took
take_chain() {
	local i
	spent=()
	for ((i = 1; i <= $1; i++)); do
		"$chain_writer" write "$device" $i "$seed"
		took take S$i V
		spent+=("$took_us")
		case $i in
		1 | 10 | 100 | 1000 | "$1")
			note "snapshot $i took $(ms "$took_us")"
			took agent ListSnapshots '"max_entries":100'
			note "a page of at most 100 of $i took $(ms "$took_us")"
			note_bare
			;;
		esac
	done
	# shellcheck disable=SC2154
	chain_first=$(median_of_ten 1 "${spent[@]}") chain_last=$(median_of_ten $(($1 > 10 ? $1 - 9 : 1)) "${spent[@]}")
	note "of ten, the first took $(ms "$chain_first"), the last $(ms "$chain_last")," \
		"the slowest of all $(ms "$(printf '%s\n' "${spent[@]}" | sort -n | tail -n 1)")"
}

# What a snapshot is a snapshot of, by all of its blocks.
restored() { # ROUND
	local status=0 device
	make_volume R $chain_bytes snapshot="S$1" >/dev/null || return
	attach R || return
	"$chain_writer" check "$device" "$1" "$seed" || status=1
	detach R
	delete_volume R >/dev/null || status=1
	return $status
}

# Deletes all of them; every so often one of those that are left is restored.
drop_chain() { # ROUNDS
	local -a left
	local at every=$(($1 / 6 + 1))
	mapfile -t left < <(seq 1 "$1")
	while [ ${#left[@]} -gt 0 ]; do
		at=$((RANDOM % ${#left[@]}))
		took drop "S${left[at]}"
		left=("${left[@]:0:at}" "${left[@]:at+1}")
		((${#left[@]} % every == 0 && ${#left[@]} > 0)) || continue
		note "deletion $(($1 - ${#left[@]})) took $(ms "$took_us")"
		at=$((RANDOM % ${#left[@]}))
		restored "${left[at]}" || { echo "S${left[at]}"; return 1; }
	done
}

# is_room BYTES: the pool has at least as much free as that
is_room() {
	[ "$(free_bytes)" -ge "$1" ]
}

# A snapshot of which all that round 0 wrote is written anew: its deletion frees that. What the file
# system needs for itself comes and goes with it.
frees_what_it_holds() {
	local before
	take U V >/dev/null
	"$chain_writer" write "$device" 0 "$seed"
	before=$(free_bytes)
	echo "it holds $(used_by U)"
	[ "$(used_by U)" = $((4 << 20)) ]
	drop U >/dev/null
	wait_for 20 is_room $((before + (4 << 20) - (64 << 10))) || echo "little was freed"
	echo "$(free_bytes) bytes are free, $before were"
	[ $(($(free_bytes) - before - (4 << 20))) -lt $((64 << 10)) ]
}

# A case says what free_bytes prints and what note_bare notes, for comparing, and gives start_agent its flags.
chain() { # ROUNDS
	local room rounds=$1
	note "SEED=$seed"
	room=$(free_bytes)
	make_volume V $chain_bytes >/dev/null
	attach V
	"$chain_writer" write "$device" 0 "$seed"
	take_chain "$rounds"
	# Few of them are over before the machine below has other things to do, or none any more.
	((rounds < 100)) ||
		check "the last ones take no longer than thrice the first" [ "$chain_last" -le $((3 * chain_first)) ]
	check "there are $rounds" [ "$(snapshots | wc -w)" = "$rounds" ]
	stop agent KILL
	took start_agent "${agent_flags[@]}"
	note "a start with them took $(ms "$took_us")"
	check "a restarted agent knows them" [ "$(snapshots | wc -w)" = "$rounds" ]
	check "the volume is what the last round left" "$chain_writer" check "$device" "$rounds" "$seed"
	drop_chain "$rounds" >&3 || fail "one was not what it was taken of"
	check "they are gone" [ -z "$(snapshots)" ]
	check "the volume is still what the last round left" "$chain_writer" check "$device" "$rounds" "$seed"
	check "one frees what it is said to hold" frees_what_it_holds
	detach V
	delete_volume V >/dev/null
	wait_for 20 is_room "$room" || true
	note "$(free_bytes) bytes are free, $room were"
	check "all room has come back" is_room "$room"
}
