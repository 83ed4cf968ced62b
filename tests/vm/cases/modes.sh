#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Access modes of one node: readers and writers of one volume in both orders, one path for RWOP, two
# pods of an RWX volume, what may not be mixed; mount options of the file system and of a pod.
# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"
start_driver

for fs in ext4 xfs; do
	cap=$(capability SINGLE_NODE_MULTI_WRITER $fs)
	provision "order-$fs"
	writer=$(pod writer) reader=$(pod reader)

	publish "$volume" reader true >/dev/null
	publish "$volume" writer >/dev/null
	check "$fs: read-only first, then read-write" eval 'is_readonly "$reader" && ! is_readonly "$writer"'
	check "$fs: the writer writes" touch "$writer/one"
	check "$fs: the reader sees it" test -e "$reader/one"
	check "$fs: the reader cannot write" not touch "$reader/two"
	unpublish "$volume" reader >/dev/null
	check "$fs: the writer goes on without the reader" touch "$writer/three"
	publish "$volume" reader true >/dev/null
	check "$fs: a reader joins a writer" test -e "$reader/three"
	check "$fs: the file system is $fs" [ "$(findmnt -no FSTYPE "$writer")" = $fs ]
	check "$fs: the same path another way is refused" refuses ALREADY_EXISTS read-only \
		publish "$volume" reader false
	unpublish "$volume" reader >/dev/null
	unpublish "$volume" writer >/dev/null

	publish "$volume" writer >/dev/null
	echo kept >"$writer/kept"
	unpublish "$volume" writer >/dev/null
	unstage "$volume" >/dev/null
	stage "$volume" >/dev/null
	publish "$volume" writer >/dev/null
	check "$fs: what was written survives unstage and stage" grep -q kept "$writer/kept"
	unpublish "$volume" writer >/dev/null
	retire "$volume"
done

# A volume is mounted whole: publish would not know a subvolume for it.
cap=$(capability SINGLE_NODE_WRITER btrfs)
provision subvolumes 335544320
publish "$volume" pod >/dev/null
btrfs -q subvolume create "$(pod pod)/sub"
unpublish "$volume" pod >/dev/null
unstage "$volume" >/dev/null
cap=$(capability SINGLE_NODE_WRITER btrfs subvol=sub)
check "btrfs: a subvolume is refused at stage and named" \
	refuses FAILED_PRECONDITION "subvolume /sub .*subvolid=5" stage "$volume"
check "btrfs: and nothing of it is left" \
	eval '[ "$(controllers)" = 0 ] && [ -z "$(ls "$state_dir/volumes" "$state_dir/mnt" | grep -v :)" ]'
cap=$(capability SINGLE_NODE_WRITER btrfs subvolid=5)
stage "$volume" >/dev/null
check "btrfs: asked for explicitly, the whole is staged" publish "$volume" pod
btrfs -q subvolume set-default "$(pod pod)/sub"
unpublish "$volume" pod >/dev/null
unstage "$volume" >/dev/null
cap=$(capability SINGLE_NODE_WRITER btrfs)
check "btrfs: so is a default subvolume" \
	refuses FAILED_PRECONDITION "subvolume /sub .*set-default 5" stage "$volume"
retire "$volume"

cap=$(capability SINGLE_NODE_SINGLE_WRITER)
provision rwop
publish "$volume" first >/dev/null
check "RWOP: a second path is refused and the first is named" \
	refuses FAILED_PRECONDITION "pods/first/volume" publish "$volume" second
check "RWOP: nothing is left of the second path" not test -e "$(pod second)"
check "RWOP: the same path again is fine" publish "$volume" first
unpublish "$volume" first >/dev/null
check "RWOP: once the first is gone, another path is fine" publish "$volume" second
unpublish "$volume" second >/dev/null
retire "$volume"

cap=$(capability SINGLE_NODE_SINGLE_WRITER block)
provision rwop-raw 67108864
publish "$volume" first >/dev/null
check "RWOP, raw: a second path is refused and the first is named" \
	refuses FAILED_PRECONDITION "pods/first/volume" publish "$volume" second
check "RWOP, raw: nothing is left of the second path" not test -e "$(pod second)"
check "RWOP, raw: the same path again is fine" publish "$volume" first
unpublish "$volume" first >/dev/null
check "RWOP, raw: once the first is gone, another path is fine" publish "$volume" second
unpublish "$volume" second >/dev/null
retire "$volume"

other=nqn.2014-08.org.nvmexpress:uuid:11111111-2222-4333-8444-555555555555
for mode in MULTI_NODE_MULTI_WRITER MULTI_NODE_SINGLE_WRITER SINGLE_NODE_WRITER; do
	cap=$(capability $mode)
	provision "shared-$mode"
	publish "$volume" one >/dev/null
	publish "$volume" two >/dev/null
	publish "$volume" three true >/dev/null
	echo both >"$(pod one)/shared"
	check "$mode: two pods of one node write one file system" \
		eval 'grep -q both "$(pod two)/shared" && touch "$(pod two)/mine" && test -e "$(pod one)/mine"'
	check "$mode: a third one reads" \
		eval 'grep -q both "$(pod three)/shared" && not touch "$(pod three)/mine"'
	check "$mode: one device mount" [ "$(mounts_of "$(device_of "$volume")" | wc -l)" = 5 ]
	check "$mode: a second node is refused and the holder named" \
		refuses FAILED_PRECONDITION "$host_nqn" controller ControllerPublishVolume \
		"{\"volume_id\":\"$volume\",\"node_id\":\"$other\",\"volume_capability\":$cap}"
	for pod in one two three; do unpublish "$volume" $pod >/dev/null; done
	retire "$volume"
done

cap=$(capability SINGLE_NODE_READER_ONLY)
create reader-only >/dev/null
check "reader mode: a blank volume is not attached" refuses FAILED_PRECONDITION blank attach "$volume"
cap=$(capability SINGLE_NODE_WRITER)
attach "$volume"
cap=$(capability SINGLE_NODE_READER_ONLY)
check "reader mode: a blank volume is not formatted" refuses FAILED_PRECONDITION empty stage "$volume"
check "reader mode: the refused stage leaves no connection" [ "$(controllers)" = 0 ]
check "reader mode: and no record" [ -z "$(ls "$state_dir/volumes")" ]
detach "$volume" >/dev/null
cap=$(capability SINGLE_NODE_WRITER)
attach "$volume"
stage "$volume" >/dev/null
unstage "$volume" >/dev/null
detach "$volume" >/dev/null
cap=$(capability SINGLE_NODE_READER_ONLY)
attach "$volume"
stage "$volume" >/dev/null
publish "$volume" reader >/dev/null
check "reader mode: the pod is read-only without asking" is_readonly "$(pod reader)"
check "reader mode: so is the device" [ "$(blockdev --getro "/dev/$(device_of "$volume")")" = 1 ]
unpublish "$volume" reader >/dev/null
unstage "$volume" >/dev/null
detach "$volume" >/dev/null

cap=$(capability MULTI_NODE_READER_ONLY)
attach "$volume"
stage "$volume" >/dev/null
publish "$volume" rox >/dev/null
check "ROX: the device itself is mounted read-only, without replay" \
	grep -qE " - ext4 /dev/nvme.* ro,norecovery" /proc/self/mountinfo
check "ROX: a read-write publish is read-only" is_readonly "$(pod rox)"
check "ROX: a writer on another node is refused" refuses FAILED_PRECONDITION "" controller \
	ControllerPublishVolume "{\"volume_id\":\"$volume\",\"node_id\":\"$other\",
	\"volume_capability\":$(capability SINGLE_NODE_WRITER)}"
unpublish "$volume" rox >/dev/null
retire "$volume"

cap=$(capability SINGLE_NODE_WRITER ext4 ro noatime)
provision flags
publish "$volume" flagged >/dev/null
check "mount flag ro makes the pod read-only" is_readonly "$(pod flagged)"
check "mount flag noatime is on the pod's mount" grep -q noatime <<<"$(mount_flags "$(pod flagged)")"
check "but neither is on the device's mount, which other pods have, too" \
	eval '! is_readonly "$(staged "$volume")" && ! grep noatime <<<"$(mount_flags "$(staged "$volume")")"'
unpublish "$volume" flagged >/dev/null
unstage "$volume" >/dev/null

cap=$(capability SINGLE_NODE_WRITER ext4 nodelalloc nosuid nodev)
stage "$volume" >/dev/null
publish "$volume" flagged >/dev/null
check "an option of the file system is the superblock's" \
	grep -q nodelalloc <<<"$(findmnt -no FS-OPTIONS "$(staged "$volume")")"
check "one of a mount is the pod's" \
	grep -q "nosuid,nodev" <<<"$(mount_flags "$(pod flagged)")"
unpublish "$volume" flagged >/dev/null
unstage "$volume" >/dev/null

cap=$(capability SINGLE_NODE_WRITER ext4 commit=hidden)
refusal=$(stage "$volume" 2>&1) || true
check "a mount flag that the kernel refuses is named" grep -q "mount option 'commit' for ext4" <<<"$refusal"
check "but its value, which may be a secret, is not" not grep hidden <<<"$refusal"
cap=$(capability SINGLE_NODE_WRITER ext4 no-such-option)
check "so is one that it does not know, with its words" \
	refuses INVALID_ARGUMENT "mount option 'no-such-option' for ext4.*[Uu]nknown" stage "$volume"
# A kernel without SELinux knows no context, and says so: it got the option, whole.
cap=$(capability SINGLE_NODE_WRITER ext4 'context=\"system_u:object_r:container_file_t:s0:c1,c2\"')
check "an SELinux context reaches the kernel" \
	refuses INVALID_ARGUMENT "mount option 'context' for ext4" stage "$volume"
check "refused options leave no connection" [ "$(controllers)" = 0 ]
retire "$volume"
