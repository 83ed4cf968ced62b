#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The whole driver where the kernel has no native multipath, by an IPv6 portal: volumes are staged,
# used, grown in use with and without the kernel's event, found to be well, and let go of.
portal=tcp://[::1]:4420
# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"
mib=1048576

grow_target() { # VOLUME BYTES
	controller ControllerExpandVolume "{\"volume_id\":\"$1\",\"volume_capability\":$cap,
		\"capacity_range\":{\"required_bytes\":$2}}"
}
grows() { # VOLUME PATH BYTES: in the node's words, and the device has them
	local answer
	answer=$(node NodeExpandVolume "{\"volume_id\":\"$1\",\"volume_path\":\"$2\",
		\"staging_target_path\":\"$(staging "$1")\",\"volume_capability\":$cap,
		\"capacity_range\":{\"required_bytes\":$3}}") || return
	echo "$answer"
	[ "$(jq -r .capacity_bytes <<<"$answer")" = "$3" ] &&
		[ "$(blockdev --getsize64 "/dev/$device")" = "$3" ]
}
device_of() { # VOLUME: the namespace is below its controller here
	local file
	for file in /sys/class/nvme/nvme*/nvme*n*/uuid; do
		[ "$(cat "$file" 2>/dev/null)" = "$(uuid_of "$1")" ] || continue
		basename "$(dirname "$file")"
		return
	done
	return 1
}
is_well() { # VOLUME PATH
	local answer
	answer=$(node NodeGetVolumeHealth \
		"{\"volume_id\":\"$1\",\"volume_publish_path\":\"$2\"}") || return
	echo "$answer"
	[ "$(jq '.volume_health.health_statuses // [] | length' <<<"$answer")" = 0 ]
}
fills() { # PATH BYTES: but for what the file system keeps to itself
	[ $(($(stat -fc '%b * %S' "$1"))) -gt $(($2 * 3 / 4)) ]
}

without_multipath
start_driver
head -c $mib /dev/urandom >/run/noise

for fs in ext4 xfs; do
	cap=$(capability SINGLE_NODE_WRITER $fs)
	provision "single-$fs" $((320 * mib))
	publish "$volume" pod >/dev/null
	device=$(device_of "$volume") path=$(pod pod)
	check "$fs: it is connected by its IPv6 address" grep -q 'traddr=::1,trsvcid=4420' \
		"/sys/block/$device/device/address"
	check "$fs: the pod writes" eval 'cp /run/noise "$path/kept" && sync "$path/kept"'
	grow_target "$volume" $((640 * mib)) >/dev/null
	check "$fs: it grows in use" grows "$volume" "$path" $((640 * mib))
	check "$fs: the pod sees it" fills "$path" $((640 * mib))
	truncate -s $((960 * mib)) "$pool_dir/$(uuid_of "$volume").img"
	check "$fs, nobody told of it: a scan finds it" grows "$volume" "$path" $((960 * mib))
	check "$fs, nobody told of it: the pod sees it" fills "$path" $((960 * mib))
	check "$fs: it is well" is_well "$volume" "$path"
	unpublish "$volume" pod >/dev/null
	check "$fs: it is unstaged" unstage "$volume"
	check "$fs: nothing of it is connected" [ "$(controllers)" = 0 ]
	stage "$volume" >/dev/null
	check "$fs: staged anew, it is as it was" cmp /run/noise "$(staged "$volume")/kept"
	retire "$volume"
done

cap=$(capability SINGLE_NODE_WRITER block)
provision single-raw $((64 * mib))
publish "$volume" raw >/dev/null
device=$(device_of "$volume") path=$(pod raw)
dd if=/run/noise of="$path" bs=1M oflag=direct status=none
grow_target "$volume" $((128 * mib)) >/dev/null
check "raw: it grows in use" grows "$volume" "$path" $((128 * mib))
check "raw: the pod has it" [ "$(blockdev --getsize64 "$path")" = $((128 * mib)) ]
check "raw: what was written is there" cmp -n $mib /run/noise "$path"
check "raw: it is well" is_well "$volume" "$path"
unpublish "$volume" raw >/dev/null
retire "$volume"
check "nothing is left" [ "$(controllers)" = 0 ]
