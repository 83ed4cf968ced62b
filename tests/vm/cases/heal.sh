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
check "private mount gone: publish says that it is not staged" \
	refuses FAILED_PRECONDITION "not staged" publish "$volume" other
check "private mount gone: stage puts it back" stage "$volume"
check "private mount gone: publish works again" publish "$volume" other
check "private mount gone: the new pod sees the data" grep -q data "$(pod other)/file"
unpublish "$volume" pod >/dev/null
unpublish "$volume" other >/dev/null
retire "$volume"
check "private mount gone: nothing is left" [ "$(controllers)" = 0 ]

# The device dies under a running pod, as after a deletion of its controller by the kernel.
provision dead
publish "$volume" pod >/dev/null
for controller_dir in /sys/class/nvme/nvme*; do echo 1 >"$controller_dir/delete_controller"; done
check "dead device: stage is refused, with the reason" \
	refuses FAILED_PRECONDITION "went away under it" stage "$volume"
check "dead device: the pod's mount and the private one are still there" \
	eval 'mountpoint -q "$(pod pod)" && mountpoint -q "$(private "$volume")"'
check "dead device: unstage is refused while the pod is there" \
	refuses FAILED_PRECONDITION "pods/pod/volume" unstage "$volume"
check "dead device: unpublish works" unpublish "$volume" pod
check "dead device: unstage works" unstage "$volume"
check "dead device: nothing is left" eval '[ "$(controllers)" = 0 ] &&
	! grep -q "$kubelet_dir\|$state_dir" /proc/self/mountinfo && [ -z "$(ls "$state_dir/volumes")" ]'
stage "$volume" >/dev/null
publish "$volume" pod >/dev/null
check "dead device: staged anew, the volume works" touch "$(pod pod)/file"
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
	eval 'mountpoint -q "$(staging "$volume")" && [ -z "$(ls -A /run/raw-staging)" ] &&
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
