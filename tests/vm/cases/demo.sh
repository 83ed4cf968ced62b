#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The main job once, step by step, with times: from CreateVolume to a pod's read-only bind and back.
# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"

# step TEXT COMMAND...: runs it and prints how long it took
step() {
	local text=$1 start
	shift
	start=$(now_ms)
	"$@" >/run/step.out 2>&1 || { sed 's/^/# /' /run/step.out; fail "$text"; }
	printf '%6d ms  %s\n' $(($(now_ms) - start)) "$text"
}

show() {
	sed 's/^/           | /'
}

echo "kernel $(uname -r), pool on xfs, NVMe/TCP over loopback"
step "pool, target agent, controller and node are up" start_driver
step "Probe: controller and node are ready" is_ready "$node_socket"
step "CreateVolume 1 GiB" create demo
step "ControllerPublishVolume to the node's host NQN" attach "$volume"
step "NodeStageVolume: connect, format ext4, mount once" stage "$volume"
step "NodePublishVolume read-write for the writer pod" publish "$volume" writer
step "NodePublishVolume read-only for the reader pod" publish "$volume" reader true

writer=$(pod writer) reader=$(pod reader) device=$(device_of "$volume")
controller_dir=$(echo /sys/class/nvme-subsystem/*/nvme[0-9])

echo "one device mount, the rest are binds of it (mountinfo):"
mounts_of "$device" | awk '{ print $3, $4, $5, $6, "-", $9, $10, $11 }' FS='[ ]+' OFS=' ' | show
echo "connected as this node's host NQN:"
printf 'subsystem  %s\nhost NQN   %s\nstate      %s\n' "$(cat "$controller_dir/subsysnqn")" \
	"$(cat "$controller_dir/hostnqn")" "$(cat "$controller_dir/state")" | show
check "the controller's host NQN is the node's" \
	[ "$(cat "$controller_dir/hostnqn")" = "$host_nqn" ]
check "one mount is the device's, the others are its binds: private, staging, two pods" \
	[ "$(mounts_of "$device" | wc -l)" = 4 ]
check "the staging path is no mount itself: kubelet would take the others for strangers" \
	not mountpoint -q "$(staging "$volume")"
check "the reader's mount is read-only, the writer's is not" \
	eval 'is_readonly "$reader" && ! is_readonly "$writer"'

write_through_writer() { echo "hello from the writer" >"$writer/greeting" && sync "$writer/greeting"; }
step "the writer writes a file" write_through_writer
check "the reader sees it live" grep -q "hello from the writer" "$reader/greeting"
echo more >>"$writer/greeting"
check "and what is appended to it" grep -q more "$reader/greeting"
refused=$(touch "$reader/mine" 2>&1) || true
echo "$refused" | show
check "the reader cannot write: EROFS" grep -q "Read-only file system" <<<"$refused"
check "and the writer still can" touch "$writer/mine"
echo "idle node process: $(grep RssAnon "/proc/${pids[node]}/status" | tr -s '\t ' ' '), \
$(grep Threads "/proc/${pids[node]}/status" | tr -s '\t ' ' ')"

step "NodeUnpublishVolume of the reader" unpublish "$volume" reader
step "NodeUnpublishVolume of the writer" unpublish "$volume" writer
step "NodeUnstageVolume: unmount, disconnect" unstage "$volume"
step "ControllerUnpublishVolume: fenced" detach "$volume"
step "DeleteVolume" delete "$volume"

check "no mount is left" not grep -q "$kubelet_dir\|$state_dir" /proc/self/mountinfo
check "no controller is left" [ "$(controllers)" = 0 ]
check "no export is left" [ -z "$(ls /sys/kernel/config/nvmet/subsystems /sys/kernel/config/nvmet/hosts | grep nqn)" ]
check "no file is left in the pool" [ -z "$(find "$pool_dir" -name '*.img' -o -name '*.json')" ]
check "no record is left on the node" [ -z "$(ls "$state_dir/volumes" "$state_dir/mnt" | grep -v :)" ]
