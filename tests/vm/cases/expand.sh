#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Volumes that change: they grow online and offline and never shrink, with every byte kept and hosts
# told; connect parameters that are modified hold from the next publish on; health is what is true.
# timeout: 900
# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"
start_driver
mib=1048576

# expand VOLUME REQUIRED_BYTES [LIMIT_BYTES]: prints the answer
expand() {
	controller ControllerExpandVolume "{\"volume_id\":\"$1\",\"volume_capability\":$cap,
		\"capacity_range\":{\"required_bytes\":$2,\"limit_bytes\":${3:-0}}}"
}

# grows VOLUME REQUIRED_BYTES BYTES true|false: expanding answers this size, and whether the node
# has to grow a file system
grows() {
	local answer
	answer=$(expand "$1" "$2")
	echo "$answer"
	[ "$(jq -r .capacity_bytes <<<"$answer")" = "$3" ]
	[ "$(jq -r '.node_expansion_required // false' <<<"$answer")" = "$4" ]
}

modify() { # VOLUME JSON
	controller ControllerModifyVolume "{\"volume_id\":\"$1\",\"mutable_parameters\":$2}"
}

health() { # VOLUME: "STATUS REASON" of each thing that is wrong
	controller ControllerGetVolumeHealth "{\"volume_id\":\"$1\"}" |
		jq -r '.volume_health.health_statuses // [] | .[] | "\(.status) \(.reason)"'
}

backing() { # VOLUME
	echo "$pool_dir/$(uuid_of "$1").img"
}

# The kernel tells a host by an asynchronous event; the host then looks again.
has_size() { # DEVICE BYTES
	[ "$(blockdev --getsize64 "/dev/$1")" = "$2" ] && [ "$(cat "/sys/block/$1/size")" = $(($2 / 512)) ]
}

published() { # VOLUME KEY: from its publish context
	jq -r ".\"$2\" // \"\"" <<<"${publish_contexts[$1]}"
}

volume_size() { # VOLUME: as the controller shows it
	controller ControllerGetVolume "{\"volume_id\":\"$1\"}" | jq -r .volume.capacity_bytes
}

note "online, with a file system"
cap=$(capability SINGLE_NODE_WRITER)
provision online $((64 * mib))
publish "$volume" pod >/dev/null
device=$(device_of "$volume") path=$(pod pod)
head -c $((4 * mib)) /dev/urandom >/run/noise
cp /run/noise "$path/noise"
sync -f "$path/noise"
check "online: it grows, and the file system is the node's to grow" \
	grows "$volume" $((128 * mib)) $((128 * mib)) true
check "online: the host sees the new size" wait_for 20 has_size "$device" $((128 * mib))
check "online: the backing has it" [ "$(stat -c %s "$(backing "$volume")")" = $((128 * mib)) ]
check "online: the controller shows it" [ "$(volume_size "$volume")" = $((128 * mib)) ]
check "online: the pod's file is intact" cmp /run/noise "$path/noise"
check "online: the pod writes on" cp /run/noise "$path/more"
check "online: asked again, the same" grows "$volume" $((128 * mib)) $((128 * mib)) true
check "a volume that is large enough stays as it is" grows "$volume" $((64 * mib)) $((128 * mib)) true
check "a size between two blocks is rounded up" grows "$volume" $((128 * mib + 1)) $((128 * mib + 4096)) true
check "the host sees the rounded size" wait_for 20 has_size "$device" $((128 * mib + 4096))
check "what cannot be rounded up within the limit is refused" \
	refuses OUT_OF_RANGE "smallest possible size" expand "$volume" $((129 * mib + 1)) $((129 * mib + 2))
check "shrinking is refused" refuses OUT_OF_RANGE "do not shrink" expand "$volume" $((64 * mib)) $((100 * mib))
check "more than the pool has is refused" refuses RESOURCE_EXHAUSTED "" expand "$volume" $((1 << 45))
check "a refused expansion changes nothing" has_size "$device" $((128 * mib + 4096))
check "an absent volume is not found" refuses NOT_FOUND "" \
	expand t1/p1/11111111-2222-5333-8444-555555555555 $((64 * mib))
check "nor is one of a foreign form" refuses NOT_FOUND "target/pool/uuid" expand nonsense $((64 * mib))
unpublish "$volume" pod >/dev/null
unstage "$volume" >/dev/null

note "blank, grown between attach and the first stage"
check_size() { # PATH BYTES: the file system has its device's size, but for what it keeps to itself
	[ "$(($(stat -fc '%b * %S' "$1")))" -gt $(($2 * 3 / 4)) ]
}
first=$volume
for fs in ext4 xfs; do
	cap=$(capability SINGLE_NODE_WRITER $fs)
	create "early-$fs" $((320 * mib)) >/dev/null
	attach "$volume"
	check "early, $fs: it grows" grows "$volume" $((640 * mib)) $((640 * mib)) true
	check "early, $fs: the publish context still says the size of the attach" \
		[ "$(published "$volume" sizeBytes)" = $((320 * mib)) ]
	check "early, $fs: it is staged all the same" stage "$volume"
	check "early, $fs: the device has its full size" has_size "$(device_of "$volume")" $((640 * mib))
	publish "$volume" early >/dev/null
	check "early, $fs: so has its file system" check_size "$(pod early)" $((640 * mib))
	unpublish "$volume" early >/dev/null
	retire "$volume"
done
cap=$(capability SINGLE_NODE_WRITER) volume=$first

note "published, but not staged, and offline"
check "published: it grows" grows "$volume" $((160 * mib)) $((160 * mib)) true
detach "$volume" >/dev/null
check "offline: it grows" grows "$volume" $((256 * mib)) $((256 * mib)) true
attach "$volume"
check "offline: the next publish says the new size" [ "$(published "$volume" sizeBytes)" = $((256 * mib)) ]
stage "$volume" >/dev/null
publish "$volume" pod >/dev/null
check "offline: the device has it" has_size "$(device_of "$volume")" $((256 * mib))
check "offline: the file is intact" cmp /run/noise "$(pod pod)/noise"
unpublish "$volume" pod >/dev/null

note "modified"
check "an unknown parameter is refused, and the known ones are named" \
	refuses INVALID_ARGUMENT "nrIoQueues.*queueSize.*ctrlLossTmo" modify "$volume" '{"iops":"5"}'
check "so is one that is for life" refuses INVALID_ARGUMENT "pool.*cannot be changed" modify "$volume" '{"pool":"p2"}'
check "so is a value out of range" refuses INVALID_ARGUMENT "from 1 to 128" modify "$volume" '{"nrIoQueues":"0"}'
check "nothing was set by them" [ -z "$(published "$volume" nrIoQueues)" ]
check "connect parameters are set" modify "$volume" '{"nrIoQueues":"1","ctrlLossTmo":"333"}'
check "and more of them" modify "$volume" '{"ctrlLossTmo":"444"}'
unstage "$volume" >/dev/null
detach "$volume" >/dev/null
attach "$volume"
check "the next publish has them" [ "$(published "$volume" nrIoQueues)/$(published "$volume" ctrlLossTmo)" = 1/444 ]
stage "$volume" >/dev/null
controller_name=$(basename "$(find /sys/class/nvme -mindepth 1 -name 'nvme*')")
check "the kernel has them: queues" [ "$(cat "/sys/class/nvme/$controller_name/queue_count")" = 2 ]
check "the kernel has them: the time until a controller is given up" \
	[ "$(cat "/sys/class/nvme/$controller_name/ctrl_loss_tmo")" = 444 ]
unstage "$volume" >/dev/null
detach "$volume" >/dev/null

note "exported read-only"
attach "$volume" true
check "the publish context says read-only" [ "$(published "$volume" readonly)" = true ]
check "a volume that is exported read-only does not grow" \
	refuses FAILED_PRECONDITION "read-only" expand "$volume" $((512 * mib))
check "nor does its backing" [ "$(stat -c %s "$(backing "$volume")")" = $((256 * mib)) ]
detach "$volume" >/dev/null
check "afterwards it does" grows "$volume" $((512 * mib)) $((512 * mib)) true

note "health"
check "nothing is wrong" [ -z "$(health "$volume")" ]
check "and the list is empty" [ "$(controller ControllerListVolumeHealth | jq '.entries // [] | length')" = 0 ]
truncate -s $((1 * mib)) "$(backing "$volume")"
check "a backing that was cut off is data loss" [ "$(health "$volume")" = "DATA_LOSS BackingShort" ]
check "the list has it" \
	[ "$(controller ControllerListVolumeHealth | jq -r '.entries[].volume_id')" = "$volume" ]
truncate -s $((512 * mib)) "$(backing "$volume")"
check "put right: nothing is wrong" [ -z "$(health "$volume")" ]
stop agent
check "without its target it is inaccessible" [ "$(health "$volume")" = "INACCESSIBLE TargetUnreachable" ]
check "without a target there is no list of health" \
	refuses UNAVAILABLE "target t1" controller ControllerListVolumeHealth
check "nor one of volumes" refuses UNAVAILABLE "target t1" controller ListVolumes
start_agent
wait_for 20 answers "$controller_socket" csi.v1.Controller ListVolumes
delete "$volume" >/dev/null

note "raw block"
cap=$(capability SINGLE_NODE_WRITER block)
provision raw $((64 * mib))
publish "$volume" raw >/dev/null
device=$(device_of "$volume") path=$(pod raw)
dd if=/run/noise of="$path" bs=1M oflag=direct status=none
check "raw: it grows, and nothing is left for the node to do" \
	grows "$volume" $((96 * mib)) $((96 * mib)) false
check "raw: the pod's device has the new size" wait_for 20 has_size "$device" $((96 * mib))
check "raw: what was written is intact" cmp -n $((4 * mib)) /run/noise "$path"
check "raw: what is new reads as zeros" \
	cmp -i $((64 * mib)):0 -n $((32 * mib)) "$path" /dev/zero
check "raw: its end can be written" \
	dd if=/run/noise of="$path" bs=1M count=1 seek=95 conv=notrunc oflag=direct
check "raw: and reads back" cmp -i $((95 * mib)):0 -n $mib "$path" /run/noise
unpublish "$volume" raw >/dev/null
retire "$volume"
