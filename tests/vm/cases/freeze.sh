#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Snapshots that freeze the file system on its node: what they hold, and that nothing stays frozen
# whoever dies: node, guard, both, agent; or is only stopped.
# timeout: 1500
# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"

# A node that attends.
launch_node() {
	start node nvmeot-csi --role=node --endpoint="$node_socket" --state-dir="$state_dir" \
		--target=t1="$agent_address" --insecure "$@"
}
start_driver
other_nqn=nqn.2014-08.org.nvmexpress:uuid:5e0c24a3-7a55-4d4f-8d4e-0c6b1d5be1aa
mib=1048576

# take NAME true|false VOLUME: sets $snapshot
take() {
	local answer
	answer=$(controller CreateSnapshot "{\"name\":\"$1\",\"source_volume_id\":\"$3\",
		\"parameters\":{\"freeze\":\"$2\"}}") || return
	snapshot=$(jq -r .snapshot.snapshot_id <<<"$answer")
}

# Again while the answer is that this slow machine was too late, as a CO does.
at_last() { # COMMAND...
	local i
	for ((i = 0; i < 8; i++)); do
		! "$@" 2>/run/said || return 0
		grep -qE "^ABORTED: |^UNAVAILABLE: .*could not be copied within" /run/said || break
		sed 's/^/# /' /run/said >&3
	done
	cat /run/said
	return 1
}

group() { # NAME true|false VOLUME...: the request
	printf '{"name":"%s","parameters":{"freeze":"%s"},"source_volume_ids":[%s]}' "$1" "$2" \
		"$(printf ',"%s"' "${@:3}" | cut -c2-)"
}

take_group() { # NAME true|false VOLUME...: prints the answer
	rpc "$controller_socket" csi.v1.GroupController CreateVolumeGroupSnapshot "$(group "$@")"
}

drop() { # SNAPSHOT
	controller DeleteSnapshot "{\"snapshot_id\":\"$1\"}" >/dev/null
}

snapshots() {
	controller ListSnapshots '{}' | jq '.entries | length'
}

# The backing of a snapshot, in a copy that may be written to.
copy_of() { # SNAPSHOT
	rm -f /mnt/pool/copy
	cp --reflink=always "$pool_dir/${1##*@}.img" "$pool_dir/copy"
	echo "$pool_dir/copy"
}

says() { # TEXT: how often the node has
	grep -c "$1" "$run_dir/node.log" || true
}

said_more() { # TEXT BEFORE
	[ "$(says "$1")" -gt "$2" ]
}

# What the node says from now on is looked at by itself.
new_log() {
	logs=$((${logs:-0} + 1))
	mv "$run_dir/node.log" "$run_dir/node-before-$logs.log"
}

attends() {
	wait_for 30 said_more "attending a target" "${1:-0}"
}

# --- a writer without a sync ------------------------------------------------------------------

write_on() { # FILE
	local i=0
	exec 9>>"$1"
	while [ ! -e /run/stop ]; do
		i=$((i + 1))
		echo "line $i" >&9
		echo $i >/run/written
	done
}

# Between two numbers the file is empty.
written() {
	local n=0
	while [ -e /run/written ] && ! read -r n </run/written; do :; done
	echo "${n:-0}"
}

written_beyond() {
	[ "$(written)" -gt "$1" ]
}

writes_on() {
	wait_for 60 written_beyond $(($(written) + 20))
}

holds_all() { # FILE LEAST: all lines up to one that was written before the call, none torn
	local count
	count=$(wc -l <"$1")
	echo "$count lines, $2 were written before"
	((count >= $2)) && cmp <(head -n "$2" "$1") <(seq -f "line %.0f" "$2")
}

# --- what is in a snapshot --------------------------------------------------------------------

needs_recovery() { # IMAGE
	dumpe2fs -h "$1" 2>/dev/null | grep -q "^Filesystem features:.*needs_recovery"
}

mkdir -p /mnt/copy
without_replay() { # IMAGE FSTYPE
	case $2 in
	ext4) mount -o loop,ro,noload "$1" /mnt/copy ;;
	xfs) mount -o loop,ro,norecovery,nouuid "$1" /mnt/copy ;;
	esac
}

has_all() { # IMAGE FSTYPE LEAST
	local status=0
	without_replay "$1" "$2" || return
	holds_all /mnt/copy/file "$3" || status=$?
	umount /mnt/copy
	return $status
}

# An xfs that is frozen logs its superblock once more, so that a mount of a snapshot clears away files that
# are deleted and open: xfs_fs_freeze.
only_superblock_logged() { # IMAGE
	xfs_logprint -t "$1" >/run/log 2>&1 || true
	cat /run/log
	grep -q "state: <" /run/log
	[ "$(grep -c "^TRANS:" /run/log)" = "$(grep -c "SUPER Block Buffer" /run/log)" ]
	! grep -qE "^(INO|EFI|EFD|DQ|QOFF|RUI|CUI|BUI|ICR):" /run/log
	[ "$(grep -c "^BUF:" /run/log)" = "$(grep -c "^TRANS:" /run/log)" ]
}

quiesced() { # FSTYPE: a writer's data are all in a snapshot that freezes, and not in another
	local type=$1 least image took_ms
	cap=$(capability SINGLE_NODE_WRITER "$type")
	provision "$type" $((512 * mib))
	publish "$volume" "$type" >/dev/null
	rm -f /run/stop /run/written
	write_on "$(pod "$type")/file" &
	writes_on || fail "no writer"
	least=$(written)
	take "plain-$type" false "$volume" || fail "$type: no snapshot"
	image=$(copy_of "$snapshot")
	[ "$type" != ext4 ] || check "ext4: its journal has to be replayed" needs_recovery "$image"
	[ "$type" = btrfs ] ||
		check "$type: without freeze not all is there that was written" not has_all "$image" "$type" "$least"
	drop "$snapshot"
	writes_on || fail "no writer"
	attends
	least=$(written)
	took_ms=$(now_ms)
	at_last take "frozen-$type" true "$volume" || fail "$type: not frozen"
	note "$type: a snapshot with freeze took $(($(now_ms) - took_ms)) ms"
	check "$type: the writer goes on" writes_on
	image=$(copy_of "$snapshot")
	if [ "$type" = ext4 ]; then
		check "ext4: its journal has not to be replayed" not needs_recovery "$image"
		check "ext4: it is clean" e2fsck -fn "$image"
	elif [ "$type" = xfs ]; then
		check "xfs: its log has its superblock alone" only_superblock_logged "$image"
	fi
	if [ "$type" = btrfs ]; then
		check "btrfs: it is clean" btrfs check --force "$image"
	else
		check "$type: all that was written is there without a replay" \
			has_all "$image" "$type" "$least"
	fi
	check "$type: the same again is the same" take "frozen-$type" true "$volume"
	touch /run/stop
	wait %% || true
	drop "$snapshot"
	rm -f "$pool_dir/copy"
	unpublish "$volume" "$type" >/dev/null
	retire "$volume"
}

check "what is no boolean is refused" refuses INVALID_ARGUMENT 'parameter freeze "maybe" is not' \
	take x maybe t1/p1/3f0c24a3-7a55-4d4f-8d4e-0c6b1d5be1aa
quiesced ext4
check "nothing is attended when nothing is staged" \
	[ "$(find "/proc/${pids[node]}/task" -mindepth 1 -maxdepth 1 -exec cat {}/comm \; | grep -c attend || true)" = 0 ]
quiesced xfs
quiesced btrfs

# --- what befalls a freeze --------------------------------------------------------------------

# A is ours. B is another host's, which answers as it is told: for as long as it does not, A is held.
cap=$(capability SINGLE_NODE_WRITER ext4)
provision B $((256 * mib))
retire "$volume"
create B $((256 * mib)) >/dev/null
volume_b=$volume
attach_to "$other_nqn" "$volume_b" >/dev/null
provision A $((256 * mib))
volume_a=$volume
publish "$volume_a" pod >/dev/null
echo here >"$(pod pod)/file"
attends

mkfifo /run/attendee.in
exec 8<>/run/attendee.in
start_attendee() {
	: >/run/attendee
	"$NVMEOT_BUILD/tests/attendee" "$agent_address" t1 "$other_nqn" </run/attendee.in \
		>/run/attendee 2>&1 &
	attendee=$!
	wait_for 30 grep -q attending /run/attendee || fail "no attendee"
}

guards() {
	pgrep -f "nvmeot-csi freeze-guard" || true
}

is_frozen() {
	said_more "file system frozen" "$frozen_before"
}

# Writes to A, and notes when that was done.
probe() {
	rm -f /run/probed
	(
		echo more >>"$(pod pod)/file"
		now_ms >/run/probed
	) &
}

# Begins a group of A and B, and returns when A is frozen and a write to it waits; early enough to tell
# what befalls it then from what would have come anyway: an agent waits for all hosts for 8 s.
freeze_a() { # NAME
	local i
	for i in {1..8}; do
		frozen_before=$(says "file system frozen")
		order_ms=$(now_ms)
		begin_rpc "$controller_socket" csi.v1.GroupController CreateVolumeGroupSnapshot \
			"$(group "$1" true "$volume_a" "$volume_b")"
		wait_for 20 is_frozen || fail "A is not frozen"
		probe
		(($(now_ms) - order_ms > 4000)) || return 0
		note "A was frozen after $(($(now_ms) - order_ms)) ms: again"
		release_b
		end_rpc "$controller_socket" >/dev/null 2>&1 || true
		wait_for 30 nothing_left || fail "something is left of A's freeze"
	done
	fail "A is never frozen in time"
}

still_frozen() {
	sleep 0.5
	[ ! -e /run/probed ]
}

thaws() { # as the write that waited tells
	wait_for 60 test -s /run/probed || return
	echo "after $(($(</run/probed) - since_ms)) ms" | tee /run/took
}

# At once is before the guard's own 10 s are over, which begin after the order.
thaws_at_once() {
	thaws && (($(</run/probed) - order_ms < 10000))
}

# Whatever the other host says in the end; nothing is left.
nothing_left() {
	[ "$(snapshots)" = 0 ] && [ -z "$(ls -A "$state_dir/frozen")" ] && [ -z "$(guards)" ] &&
		[ -z "$(find "$pool_dir" -name '*.new*')" ]
}

aborted() { # REGEX
	refuses ABORTED "$1" end_rpc "$controller_socket"
}

release_b() {
	echo failed >&8
}

start_attendee
freeze_a told
check "a write waits" still_frozen
check "a read does not" grep -q here "$(pod pod)/file"
check "an unstage does not wait" refuses ABORTED "is busy with the freeze" unstage "$volume_a"
since_ms=$(now_ms)
release_b
check "a host that fails ends it for all" aborted "volume $volume_b is not frozen by host $other_nqn: as the test wants it"
check "the write goes on" thaws_at_once
check "nothing is left" wait_for 10 nothing_left

freeze_a node-killed
check "A is frozen" still_frozen
since_ms=$(now_ms)
stop node KILL
check "the node is killed: thawed at once" thaws_at_once
note "$(cat /run/took)"
aborted "host $host_nqn left" >/run/said || fail "$(cat /run/said)"
release_b
start_node
check "the next start finds it thawed" said_more "is not frozen" 0
attends 1
check "nothing is left" wait_for 10 nothing_left

freeze_a guard-killed
check "A is frozen" still_frozen
guard=$(guards)
since_ms=$(now_ms)
kill -9 "$guard"
check "the guard is killed: thawed at once" thaws_at_once
note "$(cat /run/took)"
check "which makes it fail" aborted "volume $volume_a was quiet on host $host_nqn, but not for long"
release_b
check "nothing is left" wait_for 10 nothing_left

# Stopped first, so that neither sees the end of the other.
freeze_a both-killed
guard=$(guards)
kill -STOP "$guard" "${pids[node]}"
kill -9 "$guard"
stop node KILL
since_ms=$(now_ms)
check "node and guard are killed: frozen" still_frozen
aborted "host $host_nqn left" >/run/said || fail "$(cat /run/said)"
release_b
new_log
start_node
check "until the next start of the node" thaws
check "which says so" said_more "file system thawed that an earlier process had frozen" 0
attends
check "nothing is left" wait_for 10 nothing_left

# In a container the kernel ends all processes with the first one, which therefore is not the node.
stop node
new_log
unshare --pid --fork "$NVMEOT_BUILD/bin/nvmeot-csi" --role=node --endpoint="$node_socket" \
	--state-dir="$state_dir" --target=t1="$agent_address" --insecure >>"$run_dir/node.log" 2>&1 &
pids[node]=$!
node_starts
attends
first=$(pgrep -P "${pids[node]}")
check "its first process is spared when memory runs out" \
	[ "$(cat "/proc/$first/oom_score_adj")" = -1000 ]
check "but not the node" [ "$(cat "/proc/$(pgrep -P "$first")/oom_score_adj")" = 0 ]
freeze_a container-killed
check "A is frozen" still_frozen
contained=$(pgrep -n -f "nvmeot-csi --role=node")
since_ms=$(now_ms)
kill -9 "$contained"
check "the node of a container is killed: thawed at once" thaws_at_once
note "$(cat /run/took)"
aborted "host $host_nqn left" >/run/said || fail "$(cat /run/said)"
release_b
stopped=0
wait "${pids[node]}" || stopped=$?
unset "pids[node]"
check "and the container ends as it did" [ "$stopped" = 137 ]
new_log
start_node
attends
check "nothing is left" wait_for 10 nothing_left

freeze_a agent-killed
check "A is frozen" still_frozen
since_ms=$(now_ms)
stop agent KILL
check "the agent is killed: thawed at once" thaws_at_once
note "$(cat /run/took)"
check "its caller hears of it" refuses UNAVAILABLE . end_rpc "$controller_socket"
release_b
wait "$attendee" || true
before=$(says "attending a target")
start_agent
attends "$before"
check "nothing is left" wait_for 10 nothing_left

# The other host comes round, and the agent takes the snapshots; but it does not hear from this node
# any more, whose guard lets go at its time.
exec 8>&-
rm /run/attendee.in
mkfifo /run/attendee.in
exec 8<>/run/attendee.in
start_attendee
since_ms=$(now_ms)
freeze_a node-stopped
kill -STOP "${pids[node]}"
echo frozen >&8
check "a node that is stopped: the snapshot does not count" aborted "volume $volume_a may have been written to"
check "and the guard thaws at its time" thaws
note "$(cat /run/took)"
check "which has come" [ "$(($(</run/probed) - order_ms))" -ge 9000 ]
kill -CONT "${pids[node]}"
check "the other host was told to thaw" grep -q thaw /run/attendee
check "nothing is left" wait_for 30 nothing_left

since_ms=$(now_ms)
freeze_a guard-stopped
kill -STOP "$(guards)"
echo frozen >&8
check "a guard that is stopped does not count either" aborted "volume $volume_a may have been written to|not for long enough"
check "and the node thaws instead of it" thaws
note "$(cat /run/took)"
check "nothing is left" wait_for 30 nothing_left

# As when their container is paused.
freeze_a both-stopped
guard=$(guards)
kill -STOP "$guard" "${pids[node]}"
echo frozen >&8
check "node and guard are stopped: the snapshot does not count" aborted "volume $volume_a may have been written to"
check "and A stays frozen" still_frozen
since_ms=$(now_ms)
kill -CONT "$guard" "${pids[node]}"
check "until they run again" thaws
note "$(cat /run/took)"
check "nothing is left" wait_for 30 nothing_left

# What somebody else has frozen stays so, and is not ours to thaw.
fsfreeze -f "$(pod pod)"
check "a file system that is frozen already" refuses ABORTED "host $host_nqn: somebody else has frozen its file system" \
	take_group theirs true "$volume_a"
check "stays frozen" fsfreeze -u "$(pod pod)"
check "nothing is left" wait_for 10 nothing_left

# --- groups, and hosts that do not attend -----------------------------------------------------

for i in {1..8}; do echo nothing; done >&8
check "a host on which nothing is mounted holds up nobody" at_last take_group ours true "$volume_a" "$volume_b"
check "both are there" [ "$(snapshots)" = 2 ]
check "the same again is the same" take_group ours true "$volume_a" "$volume_b"
drop_group() { # NAME VOLUME...
	local answer
	answer=$(take_group "$1" true "${@:2}" | jq -c '{group_snapshot_id: .group_snapshot.group_snapshot_id,
		snapshot_ids: [.group_snapshot.snapshots[].snapshot_id]}')
	rpc "$controller_socket" csi.v1.GroupController DeleteVolumeGroupSnapshot "$answer" >/dev/null
}
drop_group ours "$volume_a" "$volume_b"
kill "$attendee"
wait "$attendee" || true
check "a host that does not attend is named" refuses FAILED_PRECONDITION \
	"volume $volume_b is exported to host $other_nqn, which does not attend.*has no volume of this target staged.*--target=t1=" \
	take b true "$volume_b"
controller ControllerUnpublishVolume "{\"volume_id\":\"$volume_b\",\"node_id\":\"$other_nqn\"}" >/dev/null
check "a volume that is nobody's needs no freeze" take b true "$volume_b"
take b true "$volume_b"
drop "$snapshot"

attach "$volume_b"
stage "$volume_b" >/dev/null
publish "$volume_b" pod-b >/dev/null
for name in pod pod-b; do echo unsynced >"$(pod $name)/more"; done
check "a group of two mounted volumes" at_last take_group two true "$volume_a" "$volume_b"
clean() {
	local id
	for id in $(take_group two true "$volume_a" "$volume_b" | jq -r '.group_snapshot.snapshots[].snapshot_id'); do
		image=$(copy_of "$id")
		! needs_recovery "$image" || return
		without_replay "$image" ext4
		grep unsynced /mnt/copy/more
		umount /mnt/copy
	done
}
check "is clean, and has what was written to both" clean
drop_group two "$volume_a" "$volume_b"

stop node
check "the node ends well" [ "$stopped" = 0 ]
start node nvmeot-csi --role=node --endpoint="$node_socket" --state-dir="$state_dir"
node_starts
check "a node that was not told to attends nobody" refuses FAILED_PRECONDITION \
	"volume $volume_a is exported to host $host_nqn, which does not attend" take a true "$volume_a"
check "without freeze all is as ever" take a false "$volume_a"
take a false "$volume_a"
drop "$snapshot"
rm -f "$pool_dir/copy"
for name in "$volume_a pod" "$volume_b pod-b"; do
	# shellcheck disable=SC2086
	unpublish $name >/dev/null
	retire "${name% *}"
done
check "nothing is left" wait_for 10 nothing_left
