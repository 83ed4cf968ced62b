#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A pool of thin volumes whose commands fail or are killed one by one, and whose lvm2 dies at its
# ioctls: what is done again converges.
# by hand: half an hour, for lvm2 is slow in an emulated machine
# timeout: 3600

# shellcheck source=tests/vm/guest/export.sh
. "$NVMEOT_SRC/tests/vm/guest/export.sh"
# shellcheck source=tests/vm/guest/thin_pool.sh
. "$NVMEOT_SRC/tests/vm/guest/thin_pool.sh"
# shellcheck source=tests/vm/guest/pool_ops.sh
. "$NVMEOT_SRC/tests/vm/guest/pool_ops.sh"

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
	PATH=/run/faulty:$PATH once "$@"
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

make_thin_pool
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
