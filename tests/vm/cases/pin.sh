#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a stage does to a device by its name is done to that very device, whatever happens meanwhile:
# its controllers go, another volume comes, somebody calls for another handle of it.
# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"

# The node's mkfs.ext4 lets the case do something at that moment of a stage.
mkdir /run/programs
cat >/run/programs/mkfs.ext4 <<EOF
#!/bin/bash
echo "\${@: -1}" >/run/formatted
[ ! -e /run/meanwhile ] || bash -x /run/meanwhile >/run/meanwhile.log 2>&1
exec $(command -v mkfs.ext4) "\$@"
EOF
chmod +x /run/programs/mkfs.ext4
PATH=/run/programs:$PATH
start_driver

# The client of the case is busy with the stage, so what is called meanwhile has one of its own.
ask_node() { # METHOD JSON
	printf '%q ' "$NVMEOT_BUILD/bin/nvmeotctl" --endpoint="$node_socket" rpc csi.v1.Node "$1" \
		"${2//[$'\n\t']/}"
}
stage_request() { # VOLUME CAPABILITY
	printf '{"volume_id":"%s","staging_target_path":"%s","volume_capability":%s,%s}' \
		"$1" "$(staging "$1")" "$2" "$(contexts "$1")"
}

# Another volume, with data, that will come while a new one is being formatted.
raw=$(capability SINGLE_NODE_WRITER block)
cap=$raw
provision full 67108864
full=$volume
publish "$full" pod >/dev/null
head -c 16M /dev/urandom >/run/noise
dd if=/run/noise of="$(pod pod)" bs=1M oflag=direct conv=notrunc status=none
unpublish "$full" pod >/dev/null
unstage "$full" >/dev/null

cap=$(capability SINGLE_NODE_WRITER)
create new 67108864 >/dev/null
attach "$volume"
cat >/run/meanwhile <<EOF
rm /run/meanwhile
for file in /sys/class/nvme/nvme*/delete_controller; do echo 1 >"\$file"; done
$(ask_node NodeStageVolume "$(stage_request "$full" "$raw")")
EOF
check "the device is replaced while it is formatted: the stage fails" \
	refuses INTERNAL mkfs.ext4 stage "$volume"
check "meanwhile the other volume came" device_of "$full"
check "but not under the name that was being formatted" \
	[ "/dev/$(device_of "$full")" != "$(cat /run/formatted)" ]
check "and not one byte of it changed" cmp -n 16777216 /run/noise "/dev/$(device_of "$full")"
check "the next stage of the new volume succeeds" stage "$volume"
check "and still not one byte changed" cmp -n 16777216 /run/noise "/dev/$(device_of "$full")"
retire "$volume"
unstage "$full" >/dev/null
detach "$full" >/dev/null
delete "$full" >/dev/null

# Whatever handle a volume is called by, its subsystem has one operation at a time.
create busy 67108864 >/dev/null
attach "$volume"
uuid=$(uuid_of "$volume")
volume_contexts[handle]="{\"nqn\":\"nqn.2026-11.io.nvmeot:$uuid\",
	\"portals\":\"tcp://127.0.0.1:4420\",\"nsUuid\":\"$uuid\"}"
publish_contexts[handle]="{}"
mkdir -p "$(staging handle)" "$kubelet_dir/pods/pod"
unstage_request="{\"volume_id\":\"t9/p9/$uuid\",\"staging_target_path\":\"/run/none\"}"
publish_request="{\"volume_id\":\"handle\",\"staging_target_path\":\"$(staging handle)\",
	\"target_path\":\"$(pod pod)\",\"volume_capability\":$cap,$(contexts handle)}"
cat >/run/meanwhile <<EOF
rm /run/meanwhile
$(ask_node NodeStageVolume "$(stage_request handle "$cap")") >/run/beside-stage 2>&1
$(ask_node NodeUnstageVolume "$unstage_request") >/run/beside-unstage 2>&1
$(ask_node NodePublishVolume "$publish_request") >/run/beside-publish 2>&1
EOF
check "the stage succeeds" stage "$volume"
for call in stage unstage publish; do
	check "beside a stage, the $call of another handle is ABORTED" \
		eval 'cat /run/beside-$call && grep -q "ABORTED.*io.nvmeot:$uuid" /run/beside-$call'
done
check "what was aborted left nothing" [ "$(ls "$state_dir/volumes" | wc -l)" = 1 ]
unstage "$volume" >/dev/null

# Somebody connected the volume already and made its device read-only.
options="transport=tcp,traddr=127.0.0.1,trsvcid=4420,nqn=nqn.2026-11.io.nvmeot:$uuid"
echo "$options,hostnqn=$host_nqn,hostid=${host_nqn##*:}" >/dev/nvme-fabrics
check "connected by somebody else" wait_for 10 device_of "$volume"
device=/dev/$(device_of "$volume")
blockdev --setro "$device"
check "a device that is read-only is made writable to be mounted" stage "$volume"
publish "$volume" pod >/dev/null
check "and is" eval '[ "$(blockdev --getro "$device")" = 0 ] && touch "$(pod pod)/file"'
unpublish "$volume" pod >/dev/null
retire "$volume"
