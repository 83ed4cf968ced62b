# SPDX-License-Identifier: Apache-2.0
#
# Sourced by the cases that soak the node: rounds of random calls and writes, in which the node is
# killed and the network is cut at random moments. What was synced has to be there at the end of each
# round, in a file system that fsck finds nothing wrong with.
#
# SEED (default: random, printed) chooses all that happens but its timing; ROUNDS how often.
# shellcheck shell=bash
# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"

seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
steps_of_round=16
types=(ext4 xfs btrfs)
# What must be there: a checksum for each file that was synced, a directory for each volume.
synced=/run/synced
volumes=()
writers=()
declare -A type_of=()
calls=0 kills=0 cuts=0 writes=0 failures=0 begun=

chance() { # N: true once in so many times
	((RANDOM % $1 == 0))
}

# --- what happens -----------------------------------------------------------------------------

new_volume() { # TYPE
	local cap
	cap=$(capability SINGLE_NODE_WRITER "$1")
	create "soak-$1" 402653184 >/dev/null && attach "$volume" || return
	type_of[$volume]=$1
	rm -rf "$synced/$1"
	mkdir -p "$synced/$1"
}

soak_start() {
	local type
	modprobe -a xfs btrfs nf_tables
	start_driver
	open_client "$node_socket" 60s
	for type in "${types[@]}"; do
		new_volume "$type"
		volumes+=("$volume")
	done
	RANDOM=$seed
	note "seed $seed"
}

# One call, which may fail: the node may be dead, the network may be cut.
call() { # COMMAND VOLUME [POD...]
	calls=$((calls + 1))
	as_type "$@" >/dev/null 2>>/run/refusals || failures=$((failures + 1))
}
as_type() { # COMMAND VOLUME [POD...]
	local cap
	cap=$(capability SINGLE_NODE_WRITER "${type_of[$2]}")
	"$@"
}

# begin_call COMMAND VOLUME [POD...]: in the background, by a client of its own
begin_call() {
	calls=$((calls + 1))
	(node_socket="$node_socket 60s"; as_type "$@" >/dev/null 2>>/run/refusals) &
	begun=$!
}

# Writes a file and, once it is synced, its checksum beside the volume. It hangs when the network is
# cut, and goes on when it is back.
write_file() { # VOLUME
	local type=${type_of[$1]} name=$((RANDOM % 20)) bytes=$((1024 * (RANDOM % 256 + 1))) dir
	dir=$(pod "$type")
	mountpoint -q "$dir" || return 0
	writes=$((writes + 1))
	(
		flock 9
		# From here until it is synced nothing is known of it.
		rm -f "$synced/$type/$name"
		head -c $bytes /dev/urandom >"/run/new-$type"
		cp "/run/new-$type" "$dir/$name" && sync "$dir/$name" "$dir" || exit
		sha256sum <"/run/new-$type" >"$synced/$type/$name"
	) 9>"/run/lock-$type" 2>>/run/refusals &
	writers+=($!)
}

kill_node() {
	kills=$((kills + 1))
	stop node KILL
	start_node
}

# The node is killed while it does something.
kill_node_within() { # COMMAND VOLUME [POD...]
	begin_call "$@"
	sleep "0.0$((RANDOM % 10))"
	kill_node
	wait $begun || true
}

cut_network() {
	cuts=$((cuts + 1))
	nft 'table inet cut { chain in { type filter hook input priority 0
		tcp dport 4420 drop
		tcp sport 4420 drop
	} }'
}

rejoin_network() {
	! nft list table inet cut >/dev/null 2>&1 || nft delete table inet cut
}

# A short cut is only felt by TCP; a long one outlasts the keep-alive timeout.
with_network_cut() { # COMMAND VOLUME [POD...]
	local for_s=0.$((RANDOM % 10))
	! chance 8 || for_s=8
	cut_network
	write_file "$2"
	begin_call "$@"
	sleep $for_s
	rejoin_network
	wait $begun || true
}

step() {
	local volume=${volumes[RANDOM % ${#volumes[@]}]} pod how=call
	pod=${type_of[$volume]}
	case $((RANDOM % 4)) in
	0) how=kill_node_within ;;
	1) how=with_network_cut ;;
	esac
	case $((RANDOM % 16)) in
	0 | 1 | 2) $how stage "$volume" ;;
	3 | 4 | 5) $how publish "$volume" "$pod" ;;
	6 | 7) $how unpublish "$volume" "$pod" ;;
	8) $how unstage "$volume" ;;
	*) write_file "$volume" ;;
	esac
}

# --- what must hold ---------------------------------------------------------------------------

fsck_image() { # VOLUME
	local image
	image=$(find "$pool_dir" -name "$(uuid_of "$1").img")
	case ${type_of[$1]} in
	ext4) e2fsck -fn "$image" ;;
	xfs) xfs_repair -n -f "$image" ;;
	btrfs) btrfs check --readonly "$image" ;;
	esac
}

verify_files() { # TYPE
	local file
	for file in "$synced/$1"/*; do
		[ -e "$file" ] || continue
		if [ "$(sha256sum <"$(pod "$1")/${file##*/}")" != "$(cat "$file")" ]; then
			echo "$file is not what was synced"
			return 1
		fi
	done
}

# What is asked for until it is so, by a CO that never gives up.
converges() { # COMMAND...
	wait_for 60 "$@"
}

verify_volume() { # VOLUME
	local type=${type_of[$1]}
	converges as_type stage "$1" && converges as_type publish "$1" "$type" &&
		verify_files "$type" && converges unpublish "$1" "$type" &&
		converges unstage "$1" || return
	fsck_image "$1" || { echo "fsck of the $type: status $?"; return 1; }
}

nothing_left() {
	[ "$(controllers)" = 0 ] && ! grep "$kubelet_dir\|$state_dir" /proc/self/mountinfo &&
		[ -z "$(find "$state_dir/volumes" "$state_dir/mnt" -mindepth 1)" ]
}

# A volume of the same name takes its place: the same ID, and empty.
renew() { # VOLUME
	detach "$1" >/dev/null && delete "$1" >/dev/null && new_volume "${type_of[$1]}"
}

round() {
	local i volume writer
	# Most begin with a pod, so that there is something to lose.
	for volume in "${volumes[@]}"; do
		chance 4 || { call stage "$volume"; call publish "$volume" "${type_of[$volume]}"; }
	done
	for ((i = 0; i < steps_of_round; i++)); do
		step
	done
	for writer in "${writers[@]}"; do
		wait "$writer" || true
	done
	writers=()
	for volume in "${volumes[@]}"; do
		verify_volume "$volume" || return
	done
	nothing_left && renew "${volumes[RANDOM % ${#volumes[@]}]}"
}

# Leaves nothing, so that the case can end after a round that failed.
soak_end() {
	local volume type
	rejoin_network
	for volume in "${volumes[@]}"; do
		type=${type_of[$volume]}
		[ ! -e "$(pod "$type")" ] || unpublish "$volume" "$type"
		unstage "$volume"
		detach "$volume" && delete "$volume"
	done >/dev/null
}

soak() { # ROUNDS
	local rounds=0 lost=0 begun_ms
	begun_ms=$(now_ms)
	soak_start
	while ((rounds < $1 && !lost)); do
		round >/run/round 2>&1 || lost=1
		((lost)) || rounds=$((rounds + 1))
		((rounds % 5)) || note "$rounds rounds in $((($(now_ms) - begun_ms) / 1000)) s"
	done
	note "$rounds rounds in $((($(now_ms) - begun_ms) / 1000)) s: $calls calls, of which at least" \
		"$failures were refused, $writes writes, $kills kills, $cuts cuts; seed $seed"
	check "after each round all that was synced is there and nothing else (SEED=$seed)" \
		eval "((!lost)) || { tail /run/round /run/refusals; false; }"
	check "the volumes go" soak_end
}
