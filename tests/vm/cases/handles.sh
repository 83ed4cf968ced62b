#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Several volume handles of one namespace, as a read-write and a read-only PersistentVolume of one
# target have: one device mount, a staging bind each, and the last to go takes the device with it.
# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"
start_driver

writer=$(capability SINGLE_NODE_WRITER)
reader=$(capability SINGLE_NODE_READER_ONLY)
rox=$(capability MULTI_NODE_READER_ONLY)
rwop=$(capability SINGLE_NODE_SINGLE_WRITER)

cap=$writer
provision base
publish "$volume" pod >/dev/null
echo data >"$(pod pod)/file"
unpublish "$volume" pod >/dev/null
unstage "$volume" >/dev/null
uuid=$(uuid_of "$volume")
for handle in rw ro; do
	volume_contexts[$handle]="{\"nqn\":\"nqn.2026-11.io.nvmeot:$uuid\",
		\"portals\":\"tcp://127.0.0.1:4420\",\"nsUuid\":\"$uuid\"}"
	publish_contexts[$handle]="{}"
done

# as CAPABILITY COMMAND...
as() {
	local cap=$1
	"${@:2}"
}
device_mounts() { # NUMBER: of the namespace's file system, and one of them the private one
	local mounts
	mounts=$(mounts_of "$(device_of "$volume")")
	echo "$mounts"
	[ "$(wc -l <<<"$mounts")" = "$1" ] && [ "$(grep -c " $state_dir/mnt/$uuid " <<<"$mounts")" = 1 ]
}

for order in "rw ro" "ro rw"; do
	for handle in $order; do
		mode=$([ $handle = rw ] && echo "$writer" || echo "$reader")
		as "$mode" stage $handle >/dev/null
		as "$mode" publish $handle "pod-$handle" >/dev/null
	done
	check "$order: one device mount, two staging binds, two pods" device_mounts 5
	# Of a mount there kubelet would ask who else has its device, and never unstage either handle.
	check "$order: no staging path is a mount itself" \
		eval 'not mountpoint -q "$(staging rw)" && not mountpoint -q "$(staging ro)"'
	check "$order: one connection" [ "$(controllers)" = 1 ]
	check "$order: the pod of one writes, that of the other does not" \
		eval 'touch "$(pod pod-rw)/one" && not touch "$(pod pod-ro)/two" && is_readonly "$(pod pod-ro)"'
	check "$order: it sees what is written" test -e "$(pod pod-ro)/one"
	rm "$(pod pod-rw)/one"

	unpublish ro pod-ro >/dev/null
	check "$order: unstage of the reader" unstage ro
	check "$order: leaves the writer all it needs" \
		eval 'device_mounts 3 && touch "$(pod pod-rw)/one" && [ "$(controllers)" = 1 ]'
	check "$order: unstage of the reader again changes nothing" eval 'unstage ro && device_mounts 3'
	as "$reader" stage ro >/dev/null
	as "$reader" publish ro pod-ro >/dev/null

	# Which pod is of which handle, mountinfo does not say. So this succeeds, and harms nobody.
	check "$order: unstage of the writer while its pod runs does not take the device" \
		eval 'unstage rw && device_mounts 4 && touch "$(pod pod-rw)/late" && test -e "$(pod pod-ro)/late"'
	check "$order: unstage of the last one does not, either, and names a pod" \
		refuses FAILED_PRECONDITION "still in use at .*/pods/pod-r[wo]/volume" unstage ro
	check "$order: both pods go on" eval 'device_mounts 4 && touch "$(pod pod-rw)/later"'
	unpublish rw pod-rw >/dev/null
	check "$order: unstage of the last one is refused while its own pod runs" \
		refuses FAILED_PRECONDITION "still in use at .*/pods/pod-ro/volume" unstage ro
	unpublish ro pod-ro >/dev/null
	check "$order: the last unstage takes the device and the connection" \
		eval 'unstage ro && [ "$(controllers)" = 0 ] && [ -z "$(ls "$state_dir/volumes")" ]'
	check "$order: nothing is mounted" not grep -q "$kubelet_dir\|$state_dir" /proc/self/mountinfo
done

as "$writer" stage rw >/dev/null
check "readers on many nodes do not come beside a writer" \
	refuses FAILED_PRECONDITION "staged read-write on this node" as "$rox" stage ro
check "the refused handle left nothing, the other one is as it was" \
	eval 'device_mounts 2 && [ "$(ls "$state_dir/volumes" | wc -l)" = 1 ]'
unstage rw >/dev/null
as "$rox" stage ro >/dev/null
as "$rox" publish ro pod-ro >/dev/null
check "nor a writer beside them" refuses FAILED_PRECONDITION "staged read-only" as "$writer" stage rw
check "a static volume for readers is mounted without replay" \
	grep -qE " $state_dir/mnt/$uuid ro.* - ext4 /dev/nvme.* ro,norecovery" /proc/self/mountinfo
check "and its pods read" grep -q data "$(pod pod-ro)/file"
unpublish ro pod-ro >/dev/null
unstage ro >/dev/null

as "$rwop" stage rw >/dev/null
as "$rwop" publish rw first >/dev/null
as "$reader" stage ro >/dev/null
check "one path: that of another handle counts, too" \
	refuses FAILED_PRECONDITION "pods/first/volume" as "$rwop" publish ro second
check "one path: nothing is left of the second one" not test -e "$(pod second)"
unpublish rw first >/dev/null
unstage rw >/dev/null
unstage ro >/dev/null

# Mounted under the name that it has by nsid.
volume_contexts[nsid]="{\"nqn\":\"nqn.2026-11.io.nvmeot:$uuid\",
	\"portals\":\"tcp://127.0.0.1:4420\",\"nsid\":\"1\"}"
publish_contexts[nsid]="{}"
as "$writer" stage nsid >/dev/null
check "a handle that names it by UUID does not come beside one by nsid" \
	refuses FAILED_PRECONDITION "is in use at $state_dir/mnt/" as "$writer" stage rw
check "which stays mounted and connected" eval 'touch "$(staged nsid)/one" && [ "$(controllers)" = 1 ]'
unstage nsid >/dev/null
check "nothing is connected" [ "$(controllers)" = 0 ]
check "nothing is mounted in the end" not grep -q "$kubelet_dir\|$state_dir" /proc/self/mountinfo
detach "$volume" >/dev/null
delete "$volume" >/dev/null
