# SPDX-License-Identifier: Apache-2.0
#
# Sourced by the cases that soak the node: rounds of random calls and writes, in which the node is
# killed and the network is cut at random moments. What was synced has to be there at the end of each
# round, in a file system that fsck finds nothing wrong with.
#
# SEED (default: random, printed) chooses all that happens but its timing; ROUNDS how often.
#
# There is a volume of each type, and a type is what a volume goes by here. A program that is started
# costs more than what it does in a round, so there are few: calls go through a client for each
# volume, writes through a shell for each, what is written was made before.
# shellcheck shell=bash
# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"

seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
steps_of_round=16
types=(ext4 xfs btrfs)
first_bytes=$((384 << 20)) # what a btrfs and an xfs want at least
growth_bytes=$((32 << 20))
# A lost connection is noticed and made again within a few seconds.
parameters='{"reconnectDelay":"1","keepAliveTmo":"2"}'
cut_that_is_noticed_s=4
# What is written: random bytes, and the checksum of each.
noise=/run/noise
sums=()
# What must be there: for each file that was synced its checksum, a directory for each volume.
synced=/run/synced
declare -A volume_of=() requests=() size_of=() grown=() writers_in=() writers_out=()
declare -A methods=([stage]=NodeStageVolume [publish]=NodePublishVolume [grow]=NodeExpandVolume
	[unpublish]=NodeUnpublishVolume [unstage]=NodeUnstageVolume)
node_is_up=1 network_is_cut=
calls=0 refused=0 kills=0 cuts=0 growths=0 writes=0

chance() { # N: true once in so many times
	((RANDOM % $1 == 0))
}

# A sleep that is no program: nobody ever writes to that pipe.
nap() { # SECONDS
	read -r -t "$1" <&"$silence" || true
}

# --- volumes ----------------------------------------------------------------------------------

new_volume() { # TYPE
	local cap
	cap=$(capability SINGLE_NODE_WRITER "$1")
	create "soak-$1" "$first_bytes" "$parameters" >/dev/null && attach "$volume" || return
	volume_of[$1]=$volume size_of[$1]=$first_bytes grown[$1]=
	mkdir -p "$synced/$1" "$(staging "$volume")" "$(dirname "$(pod "$1")")"
}

# A volume of the same name takes its place: with the same ID and contexts, and empty.
renew() { # TYPE
	local volume=${volume_of[$1]} cap
	cap=$(capability SINGLE_NODE_WRITER "$1")
	detach "$volume" && delete "$volume" && rm -f "$synced/$1"/* &&
		request_volume "soak-$1" "$first_bytes" "$parameters" &&
		attach_to "$host_nqn" "$volume" || return
	size_of[$1]=$first_bytes grown[$1]=
}

# What a CO sends, each time the same.
make_requests() { # TYPE
	local volume=${volume_of[$1]} id paths staged how
	id="\"volume_id\":\"$volume\""
	staged="\"staging_target_path\":\"$(staging "$volume")\""
	paths="$staged,\"target_path\":\"$(pod "$1")\""
	how="\"volume_capability\":$(capability SINGLE_NODE_WRITER "$1"),$(contexts "$volume")"
	requests[stage-$1]="{$id,$staged,$how}"
	requests[publish-$1]="{$id,$paths,$how}"
	requests[unpublish-$1]="{$id,\"target_path\":\"$(pod "$1")\"}"
	requests[unstage-$1]="{$id,$staged}"
}

# The CO has the target grow the volume; it asks the node for its part until that is done.
grow_at_target() { # TYPE
	growths=$((growths + 1))
	size_of[$1]=$((size_of[$1] + growth_bytes)) grown[$1]=1
	requests[grow-$1]="{\"volume_id\":\"${volume_of[$1]}\",\"volume_path\":\"$(pod "$1")\",
		\"capacity_range\":{\"required_bytes\":${size_of[$1]}}}"
	controller ControllerExpandVolume "{\"volume_id\":\"${volume_of[$1]}\",
		\"capacity_range\":{\"required_bytes\":${size_of[$1]}}}" >/dev/null
}

# --- calls ------------------------------------------------------------------------------------

begin_call() { # COMMAND TYPE
	calls=$((calls + 1))
	echo "$1 $2"
	begin_rpc "$node_socket 60s $2" csi.v1.Node "${methods[$1]}" "${requests[$1-$2]}"
}

# The call may have failed: the node may be dead, the network may be cut.
end_call() { # TYPE
	end_rpc "$node_socket 60s $1" >/dev/null 2>>/run/refusals || refused=$((refused + 1))
}

call() { # COMMAND TYPE
	await_node || return
	begin_call "$@"
	end_call "$2"
}

# Until it is so, by a CO that never gives up.
converges() { # COMMAND TYPE
	local end_s=$((SECONDS + 60))
	until begin_call "$@"; end_rpc "$node_socket 60s $2"; do
		((SECONDS < end_s)) || { echo "$1 of the $2 does not converge"; return 1; }
		nap 0.1
	done
}

# --- writes -----------------------------------------------------------------------------------

# Whoever writes to a volume: takes a line "NAME NOISE" for each file, and "end", which it answers
# with how many were written by then. It hangs when the network is cut, and goes on when it is back.
run_writer() { # TYPE
	local name which count=0 dir
	dir=$(pod "$1")/files
	while read -r name which; do
		if [ "$name" = end ]; then
			echo "$count"
		elif [ -d "$dir" ]; then
			# From here until it is synced nothing is known of it.
			: >"$synced/$1/$name"
			dd if="$noise/$which" of="$dir/$name" bs=1M conv=fsync status=none || continue
			echo "${sums[which]}  $name" >"$synced/$1/$name"
			count=$((count + 1))
		fi
	done
}

open_writer() { # TYPE
	local in out
	mkfifo "/run/writer-$1.in" "/run/writer-$1.out"
	exec {in}<>"/run/writer-$1.in" {out}<>"/run/writer-$1.out"
	writers_in[$1]=$in writers_out[$1]=$out
	run_writer "$1" <"/run/writer-$1.in" >"/run/writer-$1.out" 2>>/run/refusals &
	clients+=($!)
}

write_file() { # TYPE
	local name=$((RANDOM % 20)) which=$((RANDOM % ${#sums[@]}))
	echo "write $1 $name"
	echo "$name $which" >&"${writers_in[$1]}"
}

# Until all that was asked for is written.
await_writer() { # TYPE
	echo end >&"${writers_in[$1]}"
	read -r -t 120 "written[$1]" <&"${writers_out[$1]}" || { echo "a write to the $1 hangs"; return 1; }
}

make_noise() {
	local i sum
	mkdir -p "$noise"
	for ((i = 0; i < 32; i++)); do
		head -c $((1024 * (RANDOM % 256 + 1))) /dev/urandom >"$noise/$i"
	done
	while read -r sum _; do
		sums+=("$sum")
	done < <(cd "$noise" && sha256sum $(seq 0 31))
}

# --- what happens -----------------------------------------------------------------------------

soak_start() {
	local type
	modprobe -a xfs btrfs nf_tables
	start_driver
	mkfifo /run/silence
	exec {silence}<>/run/silence
	RANDOM=$seed
	make_noise
	for type in "${types[@]}"; do
		new_volume "$type"
		make_requests "$type"
		open_client "$node_socket" 60s "$type"
		open_writer "$type"
	done
	note "seed $seed"
}

# Does not wait until it is up again: that is for the next call.
kill_node() {
	kills=$((kills + 1))
	echo "kill"
	stop node KILL
	launch_node
	node_is_up=
}

await_node() {
	local end_s=$((SECONDS + 60))
	[ -z "$node_is_up" ] || return 0
	until is_ready "$node_socket"; do
		((SECONDS < end_s)) || { echo "the node does not start"; return 1; }
		nap 0.05
	done
	node_is_up=1
}

# The node is killed while it does something, or shortly after it.
kill_node_within() { # COMMAND TYPE
	local after_s=0.0$((RANDOM % 10))
	! chance 2 || after_s=0.$((RANDOM % 10))
	await_node || return
	begin_call "$@"
	nap $after_s
	kill_node
	end_call "$2"
}

cut_network() {
	cuts=$((cuts + 1))
	network_is_cut=1
	nft 'table inet cut { chain in { type filter hook input priority 0
		tcp dport 4420 drop
		tcp sport 4420 drop
	} }'
}

rejoin_network() {
	[ -z "$network_is_cut" ] || nft delete table inet cut
	network_is_cut=
}

# A short cut is only felt by TCP; a long one outlasts the keep-alive timeout.
with_network_cut() { # COMMAND TYPE
	local for_s=0.$((RANDOM % 10))
	! chance 8 || for_s=$cut_that_is_noticed_s
	await_node || return
	echo "cut for $for_s s"
	cut_network
	write_file "$2"
	begin_call "$@"
	nap $for_s
	rejoin_network
	end_call "$2"
}

step() {
	local type=${types[RANDOM % ${#types[@]}]} how=call
	case $((RANDOM % 4)) in
	0) how=kill_node_within ;;
	1) how=with_network_cut ;;
	esac
	case $((RANDOM % 16)) in
	0 | 1 | 2) $how stage "$type" ;;
	3 | 4 | 5) $how publish "$type" ;;
	6 | 7) $how unpublish "$type" ;;
	8) $how unstage "$type" ;;
	9) grow_at_target "$type" && $how grow "$type" ;;
	*) write_file "$type" ;;
	esac
}

# --- what must hold ---------------------------------------------------------------------------

fsck_image() { # TYPE
	local image=$pool_dir/${volume_of[$1]##*/}.img
	case $1 in
	ext4) e2fsck -fn "$image" ;;
	xfs) xfs_repair -n -f "$image" ;;
	btrfs) btrfs check --readonly "$image" ;;
	esac
}

verify_files() { # TYPE
	local file list=()
	for file in "$synced/$1"/*; do
		[ ! -s "$file" ] || list+=("$file")
	done
	[ ${#list[@]} = 0 ] || (cd "$(pod "$1")/files" && sha256sum -c --quiet --strict "${list[@]}")
}

# Half of them begin with the way back, so that what is read does not come from memory.
verify_volume() { # TYPE BACK_FIRST
	[ -z "$2" ] || { converges unpublish "$1" && converges unstage "$1"; } || return
	converges stage "$1" && converges publish "$1" || return
	[ -z "${grown[$1]}" ] || converges grow "$1" || return
	verify_files "$1" && converges unpublish "$1" && converges unstage "$1" || return
	fsck_image "$1" || { echo "fsck of the $1: status $?"; return 1; }
}

verify() {
	local type verifiers=() verifier result=0 back_first
	for type in "${types[@]}"; do
		back_first=$((RANDOM % 2))
		verify_volume "$type" "${back_first#0}" >"/run/verify-$type" 2>&1 &
		verifiers+=($!)
	done
	for verifier in "${verifiers[@]}"; do
		wait "$verifier" || result=1
	done
	((result == 0)) || tail -n 15 /run/verify-*
	return $result
}

nothing_left() {
	local left=() dir mounts
	for dir in /sys/class/nvme "$state_dir/volumes" "$state_dir/mnt"; do
		left+=("$dir"/*)
	done
	mapfile -t mounts </proc/self/mountinfo
	left+=("${mounts[@]}")
	for dir in "${left[@]}"; do
		case $dir in
		*'*') ;;
		/* | *" $kubelet_dir/"* | *" $state_dir/"*) echo "left: $dir"; return 1 ;;
		esac
	done
}

round() {
	local i type
	# Most begin with a pod, so that there is something to lose.
	for type in "${types[@]}"; do
		chance 4 || { call stage "$type"; call publish "$type"; }
		# Not below a path that nothing is mounted at.
		[[ -d $(pod "$type")/files || -z $(mount_flags "$(pod "$type")") ]] ||
			mkdir "$(pod "$type")/files" || return
	done
	for ((i = 0; i < steps_of_round; i++)); do
		step || return
	done
	for type in "${types[@]}"; do
		await_writer "$type" || return
	done
	await_node && verify && nothing_left && renew "${types[RANDOM % ${#types[@]}]}"
}

# Leaves nothing, so that the case can end after a round that failed.
soak_end() {
	local type volume
	rejoin_network
	for type in "${types[@]}"; do
		volume=${volume_of[$type]}
		converges unpublish "$type" && converges unstage "$type"
		detach "$volume" && delete "$volume"
	done >/dev/null
}

sum_up() { # ROUNDS
	local type
	writes=0
	for type in "${types[@]}"; do
		writes=$((writes + written[$type]))
	done
	note "$1 rounds in $((SECONDS - begun_s)) s: $calls calls, of which $refused were refused," \
		"$writes writes, $growths growths, $kills kills, $cuts cuts; seed $seed"
}

soak() { # ROUNDS
	local rounds=0 lost=0 begun_s
	declare -A written=()
	soak_start
	begun_s=$SECONDS
	while ((rounds < $1 && !lost)); do
		round >/run/round 2>&1 || lost=1
		((lost)) || rounds=$((rounds + 1))
		((rounds % 10 || lost)) || sum_up $rounds
	done
	((rounds % 10 == 0 && !lost)) || sum_up $rounds
	check "after each round all that was synced is there and nothing else (SEED=$seed)" \
		eval "((!lost)) || { tail -n 60 /run/round; tail -n 15 /run/refusals; false; }"
	check "the volumes go" soak_end
}
