#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A node goes deaf: its driver is stopped while its network and its pod live on. The volume is given
# to another node, and nothing that the first writes from then on reaches it.
# guests: target node-a node-b
# disk: target 4G
# timeout: 900
# shellcheck source=tests/vm/cluster.sh
. "$NVMEOT_SRC/tests/vm/cluster.sh"

# Each record is on the target before the next is written.
write_records() { # PREFIX
	local i
	for i in {1..20}; do
		echo "$1 record $i" >>"$(pod pod)/$1" && sync "$(pod pod)/$1" || return
	done
}

# Fills the page cache with what /run/mark says now, until a write fails or it is told to stop.
# What is in there, /run/scribbled says: to read the file itself may block once the device does.
scribble() {
	local mark
	while [ ! -e /run/stop ]; do
		mark=$(</run/mark)
		echo "$mark" || return
		echo "$mark" >/run/scribbled
		sleep 0.1
	done >>"$(pod pod)/scribbled"
}
scribbled() { # MARK
	[ "$(</run/scribbled)" = "$1" ]
}

# The device as it was before the fence, held open; and what is tried on it, and on the file system,
# once the node wakes. All of that may fail or block for ever; none of it may arrive.
hold_device() {
	stale=/dev/$(device_of "$volume")
	exec {held}<>"$stale"
}
write_raw() { # MARK ARGS...
	yes "$1" |
		dd bs=1M count=8 seek=48 iflag=fullblock oflag=direct conv=notrunc,nocreat "${@:2}"
}
flush_all() {
	write_raw AFTER-FENCE-HELD >&"$held" 2>/run/held &
	flushers=($!)
	write_raw AFTER-FENCE-REOPENED of="$stale" >/run/reopened 2>&1 &
	flushers+=($!)
	sync 2>/run/synced &
	flushers+=($!)
	{ echo AFTER-FENCE-FILE >"$(pod pod)/late" && sync "$(pod pod)/late"; } 2>/run/late &
	flushers+=($!)
}
flushed() {
	! pgrep -x 'dd|sync' >/dev/null
}

# The kernel gives the dead device up by itself once a reconnect is refused for good; one older than
# 6.12 never does and keeps everybody blocked, so the administrator has to.
give_up() {
	local file
	for file in /sys/class/nvme/nvme*/delete_controller; do
		[ ! -e "$file" ] || echo 1 >"$file"
	done
	touch /run/stop
	wait $scribbler "${flushers[@]}"
	exec {held}>&-
}

backing() {
	echo "$pool_dir/$(uuid_of "$volume").img"
}
# Of a sparse image only what there is.
image_has() { # MARK
	sync "$(backing)" && tar --create --sparse --file=- "$(backing)" 2>/dev/null | grep -aF "$1" >/dev/null
}
fsck_ext4() {
	e2fsck -fn "$(backing)"
}
fsck_xfs() {
	xfs_repair -n -f "$(backing)"
}
clean_node() {
	[ "$(controllers)" = 0 ] && ! grep -q "$kubelet_dir\|$state_dir" /proc/self/mountinfo &&
		[ -z "$(ls "$state_dir/volumes")" ]
}
clean_target() {
	[ -z "$(find /sys/kernel/config/nvmet/{subsystems,hosts} -mindepth 1)" ] &&
		[ -z "$(find "$pool_dir" -name '*.img' -o -name '*.json')" ]
}
connected_from() { # ADDRESS
	ss -Htn state established "sport = :4420 and dst = $1" | grep .
}

declare -A sizes=([ext4]=67108864 [xfs]=314572800)
fence() { # FILE_SYSTEM [MOUNT_FLAG...]
	local fs=$1 begun_ms
	everywhere "cap=\$(capability SINGLE_NODE_WRITER $*)"
	create_volume "fence-$fs" "${sizes[$fs]}"
	give_to node-a
	on node-a 'stage "$volume" && publish "$volume" pod' >/dev/null
	on node-a 'rm -f /run/stop; echo BEFORE-FENCE >/run/mark; hold_device'
	on node-a write_records fsynced
	on node-a 'scribble & scribbler=$!'
	on node-a 'wait_for 20 scribbled BEFORE-FENCE && sync "$(pod pod)/scribbled"'
	check "$fs: what node-a writes reaches the target" on target image_has BEFORE-FENCE
	check "$fs: node-b is refused while node-a has it" on target \
		"host_nqn=${nqns[node-b]} refuses FAILED_PRECONDITION ${nqns[node-a]} attach $volume"

	on node-a 'kill -STOP ${pids[node]}'
	begun_ms=$(now_ms)
	take_from node-a
	note "$fs: unpublish from the deaf node took $(($(now_ms) - begun_ms)) ms"
	check "$fs: node-a has no connection left" \
		on target not connected_from "$(address_of node-a)"
	on node-a 'echo AFTER-FENCE-CACHED >/run/mark'
	check "$fs: node-a's pod goes on writing to its page cache" on node-a \
		wait_for 20 scribbled AFTER-FENCE-CACHED
	give_to node-b
	on node-b 'stage "$volume" && publish "$volume" pod' >/dev/null
	check "$fs: node-b mounts it and has all that node-a had synced" on node-b \
		'[ "$(cat "$(pod pod)/fsynced")" = "$(seq -f "fsynced record %.0f" 20)" ]'
	on node-b write_records other

	on node-a 'kill -CONT ${pids[node]}; flush_all'
	on node-b write_records other2
	on node-a 'wait_for 4 flushed || echo "# blocked: $(pgrep -x "dd|sync" -l | tr "\n" " ")"'
	note "$fs: node-a: $(on node-a 'cat /run/held /run/reopened /run/synced /run/late' |
		tr '\n' ';')"
	on node-b write_records last
	check "$fs: node-a has no connection" on target not connected_from "$(address_of node-a)"
	check "$fs: none of node-a's later writes reached the volume" \
		on target not image_has AFTER-FENCE
	check "$fs: node-b's did" on target image_has "last record 20"

	on node-a give_up
	on node-a 'unpublish "$volume" pod && unstage "$volume"' >/dev/null
	check "$fs: node-a lets go of everything" on node-a clean_node
	check "$fs: still none of its writes reached the volume" \
		on target not image_has AFTER-FENCE
	check "$fs: node-b's records are whole" on node-b \
		'[ "$(cat "$(pod pod)"/{other,other2,last} | wc -l)" = 60 ]'
	on node-b 'unpublish "$volume" pod && unstage "$volume"' >/dev/null
	take_from node-b
	check "$fs: the file system is clean" on target fsck_$fs
	on target 'delete "$volume"' >/dev/null
	check "$fs: nothing is left on the target" on target clean_target
}

start_cluster
# Whoever uses the fenced device blocks, on some kernels until it is given up.
on node-a 'echo 600 >/proc/sys/kernel/hung_task_timeout_secs'
# A commit of ext4's journal that cannot end would block the pod's writes to the page cache.
fence ext4 commit=600
fence xfs
