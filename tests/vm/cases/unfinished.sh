#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A mkfs that is cut short: the node that began it finishes it, whatever ended it, and no other node
# does. With the intent still there, nothing but an unfinished mkfs is ever written over.
# timeout: 1500
# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"

# While /run/cut is there, a mkfs of the node is killed at its nth write, whose number it holds.
# Then it fails or, while the gate is there, keeps the device open until somebody opens the gate,
# and writes to it once more.
gate=/run/gate
mkdir /run/programs
for fs in ext4 xfs btrfs; do
	cat >/run/programs/mkfs.$fs <<-END
	#!/bin/bash
	real=$(command -v mkfs.$fs)
	echo "\${@: -1}" >>/run/formatted
	[ -e /run/cut ] || exec "\$real" "\$@"
	strace -f -qq -o /dev/null -e inject=pwrite64:signal=KILL:when=\$(cat /run/cut) "\$real" "\$@"
	rm /run/cut
	[ -p $gate ] || exit 1
	exec 9<>"\${@: -1}"
	echo \$\$ >/run/waiting
	read -r _ <$gate
	head -c 1M /dev/urandom >&9
	exec 9>&-
	echo done >/run/late
	END
	chmod +x /run/programs/mkfs.$fs
done
PATH=/run/programs:$PATH
start_driver

intent() {
	echo "$state_dir/formatting/$(uuid_of "$volume")"
}
image() {
	echo "$pool_dir/$(uuid_of "$volume").img"
}
formatted() { # TIMES: so often since it was asked last
	local times=0
	[ ! -e /run/formatted ] || times=$(wc -l </run/formatted)
	rm -f /run/formatted
	echo "mkfs ran $times times"
	[ "$times" = "$1" ]
}
# remember: what the backing holds now; unchanged: it holds that still, byte for byte.
remember() {
	cp --sparse=always "$(image)" /run/remembered
}
unchanged() {
	cmp "$(image)" /run/remembered
}
reattach() {
	detach "$volume" >/dev/null
	attach "$volume"
}
works() { # the volume is staged, and holds what is written to it over an unstage
	publish "$volume" pod >/dev/null
	echo data >"$(pod pod)/file"
	unpublish "$volume" pod >/dev/null
	unstage "$volume" >/dev/null
	stage "$volume" >/dev/null
	publish "$volume" pod >/dev/null
	grep -q data "$(pod pod)/file"
	unpublish "$volume" pod >/dev/null
}

# Somewhere in the middle of each, where something is there already.
declare -A cuts=([ext4]=20 [xfs]=30 [btrfs]=24)
declare -A sizes=([ext4]=268435456 [xfs]=335544320 [btrfs]=268435456)
for fs in ext4 xfs btrfs; do
	cap=$(capability SINGLE_NODE_WRITER $fs)
	create "cut-$fs" "${sizes[$fs]}" >/dev/null
	attach "$volume"
	rm -f /run/formatted
	echo "${cuts[$fs]}" >/run/cut
	check "$fs: a mkfs that dies fails the stage" refuses INTERNAL "mkfs.$fs" stage "$volume"
	check "$fs: which leaves no connection and no record" \
		eval '[ "$(controllers)" = 0 ] && [ -z "$(ls "$state_dir/volumes")" ]'
	check "$fs: but the intent, durably" grep -qx $fs "$(intent)"
	unstage "$volume" >/dev/null
	check "$fs: an unstage leaves it, too" grep -qx $fs "$(intent)"
	reattach
	check "$fs: the target does not call the volume blank any more" \
		grep -q '"blank":"false"' <<<"${publish_contexts[$volume]}"
	remember
	mv "$(intent)" /run/intent
	check "$fs: without the intent it is refused, with the way out" \
		refuses FAILED_PRECONDITION "mkfs.$fs that was cut short.*only the node that began it" \
		stage "$volume"
	check "$fs: so it is for a static handle" eval '
		volume_contexts[handle]="{\"nqn\":\"nqn.2026-11.io.nvmeot:$(uuid_of "$volume")\",
			\"portals\":\"tcp://127.0.0.1:4420\",\"nsUuid\":\"$(uuid_of "$volume")\"}"
		publish_contexts[handle]="{}"
		refuses FAILED_PRECONDITION "cut short" stage handle'
	mv /run/intent "$(intent)"
	check "$fs: a static handle is refused although there is one" eval '
		volume_contexts[handle]="{\"nqn\":\"nqn.2026-11.io.nvmeot:$(uuid_of "$volume")\",
			\"portals\":\"tcp://127.0.0.1:4420\",\"nsUuid\":\"$(uuid_of "$volume")\"}"
		publish_contexts[handle]="{}"
		refuses FAILED_PRECONDITION "by hand" stage handle'
	check "$fs: another file system is refused" eval '
		cap=$(capability SINGLE_NODE_WRITER $([ $fs = ext4 ] && echo btrfs || echo ext4))
		refuses FAILED_PRECONDITION "holds|that was cut short" stage "$volume"'
	stop node
	mine=$state_dir state_dir=/var/lib/another
	start_node
	check "$fs: on another node it is refused" \
		refuses FAILED_PRECONDITION "only the node that began it may finish it" stage "$volume"
	stop node
	state_dir=$mine
	start_node
	check "$fs: not one byte changed by all of it" unchanged
	formatted 1 >/dev/null
	check "$fs: the node that began it finishes it" stage "$volume"
	check "$fs: with one more mkfs" formatted 1
	check "$fs: and the intent is gone" not test -e "$(intent)"
	check "$fs: the volume works" works

	# An intent that outlived its mkfs: the volume has data by now, perhaps another node's.
	unstage "$volume" >/dev/null
	reattach
	echo $fs >"$(intent)"
	stage "$volume" >/dev/null
	publish "$volume" pod >/dev/null
	check "$fs: an intent beside a finished file system formats nothing" \
		eval 'grep -q data "$(pod pod)/file" && formatted 0'
	check "$fs: and goes" not test -e "$(intent)"
	unpublish "$volume" pod >/dev/null
	retire "$volume"
done

# The node is killed in the midst, and the mkfs that it began lives on and holds the device.
for fs in ext4 xfs btrfs; do
	cap=$(capability SINGLE_NODE_WRITER $fs)
	create "killed-$fs" "${sizes[$fs]}" >/dev/null
	attach "$volume"
	rm -f /run/formatted /run/waiting /run/late
	mkfifo $gate
	echo "${cuts[$fs]}" >/run/cut
	stage "$volume" >/dev/null 2>&1 &
	call=$!
	wait_for 60 test -e /run/waiting
	device=$(device_of "$volume")
	stop node KILL
	wait $call || true
	check "$fs: killed: the old mkfs lives" kill -0 "$(cat /run/waiting)"
	start_node
	check "$fs: killed: the next life of the node finishes what was begun" stage "$volume"
	check "$fs: killed: on a device that the old mkfs does not have" \
		[ "$(device_of "$volume")" != "$device" ]
	check "$fs: killed: the intent is gone" not test -e "$(intent)"
	publish "$volume" pod >/dev/null
	head -c 4M /dev/urandom >"$(pod pod)/file"
	sync "$(pod pod)/file"
	before=$(sha256sum <"$(pod pod)/file")
	echo >$gate
	rm $gate
	check "$fs: killed: the old mkfs writes at last" wait_for 30 test -e /run/late
	unpublish "$volume" pod >/dev/null
	unstage "$volume" >/dev/null
	stage "$volume" >/dev/null
	publish "$volume" pod >/dev/null
	check "$fs: killed: and has harmed nothing" \
		[ "$(sha256sum <"$(pod pod)/file")" = "$before" ]
	unpublish "$volume" pod >/dev/null
	retire "$volume"
done

# Data that came by another way after a mkfs was cut short.
cap=$(capability SINGLE_NODE_WRITER ext4)
create changed 268435456 >/dev/null
attach "$volume"
echo "${cuts[ext4]}" >/run/cut
stage "$volume" >/dev/null 2>&1 || true
head -c 512 /dev/urandom | dd of="$(image)" conv=notrunc status=none
reattach
remember
check "other data came: refused although there is an intent" \
	refuses FAILED_PRECONDITION "non-zero bytes.*never formatted over" stage "$volume"
check "other data came: not one byte changed" unchanged
detach "$volume" >/dev/null
delete "$volume" >/dev/null

# A mkfs that never wrote.
create refused 268435456 >/dev/null
attach "$volume"
echo 1 >/run/cut
stage "$volume" >/dev/null 2>&1 || true
reattach
check "cut before anything was there: the next stage succeeds" stage "$volume"
check "cut before anything was there: the volume works" works
retire "$volume"
