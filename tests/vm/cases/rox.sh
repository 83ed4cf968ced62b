#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Volumes exported read-only: readers and writers exclude each other in both orders, nothing that a
# reading node does changes one byte of the backing, and what needs writing is refused with a reason.
# timeout: 1500
# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"
start_driver

nobody=nqn.2014-08.org.nvmexpress:uuid:11111111-2222-4333-8444-555555555555
second=nqn.2014-08.org.nvmexpress:uuid:22222222-2222-4333-8444-555555555555
attach_as() { # NODE_ID CAPABILITY [true: read-only]: publishes the volume to another node
	local cap=$2
	attach_to "$1" "$volume" "${3:-false}"
}

image() {
	echo "$pool_dir/$(uuid_of "$volume").img"
}

# remember: what the backing holds now; unchanged: it holds that still, byte for byte.
remember() {
	cp --sparse=always "$(image)" /run/remembered
}

unchanged() {
	cmp "$(image)" /run/remembered
}

# With the node's own switch undone, root writes to the device: the target has to refuse.
target_refuses_writes() { # WHAT
	local device
	device=/dev/$(device_of "$volume")
	check "$1: the node's device is read-only" [ "$(blockdev --getro "$device")" = 1 ]
	blockdev --setrw "$device"
	check "$1: a write to the bare device fails at the target" \
		not dd if=/dev/urandom of="$device" bs=4k count=1 oflag=direct
	check "$1: so does one in its middle" \
		not dd if=/dev/urandom of="$device" bs=1M count=1 seek=3 oflag=direct
	check "$1: so does a discard" not blkdiscard -f "$device"
	check "$1: so do written zeroes" not blkdiscard -f -z "$device"
	blockdev --setro "$device"
	check "$1: the device still reads" dd if="$device" of=/dev/null bs=1M count=1 iflag=direct
	check "$1: not one byte of the backing changed" unchanged
}

# The node loses the device while the file system is in use.
pull_the_plug() {
	local file
	for file in /sys/class/nvme/nvme*/delete_controller; do echo 1 >"$file"; done
}

# One reader, a read-only publish, and a volume that comes back the other way than it left.
other_ways() {
	cap=$reader_only
	attach "$volume"
	stage "$volume" >/dev/null
	publish "$volume" pod >/dev/null
	check "$fs: one reader: it reads and does not write" \
		eval 'cmp /run/noise "$(pod pod)/noise" && is_readonly "$(pod pod)"'
	target_refuses_writes "$fs: one reader"
	unpublish "$volume" pod >/dev/null
	unstage "$volume" >/dev/null
	detach "$volume" >/dev/null

	cap=$writer
	attach "$volume" true
	stage "$volume" >/dev/null
	check "$fs: attached read-only: a pod that wants to write is told why not" \
		refuses FAILED_PRECONDITION "attached to this node read-only" publish "$volume" pod
	check "$fs: attached read-only: nothing is left of it" not test -e "$(pod pod)"
	publish "$volume" pod true >/dev/null
	check "$fs: attached read-only: a reader reads" cmp /run/noise "$(pod pod)/noise"
	check "$fs: attached read-only: a writer elsewhere is refused" \
		refuses FAILED_PRECONDITION "$host_nqn" attach_as "$nobody" "$writer"
	target_refuses_writes "$fs: attached read-only"

	# The volume leaves and comes back read-write, and the node was not told to unstage it.
	detach "$volume" >/dev/null
	attach "$volume"
	check "$fs: staged read-only, attached read-write: the mount is not used again" \
		refuses FAILED_PRECONDITION "staged read-only on this node" stage "$volume"
	check "$fs: staged read-only, attached read-write: nor published from" \
		refuses FAILED_PRECONDITION "" publish "$volume" late
	unpublish "$volume" pod >/dev/null
	unstage "$volume" >/dev/null
	stage "$volume" >/dev/null
	publish "$volume" pod >/dev/null
	check "$fs: afterwards: all data are there and a writer writes" \
		eval 'cmp /run/noise "$(pod pod)/noise" && cp /run/noise "$(pod pod)/again"'
	check "$fs: afterwards: the device is writable" \
		[ "$(blockdev --getro "/dev/$(device_of "$volume")")" = 0 ]

	# And the other way round.
	unpublish "$volume" pod >/dev/null
	detach "$volume" >/dev/null
	attach "$volume" true
	check "$fs: staged read-write, attached read-only: the mount is not used again" \
		refuses FAILED_PRECONDITION "staged read-write on this node" stage "$volume"
	check "$fs: staged read-write, attached read-only: nor published from" \
		refuses FAILED_PRECONDITION "" publish "$volume" late true
	unstage "$volume" >/dev/null
	detach "$volume" >/dev/null
}

declare -A sizes=([ext4]=67108864 [xfs]=314572800)
for fs in ext4 xfs; do
	writer=$(capability SINGLE_NODE_WRITER $fs)
	rox=$(capability MULTI_NODE_READER_ONLY $fs)
	reader_only=$(capability SINGLE_NODE_READER_ONLY $fs)

	cap=$writer
	create "rox-$fs" "${sizes[$fs]}" >/dev/null
	for mode in rox reader_only; do
		cap=${!mode}
		check "$fs: blank: $mode is refused" refuses FAILED_PRECONDITION blank attach "$volume"
	done
	cap=$writer
	check "$fs: blank: a read-only publish is refused" \
		refuses FAILED_PRECONDITION blank attach "$volume" true

	attach "$volume"
	stage "$volume" >/dev/null
	publish "$volume" pod >/dev/null
	head -c 1M /dev/urandom >/run/noise
	cp /run/noise "$(pod pod)/noise"
	check "$fs: written: readers are refused and the writer is named" \
		refuses FAILED_PRECONDITION "$host_nqn" attach_as "$nobody" "$rox"
	check "$fs: written: so is one reader" \
		refuses FAILED_PRECONDITION "$host_nqn" attach_as "$nobody" "$reader_only"
	check "$fs: written: so is a read-only publish" \
		refuses FAILED_PRECONDITION "$host_nqn" attach_as "$nobody" "$writer" true
	check "$fs: written: the writer does not mind" touch "$(pod pod)/after"
	unpublish "$volume" pod >/dev/null
	unstage "$volume" >/dev/null
	detach "$volume" >/dev/null

	remember
	cap=$rox
	attach "$volume"
	attach_as "$second" "$rox" >/dev/null
	stage "$volume" >/dev/null
	publish "$volume" one >/dev/null
	publish "$volume" two >/dev/null
	check "$fs: ROX: the device is mounted read-only, without replay" \
		grep -qE " - $fs /dev/nvme.* ro,(.*,)?norecovery" /proc/self/mountinfo
	check "$fs: ROX: both pods are read-only without asking" \
		eval 'is_readonly "$(pod one)" && is_readonly "$(pod two)"'
	check "$fs: ROX: both pods read" \
		eval 'cmp /run/noise "$(pod one)/noise" && cmp /run/noise "$(pod two)/noise"'
	check "$fs: ROX: no pod writes" eval 'not touch "$(pod one)/x" && not touch "$(pod two)/x"'
	check "$fs: ROX: staged again is fine" stage "$volume"
	target_refuses_writes "$fs: ROX"
	check "$fs: ROX: a writer is refused and a reader is named" \
		refuses FAILED_PRECONDITION "$host_nqn|$second" attach_as "$nobody" "$writer"
	check "$fs: ROX: a read-only publish of one node is refused, too" \
		refuses FAILED_PRECONDITION "$host_nqn|$second" attach_as "$nobody" "$writer" true
	unpublish "$volume" one >/dev/null
	unpublish "$volume" two >/dev/null
	unstage "$volume" >/dev/null
	detach "$volume" >/dev/null
	cap=$writer
	check "$fs: ROX: a writer is refused until the last reader is gone" \
		refuses FAILED_PRECONDITION "$second" attach "$volume"
	controller ControllerUnpublishVolume "{\"volume_id\":\"$volume\",\"node_id\":\"$second\"}" >/dev/null
	check "$fs: ROX: not one byte of the backing changed by all of it" unchanged

	# What is mounted how, is the same for both.
	[ $fs != ext4 ] || other_ways

	# A writer that never unmounted leaves its journal behind.
	attach "$volume"
	stage "$volume" >/dev/null
	publish "$volume" pod >/dev/null
	cp /run/noise "$(pod pod)/journalled"
	sync "$(pod pod)/journalled"
	mkdir "$(pod pod)/dir"
	sync "$(pod pod)/dir"
	pull_the_plug
	unpublish "$volume" pod >/dev/null
	unstage "$volume" >/dev/null
	detach "$volume" >/dev/null
	remember
	cap=$rox
	attach "$volume"
	check "$fs: dirty journal: readers are refused, with the way out" \
		refuses FAILED_PRECONDITION "publish the volume read-write once" stage "$volume"
	check "$fs: dirty journal: the refused stage leaves no connection" [ "$(controllers)" = 0 ]
	check "$fs: dirty journal: and no record" [ -z "$(ls "$state_dir/volumes")" ]
	check "$fs: dirty journal: not one byte of the backing changed" unchanged
	detach "$volume" >/dev/null
	cap=$writer
	attach "$volume"
	stage "$volume" >/dev/null
	unstage "$volume" >/dev/null
	detach "$volume" >/dev/null
	cap=$rox
	attach "$volume"
	stage "$volume" >/dev/null
	publish "$volume" pod >/dev/null
	check "$fs: journal replayed: readers are welcome and see everything" \
		eval 'cmp /run/noise "$(pod pod)/journalled" && test -d "$(pod pod)/dir"'
	unpublish "$volume" pod >/dev/null
	retire "$volume"
done

writer=$(capability SINGLE_NODE_WRITER block)
rox=$(capability MULTI_NODE_READER_ONLY block)
cap=$writer
provision raw 67108864
publish "$volume" pod >/dev/null
dd if=/run/noise of="$(pod pod)" bs=1M oflag=direct conv=notrunc status=none
check "raw: written: readers are refused" refuses FAILED_PRECONDITION "$host_nqn" attach_as "$nobody" "$rox"
unpublish "$volume" pod >/dev/null
unstage "$volume" >/dev/null
detach "$volume" >/dev/null
remember
cap=$rox
attach "$volume"
stage "$volume" >/dev/null
check "raw: ROX: read-only from the stage on" \
	[ "$(blockdev --getro "/dev/$(device_of "$volume")")" = 1 ]
publish "$volume" one >/dev/null
publish "$volume" two >/dev/null
check "raw: ROX: both pods read" \
	eval 'cmp -n 1048576 /run/noise "$(pod one)" && cmp -n 1048576 /run/noise "$(pod two)"'
check "raw: ROX: no pod writes" \
	not dd if=/dev/zero of="$(pod one)" bs=4k count=1 conv=notrunc oflag=direct
target_refuses_writes "raw: ROX"
check "raw: ROX: a writer is refused" refuses FAILED_PRECONDITION "$host_nqn" attach_as "$nobody" "$writer"
unpublish "$volume" one >/dev/null
unpublish "$volume" two >/dev/null
unstage "$volume" >/dev/null
detach "$volume" >/dev/null
check "raw: ROX: not one byte of the backing changed by all of it" unchanged

cap=$writer
attach "$volume" true
stage "$volume" >/dev/null
check "raw: attached read-only: a pod that wants to write is told why not" \
	refuses FAILED_PRECONDITION "attached to this node read-only" publish "$volume" pod
publish "$volume" pod true >/dev/null
check "raw: attached read-only: a reader reads" cmp -n 1048576 /run/noise "$(pod pod)"
unpublish "$volume" pod >/dev/null
unstage "$volume" >/dev/null
detach "$volume" >/dev/null
attach "$volume"
stage "$volume" >/dev/null
publish "$volume" pod >/dev/null
check "raw: afterwards a writer writes again" \
	dd if=/dev/zero of="$(pod pod)" bs=4k count=1 conv=notrunc oflag=direct
unpublish "$volume" pod >/dev/null
retire "$volume"
