#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A pool of thin volumes: its whole life by its own operations, what it looks like to a connected
# host, a crash of it at any command, of lvm2 at any of its calls, device nodes that are gone, and its
# ends: full data, full metadata.
# timeout: 2400
# The hosts' writes to a full pool.
# expect-kernel: (Buffer )?I/O error

# shellcheck source=tests/vm/guest/export.sh
. "$NVMEOT_SRC/tests/vm/guest/export.sh"
# shellcheck source=tests/vm/guest/thin_pool.sh
. "$NVMEOT_SRC/tests/vm/guest/thin_pool.sh"

bytes=$((18 << 20)) # not a multiple of the extent size
grown=$((41 << 20))

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

offer() {
	export_at "$1"
	connect
}

let_go() {
	disconnect
	unexport
}

usage_of() {
	ops usage | sed -n "s/^$1 //p"
}

# Bytes of the thin volume that are allocated.
mapped() {
	dmsetup status "vg-nvmeot--${uuid//-/--}" | awk '{ print $4 * 512 }'
}

flushes() {
	awk '{ print $16 }' "/sys/block/${pv#/dev/}/stat"
}

nothing_attached() {
	local left

	left=$(ls -d /dev/nvmeot-* /dev/mapper/nvmeot-* /sys/kernel/config/target/loopback/* \
		/sys/kernel/config/target/core/fileio_28160/* 2>/dev/null | grep -- - || true)
	left+=$(ls -d /sys/block/sd* 2>/dev/null || true)
	[[ -z $left ]] || { echo "left: $left"; return 1; }
}

# A direct write of N blocks of 64 KiB to the connected host's device; prints the flushes it took.
writes_flush() {
	local before

	before=$(flushes)
	dd if=/dev/urandom of="$device" bs=64k count="$1" seek="$2" oflag=direct status=none
	echo $(($(flushes) - before))
}

# A program of that name, before the real one on PATH, whose N-th call from now on is made to fail:
# "before" it does anything, "after" it has done it, or with its caller "killed" before.
make_faulty() {
	mkdir -p /run/faulty
	cat >"/run/faulty/$1" <<-EOF
		#!/bin/bash
		read -r n how </run/faulty/plan
		echo "\$((n - 1)) \$how" >/run/faulty/plan
		[[ \$n == 1 ]] || exec $(type -P "$1") "\$@"
		case \$how in
		before) echo "made to fail" >&2 && exit 5 ;;
		killed) kill -KILL \$PPID && exit 5 ;;
		after) $(type -P "$1") "\$@" && echo "made to fail" >&2 && exit 5 ;;
		esac
	EOF
	chmod +x "/run/faulty/$1"
}

plan() {
	echo "$1 $2" >/run/faulty/plan
}

gone() {
	faulty remove "$uuid"
}

fresh() {
	faulty remove "$uuid"
	faulty create "$uuid" "$bytes" volatile
}

# fault_everywhere FOUND BEGIN OPERATION...: from what BEGIN makes, the operation with its N-th
# command failing, and then again: it must converge to what is to be found. Begins after the three
# that open a pool, and ends at the N that is never reached.
fault_everywhere() {
	local expected=$1 begin=$2 how n left points=0
	shift 2

	for how in before after killed; do
		for ((n = 4; n < 11; n++)); do
			plan 0 before
			"$begin"
			plan "$n" "$how"
			faulty "$@" >/run/faulty/out 2>&1 || true
			read -r left _ </run/faulty/plan
			((left <= 0)) || break
			points=$((points + 1))
			plan 0 before
			faulty "$@"
			[[ $(faulty find "$uuid") == "$expected" ]]
		done
	done
	((points >= 3))
	echo "# $1: a command failed or was killed at each of $points points" >&3
}

faulty() {
	PATH=/run/faulty:$PATH "$NVMEOT_BUILD/tests/pool_ops" p=lvm:vg/tp "$@"
}

# An lvm2 that dies at the N-th of its ioctls, if the command is the planned one.
make_mortal() {
	mkdir -p /run/mortal
	cat >/run/mortal/lvm <<-EOF
		#!/bin/bash
		read -r command n </run/mortal/plan
		[[ \$command == "\$1" ]] || exec $(type -P lvm) "\$@"
		echo killed >/run/mortal/plan
		strace -qq -o /dev/null -e trace=ioctl -e inject=ioctl:signal=KILL:when=\$n \\
			$(type -P lvm) "\$@" || exit
		echo ended >/run/mortal/plan
	EOF
	chmod +x /run/mortal/lvm
}

suspended() {
	dmsetup info -c --noheadings -o name,suspended | grep -c Suspended || true
}

removed() {
	ops remove "$uuid"
}

anew() {
	removed
	ops create "$uuid" "$bytes" volatile
}

# killed_everywhere COMMAND BEGIN FOUND OPERATION...: by a process that goes on.
killed_everywhere() {
	local command=$1 begin=$2 expected=$3 n points=0
	shift 3

	for ((n = 1; n < 300; n += 18)); do
		"$begin"
		echo "$command $n" >/run/mortal/plan
		ops "$@" || true
		[[ $(suspended) == 0 ]]
		[[ $(</run/mortal/plan) == killed ]] || break
		points=$((points + 1))
		ops "$@"
		[[ $(ops find "$uuid") == "$expected" ]]
	done
	[[ $(</run/mortal/plan) == ended ]]
	((points >= 3))
	echo "# $1: $command was killed at $points points" >&3
}

no_records() {
	lvm lvremove "${quiet[@]}" -q -y vg/nvmeot-records-tp
}

# The records' file system is made whole, or made again, wherever its maker is killed.
first_open_killed_everywhere() {
	local n how points=0

	for how in after killed; do
		for ((n = 3; n < 10; n++)); do
			no_records
			plan "$n" "$how"
			faulty list >/run/faulty/out 2>&1 || true
			read -r left _ </run/faulty/plan
			((left <= 0)) || break
			points=$((points + 1))
			plan 0 before
			faulty create "$uuid" "$bytes" volatile
			[[ $(faulty list) == "$uuid" ]]
			faulty remove "$uuid"
		done
	done
	((points >= 4))
	echo "# first open: a command failed or was killed at each of $points points" >&3
}

one_life() {
	local cache=$1 took sum path

	ops create "$uuid" "$bytes" $cache
	check "a new volume has no data" [ "$(ops find "$uuid")" = "$((20 << 20)) blank" ]
	check "making it again is fine" ops create "$uuid" "$bytes" $cache
	check "it is listed" [ "$(ops list)" = "$uuid" ]
	ops attach-rw "$uuid" "$bytes" $cache
	path=$(ops path-rw "$uuid" "$bytes" $cache)
	check "hosts get exactly its size" [ "$(blockdev --getsize64 "$path")" = "$bytes" ]
	offer "$path"
	note "blocks of $(blockdev --getss "$device") bytes," \
		"$(cat "/sys/block/${device#/dev/}/queue/write_cache")"
	took=$(writes_flush 64 0)
	note "64 direct writes of 64 KiB: $took flushes of the disk below"
	if [[ $cache == volatile ]]; then
		check "writes are not flushed one by one" [ "$took" -lt 32 ]
	else
		check "each write is flushed before it is acknowledged" [ "$took" -ge 64 ]
	fi
	check "what is written is allocated" [ "$(mapped)" = $((4 << 20)) ]
	check "and is data" [ "$(ops find "$uuid")" = "$((20 << 20)) data" ]
	check "which is never made anew" refuses FAILED_PRECONDITION \
		"holds data and has no record" ops create "$uuid" "$bytes" $cache

	sum=$(dd if="$device" bs=1M iflag=direct status=none | md5sum)
	ops attach-rw "$uuid" "$bytes" $cache
	ops grow "$uuid" "$grown"
	ops grow "$uuid" "$grown"
	echo 1 >"$nvmet/subsystems/$nqn/namespaces/1/revalidate_size"
	check "hosts see it grow" wait_for 10 eval "[[ \$(blockdev --getsize64 $device) == $grown ]]"
	check "with its data" [ "$(dd if="$device" bs=1M count=$((bytes >> 20)) iflag=direct \
		status=none | md5sum)" = "$sum" ]
	check "the new end can be written" dd if=/dev/urandom of="$device" bs=1M count=1 \
		seek=$(((grown >> 20) - 1)) oflag=direct
	check "it never shrinks" refuses INTERNAL "backings are never cut" ops grow "$uuid" "$bytes"
	sum=$(dd if="$device" bs=1M iflag=direct status=none | md5sum)
	let_go
	check "what is attached goes" ops detach "$uuid"
	check "and leaves nothing" nothing_attached

	ops attach-ro "$uuid" "$grown" $cache
	offer "$(ops path-ro "$uuid" "$grown" $cache)"
	check "read-only, hosts read what was written" \
		[ "$(dd if="$device" bs=1M iflag=direct status=none | md5sum)" = "$sum" ]
	check "and cannot write" not dd if=/dev/zero of="$device" bs=64k count=1 oflag=direct
	# It may be taken for advice and not fail.
	blkdiscard "$device" || true
	check "nor discard" [ "$(dd if="$device" bs=1M iflag=direct status=none | md5sum)" = "$sum" ]
	let_go
	ops detach "$uuid"

	ops attach-rw "$uuid" "$grown" $cache
	offer "$(ops path-rw "$uuid" "$grown" $cache)"
	check "it is unharmed" [ "$(dd if="$device" bs=1M iflag=direct status=none | md5sum)" = "$sum" ]
	blkdiscard "$device"
	check "a discard reaches the thin pool" [ "$(mapped)" = 0 ]
	let_go
	ops detach "$uuid"
	check "removing" ops remove "$uuid"
	check "and once more" ops remove "$uuid"
	check "it is gone" [ "$(ops find "$uuid")" = absent ]
}

make_thin_pool
check "a thin pool that is not there is named" refuses FAILED_PRECONDITION "no thin pool vg/tq" \
	"$NVMEOT_BUILD/tests/pool_ops" p=lvm:vg/tq list
check "nothing is in a new pool" [ -z "$("$NVMEOT_BUILD/tests/pool_ops" p=lvm:vg/tp list)" ]
check "and nothing stays mounted" not grep nvmeot /proc/self/mountinfo
serve
note "capacity $(usage_of capacity), available $(usage_of available)"
check "its room is that of the thin pool less the reserve and the records" eval \
	"((\$(usage_of available) > 230 << 20 && \$(usage_of available) < 256 << 20))"

note "write cache none"
one_life ''
note "write cache volatile"
one_life volatile
unserve

make_faulty lvm
make_faulty mkfs.ext4
check "creating survives each of its commands" \
	fault_everywhere "$((20 << 20)) blank" gone create "$uuid" "$bytes" volatile
check "so does growing" fault_everywhere "$((44 << 20)) blank" fresh grow "$uuid" "$grown"
check "so does removing" fault_everywhere absent fresh remove "$uuid"
plan 0 before
gone
check "so does the making of the records' file system" first_open_killed_everywhere

make_mortal
echo none 0 >/run/mortal/plan
PATH=/run/mortal:$PATH serve
check "creating survives the death of lvm2" \
	killed_everywhere lvcreate removed "$((20 << 20)) blank" create "$uuid" "$bytes" volatile
check "so does growing" \
	killed_everywhere lvextend anew "$((44 << 20)) blank" grow "$uuid" "$grown"
check "so does removing" killed_everywhere lvremove anew absent remove "$uuid"
unserve
plan 0 before
fresh
for device in "vg-nvmeot--${uuid//-/--}" vg-tp-tpool vg-tp_tdata; do
	dmsetup suspend --noflush --nolockfs "$device"
done
check "an open resumes what was left suspended" faulty find "$uuid"
check "all of it" [ "$(suspended)" = 0 ]
rm -rf /dev/vg /dev/mapper/vg-*
check "without device nodes it is found" [ "$(faulty find "$uuid")" = "$((20 << 20)) blank" ]
rm -rf /dev/vg /dev/mapper/vg-*
check "attached" faulty attach-rw "$uuid" "$bytes" volatile
check "and detached" faulty detach "$uuid"
gone

serve
ops create "$uuid" "$((1 << 30))" volatile
check "more was made than there is room for, and that is said" eval \
	"ops usage | grep 'warning volumes may still write 1073741824 bytes'"
ops attach-rw "$uuid" "$((1 << 30))" volatile
offer "$(ops path-rw "$uuid" "$((1 << 30))" volatile)"
check "a write to a full thin pool fails" eval \
	"! dd if=/dev/zero of=$device bs=1M count=600 oflag=direct 2>/run/refusal &&
	grep 'error writing' /run/refusal"
check "the usage says so" eval "ops usage | grep -E 'warning the thin pool is in mode|only .* free'"
check "nothing is available" [ "$(usage_of available)" = 0 ]
blkdiscard "$device"
let_go
ops detach "$uuid"
ops remove "$uuid"
check "with the volume its room comes back" eval "((\$(usage_of available) > 230 << 20))"
unserve
