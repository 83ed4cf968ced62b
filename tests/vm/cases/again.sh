#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every call twice, and calls for what is not there: success means verified, and nothing stacks.
# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"
start_driver

create again >/dev/null
first=$volume
create again >/dev/null
check "create twice: one volume" [ "$volume" = "$first" ]
check "create with another size is refused" refuses ALREADY_EXISTS "exists with 1073741824" \
	create again 2147483648
attach "$volume"
check "controller publish twice" attach "$volume"
check "delete while published is refused" refuses FAILED_PRECONDITION "$host_nqn" delete "$volume"
stage "$volume" >/dev/null
check "stage twice" stage "$volume"
check "stage twice: still one device mount and one bind" \
	[ "$(mounts_of "$(device_of "$volume")" | wc -l)" = 2 ]
check "stage twice: still one controller" [ "$(controllers)" = 1 ]
publish "$volume" pod >/dev/null
check "publish twice" publish "$volume" pod
check "publish twice: one bind" [ "$(grep -c "$(pod pod)" /proc/self/mountinfo)" = 1 ]
echo data >"$(pod pod)/file"
check "stage while published changes nothing" eval 'stage "$volume" && grep -q data "$(pod pod)/file"'
check "unstage while published is refused and the path named" \
	refuses FAILED_PRECONDITION "pods/pod/volume" unstage "$volume"
check "and the pod still has its data" grep -q data "$(pod pod)/file"
stage "$volume" >/dev/null
unpublish "$volume" pod >/dev/null
check "unpublish twice" unpublish "$volume" pod
check "unpublish of a path whose directory is gone" \
	node NodeUnpublishVolume "{\"volume_id\":\"$volume\",\"target_path\":\"/no/such/dir/volume\"}"
unstage "$volume" >/dev/null
check "unstage twice" unstage "$volume"
check "unstage twice: disconnected" [ "$(controllers)" = 0 ]
check "publish of what is not staged is refused" refuses FAILED_PRECONDITION "not staged" publish "$volume" pod
check "and leaves no target path" not test -e "$(pod pod)"

# A target path that is not ours is left alone.
mkdir -p "$(pod foreign)"
mount -t tmpfs none "$(pod foreign)"
check "unpublish of a foreign mount is refused" refuses FAILED_PRECONDITION "left alone" \
	unpublish "$volume" foreign
check "and leaves it mounted" mountpoint -q "$(pod foreign)"
umount "$(pod foreign)"
touch "$(pod foreign)/precious"
check "unpublish of a directory with files is refused" refuses FAILED_PRECONDITION "left alone" \
	unpublish "$volume" foreign
check "and leaves them" test -e "$(pod foreign)/precious"

# The staging bind went behind our back: whoever is called next puts it back.
stage "$volume" >/dev/null
umount "$(staged "$volume")"
check "stage puts a missing staging bind back" \
	eval 'stage "$volume" && mountpoint -q "$(staged "$volume")"'
umount "$(staged "$volume")"
check "so does publish" \
	eval 'publish "$volume" pod && mountpoint -q "$(staged "$volume")" && grep -q data "$(pod pod)/file"'
unpublish "$volume" pod >/dev/null
rm -f "$state_dir"/volumes/*.json
check "unstage without a record" unstage "$volume"
check "unstage without a record: disconnected all the same" [ "$(controllers)" = 0 ]

detach "$volume" >/dev/null
check "controller unpublish twice" detach "$volume"
delete "$volume" >/dev/null
check "delete twice" delete "$volume"
check "delete of what never was" delete t1/p1/11111111-2222-5333-8444-555555555555
check "controller publish of it is NOT_FOUND" refuses NOT_FOUND "does not exist" controller \
	ControllerPublishVolume "{\"volume_id\":\"$volume\",\"node_id\":\"$host_nqn\",\"volume_capability\":$cap}"
