#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What happens behind the driver's back: mounts that go missing, devices that die, foreign mounts in
# its way, other handles of the same namespace. It heals, or says precisely why not, and never harms.
# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"
start_driver

private() { # VOLUME
	echo "$state_dir/mnt/$(uuid_of "$1")"
}

# The private mount goes missing under a running pod.
provision private-gone
publish "$volume" pod >/dev/null
echo data >"$(pod pod)/file"
umount "$(private "$volume")"
check "private mount gone: publish puts it back" publish "$volume" other
check "private mount gone: from the very same file system" \
	eval 'grep -q data "$(pod other)/file" && [ "$(mounts_of "$(device_of "$volume")" | wc -l)" = 4 ]'
unpublish "$volume" other >/dev/null
umount "$(private "$volume")"
check "private mount gone: so does stage" \
	eval 'stage "$volume" && mountpoint -q "$(private "$volume")"'
publish "$volume" other >/dev/null
unpublish "$volume" pod >/dev/null
unpublish "$volume" other >/dev/null
retire "$volume"
check "private mount gone: nothing is left" [ "$(controllers)" = 0 ]

# The device dies under a running pod, as after a deletion of its controller by the kernel.
pull_the_plug() {
	local file
	for file in /sys/class/nvme/nvme*/delete_controller; do echo 1 >"$file"; done
}
provision dead
publish "$volume" pod >/dev/null
echo data >"$(pod pod)/file"
sync "$(pod pod)/file"
pull_the_plug
check "dead device: stage is refused, with the reason and the pod" \
	refuses FAILED_PRECONDITION "went away under it.*pods/pod/volume" stage "$volume"
check "dead device: so is the publish to another pod" \
	refuses FAILED_PRECONDITION "went away under it.*pods/pod/volume" publish "$volume" other
check "dead device: the pod's mount and the private one are still there" \
	eval 'mountpoint -q "$(pod pod)" && mountpoint -q "$(private "$volume")"'
check "dead device: unstage is refused while the pod is there" \
	refuses FAILED_PRECONDITION "pods/pod/volume" unstage "$volume"
check "dead device: unpublish works" unpublish "$volume" pod
check "dead device: without a pod, publish connects and mounts anew" publish "$volume" pod
check "dead device: with the data" grep -q data "$(pod pod)/file"
unpublish "$volume" pod >/dev/null
pull_the_plug
check "dead device: so does stage" stage "$volume"
check "dead device: which leaves one device mount and one bind" eval '
	[ "$(mounts_of "$(device_of "$volume")" | wc -l)" = 2 ] && [ "$(grep -c "$kubelet_dir\|$state_dir/mnt" /proc/self/mountinfo)" = 2 ]'
pull_the_plug
check "dead device: unstage works" unstage "$volume"
check "dead device: nothing is left" eval '[ "$(controllers)" = 0 ] &&
	! grep -q "$kubelet_dir\|$state_dir" /proc/self/mountinfo && [ -z "$(ls "$state_dir/volumes")" ]'

# The device goes and comes back by itself, under another name.
stage "$volume" >/dev/null
pull_the_plug
uuid=$(uuid_of "$volume")
# In vain when the keeper has connected it already, having seen the namespace in its last moment.
echo "transport=tcp,traddr=127.0.0.1,trsvcid=4420,nqn=nqn.2026-11.io.nvmeot:$uuid,hostnqn=$host_nqn,hostid=${host_nqn##*:}" \
	>/dev/nvme-fabrics || true
wait_for 10 device_of "$volume"
check "replaced device: publish mounts the new one" \
	eval 'publish "$volume" pod && grep -q data "$(pod pod)/file"'
unpublish "$volume" pod >/dev/null
retire "$volume"

# The file system stops, while its device is well.
stop_ext4() { # which the kernel does, and then refuses the remount
	mount -o remount,abort "$(private "$volume")" 2>/dev/null || true
}
stop_xfs() {
	xfs_io -x -c shutdown "$(private "$volume")"
}
for fs in ext4 xfs; do
	cap=$(capability SINGLE_NODE_WRITER $fs)
	provision "stopped-$fs"
	publish "$volume" pod >/dev/null
	echo data >"$(pod pod)/file"
	sync "$(pod pod)/file"
	stop_$fs
	check "$fs: stopped: a second pod is refused, with the reason and the first" \
		refuses FAILED_PRECONDITION "is dead: .*in use at .*pods/pod/volume" publish "$volume" other
	check "$fs: stopped: so is stage" \
		refuses FAILED_PRECONDITION "is dead: .*in use at .*pods/pod/volume" stage "$volume"
	check "$fs: stopped: unpublish works" unpublish "$volume" pod
	check "$fs: stopped: without a pod, publish mounts it anew" publish "$volume" pod
	check "$fs: stopped: it has its data and takes more" \
		eval 'grep -q data "$(pod pod)/file" && touch "$(pod pod)/more"'
	unpublish "$volume" pod >/dev/null
	stop_$fs
	check "$fs: stopped: so does stage" stage "$volume"
	publish "$volume" pod >/dev/null
	check "$fs: stopped: and again" eval 'grep -q data "$(pod pod)/file" && touch "$(pod pod)/again"'
	unpublish "$volume" pod >/dev/null
	stop_$fs
	check "$fs: stopped: unstage works" unstage "$volume"
	check "$fs: stopped: nothing is left" [ "$(controllers)" = 0 ]
	retire "$volume"
done

# A foreign mount over the staging path.
cap=$(capability SINGLE_NODE_WRITER)
provision covered
mount -t tmpfs foreign "$(staging "$volume")"
for call in stage "publish pod" unstage; do
	read -r name pod_name <<<"$call"
	check "foreign mount over the staging path: $name is refused and says what is there" \
		refuses FAILED_PRECONDITION "is a mount of foreign \(tmpfs\)" $name "$volume" $pod_name
done
check "foreign mount over the staging path: it is still there" \
	[ "$(stat -fc %T "$(staging "$volume")")" = tmpfs ]
umount "$(staging "$volume")"
check "foreign mount over the staging path: once it is gone, publish works" publish "$volume" pod
touch "$(pod pod)/file"
unpublish "$volume" pod >/dev/null

# Another volume's mount in a path that is named by mistake.
mkdir -p /mnt/foreign
mount --bind "$(private "$volume")" /mnt/foreign
absent=t1/p1/11111111-2222-5333-8444-555555555555
check "unstage of an absent volume leaves another volume's mount alone" \
	refuses FAILED_PRECONDITION "left alone" \
	node NodeUnstageVolume "{\"volume_id\":\"$absent\",\"staging_target_path\":\"/mnt/foreign\"}"
check "so does unpublish" refuses FAILED_PRECONDITION "left alone" \
	node NodeUnpublishVolume "{\"volume_id\":\"$absent\",\"target_path\":\"/mnt/foreign\"}"
check "it is still mounted" mountpoint -q /mnt/foreign
umount /mnt/foreign

# A second handle, raw, of the namespace whose file system is mounted.
mkdir -p /run/raw-staging
raw=$(capability SINGLE_NODE_WRITER block)
check "a mounted namespace is not handed out as a raw device" \
	refuses FAILED_PRECONDITION "mounted at" node NodeStageVolume \
	"{\"volume_id\":\"handle\",\"staging_target_path\":\"/run/raw-staging\",
	\"volume_capability\":$raw,\"volume_context\":{\"nqn\":\"nqn.2026-11.io.nvmeot:$(uuid_of "$volume")\",
	\"portals\":\"tcp://127.0.0.1:4420\",\"nsUuid\":\"$(uuid_of "$volume")\"}}"
check "the refused stage leaves the volume staged and nothing of its own" \
	eval 'mountpoint -q "$(staged "$volume")" && [ -z "$(ls -A /run/raw-staging)" ] &&
	[ "$(ls "$state_dir/volumes" | wc -l)" = 1 ]'
check "staged with another file system: refused, and the record stays" eval '
	cap=$(capability SINGLE_NODE_WRITER xfs)
	refuses ALREADY_EXISTS "staged as ext4" stage "$volume" && [ "$(ls "$state_dir/volumes" | wc -l)" = 1 ]'
retire "$volume"

# What was written to a raw volume survives an unstage although somebody still has the device open.
cap=$(capability SINGLE_NODE_WRITER block)
provision raw 67108864
publish "$volume" pod >/dev/null
exec 8<"/dev/$(device_of "$volume")"
head -c 4M /dev/urandom >/run/noise
dd if=/run/noise of="$(pod pod)" bs=1M conv=notrunc status=none
unpublish "$volume" pod >/dev/null
unstage "$volume" >/dev/null
exec 8<&-
stage "$volume" >/dev/null
publish "$volume" pod >/dev/null
check "raw: buffered writes survive an unstage with the device held open" \
	cmp -n 4194304 /run/noise "$(pod pod)"
unpublish "$volume" pod >/dev/null
retire "$volume"

# A static volume: never formatted, and its unstage needs no record.
cap=$(capability SINGLE_NODE_WRITER)
create static >/dev/null
attach "$volume"
volume_contexts[static]="{\"nqn\":\"nqn.2026-11.io.nvmeot:$(uuid_of "$volume")\",
	\"portals\":\"tcp://127.0.0.1:4420\",\"nsid\":\"1\"}"
publish_contexts[static]="{}"
check "static: an empty one is not formatted" \
	refuses FAILED_PRECONDITION "statically provisioned volumes are never formatted" stage static
stage "$volume" >/dev/null
unstage "$volume" >/dev/null
check "static: one with a file system is staged by nsid" stage static
check "static: and published" publish static pod
rm -f "$state_dir"/volumes/*.json
check "static: unstage without a record is refused while published" \
	refuses FAILED_PRECONDITION "still in use" unstage static
check "static: and again, with nothing changed" \
	refuses FAILED_PRECONDITION "still in use" unstage static
check "static: unpublish" unpublish static pod
check "static: unstage without a record" unstage static
check "static: nothing is left" eval '[ "$(controllers)" = 0 ] &&
	! grep -q "$kubelet_dir\|$state_dir" /proc/self/mountinfo'
detach "$volume" >/dev/null
delete "$volume" >/dev/null
