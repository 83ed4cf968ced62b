#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Nothing on the node blocks the server: a mkfs that takes its time and a device that hangs. Callers
# are told what is going on, retries join it, other volumes notice nothing, SIGTERM ends the process.
# timeout: 900
# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"

# The target has a second portal, which can be cut off.
far=127.0.0.2

# While the gate is there, the node's mkfs.ext4 waits at it.
gate=/run/gate
mkdir /run/programs
cat >/run/programs/mkfs.ext4 <<END
#!/bin/bash
echo "\${@: -1}" >>/run/formatted
[ ! -p $gate ] || read -r _ <$gate
exec $(command -v mkfs.ext4) "\$@"
END
chmod +x /run/programs/mkfs.ext4
PATH=/run/programs:$PATH
log_level=debug
start_driver
open_client "$node_socket" 2s
open_client "$node_socket" 6s
open_client "$node_socket" 5s

formatted() { # TIMES: so often since it was asked last
	local times
	times=$(wc -l </run/formatted)
	: >/run/formatted
	echo "mkfs.ext4 ran $times times"
	[ "$times" = "$1" ]
}
open_gate() {
	echo >$gate
	rm $gate
}

# begun METHOD: how many calls of it the node has begun
begun() {
	grep -c "call begins.*$1" "$run_dir/node.log" || true
}
has_begun() { # METHOD TIMES
	[ "$(begun "$1")" -ge "$2" ]
}
# leave_stage VOLUME: a client that calls for a stage and is killed while it waits
leave_stage() {
	local json calls
	json=$(node() { echo "${2//[$'\n\t']/}"; }; stage "$1")
	calls=$(begun NodeStageVolume)
	"$NVMEOT_BUILD/bin/nvmeotctl" --endpoint="$node_socket" rpc csi.v1.Node NodeStageVolume \
		"$json" &
	wait_for 20 has_begun NodeStageVolume $((calls + 1))
	kill -KILL $!
	wait_for 5 grep "call failed.*NodeStageVolume.*mkfs.ext4.*CANCELLED" "$run_dir/node.log"
}

# --- a slow mkfs ------------------------------------------------------------------------------

create slow 268435456 >/dev/null
attach "$volume"
mkfifo $gate
check "slow mkfs: the stage answers in time that mkfs runs" wait_for 60 within 6500 \
	refuses DEADLINE_EXCEEDED "stage of volume.*mkfs.ext4 /dev/nvme.* for [0-9.]+ s now; it goes on" \
	hurried 6s stage "$volume"
note "the stage with a deadline of 6 s $(cat /run/took)"
check "slow mkfs: so does the retry, which joins" wait_for 60 within 6500 \
	refuses DEADLINE_EXCEEDED "mkfs.ext4 /dev/nvme" hurried 6s stage "$volume"
check "slow mkfs: a call whose client goes away ends at once" leave_stage "$volume"
check "slow mkfs: an unstage is refused, with what runs" \
	refuses ABORTED "busy with the stage of volume.*mkfs.ext4" unstage "$volume"
check "slow mkfs: so is a publish" \
	refuses ABORTED "busy with the stage of volume.*mkfs.ext4" publish "$volume" pod
stage "$volume" >/run/retry 2>&1 &
retry=$!
open_gate
retry_status=0
wait $retry || retry_status=$?
check "slow mkfs: the retry that waits gets the result" eval 'cat /run/retry && [ $retry_status = 0 ]'
check "slow mkfs: it ran once" formatted 1
check "slow mkfs: the volume is staged" mountpoint -q "$(staged "$volume")"
retire "$volume"

create left 268435456 >/dev/null
attach "$volume"
mkfifo $gate
check "nobody waits: the stage answers in time" wait_for 60 within 6500 \
	refuses DEADLINE_EXCEEDED "mkfs.ext4" hurried 5s stage "$volume"
open_gate
check "nobody waits: the volume is staged all the same" \
	wait_for 30 mountpoint -q "$(staged "$volume")"
check "nobody waits: the retry finds it so" stage "$volume"
check "nobody waits: mkfs ran once" formatted 1
retire "$volume"
check "nothing is left" [ "$(controllers)" = 0 ]

# --- a device that hangs ----------------------------------------------------------------------

# best_times VOLUME: what its stage, publish, unpublish and unstage take at best, in ms
took() { # COMMAND...: prints ms
	local begun_ms
	begun_ms=$(now_ms)
	"$@" >/dev/null || return
	echo $(($(now_ms) - begun_ms))
}
best_times() {
	local i times
	for i in {1..8}; do
		times=$(took stage "$1" && took publish "$1" beside && took unpublish "$1" beside &&
			took unstage "$1") || return
		echo $times
	done | awk '{ for (i = 1; i <= 4; i++) best[i] = NR == 1 || $i < best[i] ? $i : best[i] }
		END { print best[1], best[2], best[3], best[4] }'
}
worse() { # TIMES TIMES
	echo "$1 $2" | awk '{ for (i = 1; i <= 4; i++) printf "%d ", ($i > $(i + 4) ? $i : $(i + 4)) }' | xargs
}
better() { # TIMES TIMES
	echo "$1 $2" | awk '{ for (i = 1; i <= 4; i++) printf "%d ", ($i < $(i + 4) ? $i : $(i + 4)) }' | xargs
}
# no_slower "USUAL..." "NOW...": each within 1.2 of its usual time; a clock of ms may be one off
no_slower() {
	paste <(tr ' ' '\n' <<<"$1") <(tr ' ' '\n' <<<"$2") |
		awk '$2 > $1 * 1.2 + 1 { print "took " $2 " ms, usual are " $1; slow = 1 } END { exit slow }'
}

modprobe nf_tables
create near 268435456 >/dev/null
near=$volume
attach "$near"
via "$near" 127.0.0.1
usual_ms=$(best_times "$near")

for name in hung other; do
	create $name 268435456 >/dev/null
	attach "$volume"
	via "$volume" $far
	stage "$volume" >/dev/null
	publish "$volume" $name >/dev/null
	echo data >"$(pod $name)/file"
	declare $name="$volume"
done
echo 600 >/proc/sys/kernel/hung_task_timeout_secs
cut_far
controller ControllerExpandVolume \
	"{\"volume_id\":\"$hung\",\"capacity_range\":{\"required_bytes\":301989888}}" >/dev/null
# By then the kernel may have noticed that the target is silent.
expansion_waits() { # VOLUME POD
	local said
	! said=$(hurried 5s node NodeExpandVolume "{\"volume_id\":\"$1\",\"volume_path\":\"$(pod "$2")\",
		\"capacity_range\":{\"required_bytes\":301989888}}" 2>&1) || return
	echo "$said"
	[[ $said =~ ^DEADLINE_EXCEEDED:.*"not the required 301989888" || $said =~ ^UNAVAILABLE:.*live ]]
}
check "hung device: an expansion answers in time, with what it waits for" wait_for 60 within 6000 \
	expansion_waits "$hung" hung
check "hung device: unpublish works" within 5000 hurried 5s unpublish "$hung" hung
# The node's own words are the proof: a client whose time is over has none. Its start is in the 6 s.
check "hung device: unstage answers in time, with what hangs" wait_for 60 within 6000 \
	refuses DEADLINE_EXCEEDED "unstage of volume.*umount $state_dir/mnt/$(uuid_of "$hung"), for" \
	hurried 5s unstage "$hung"
note "the unstage with a deadline of 5 s $(cat /run/took)"
check "hung devices: so do the calls for another one" wait_for 60 within 8000 eval \
	'hurried 2s unpublish "$other" other && refuses DEADLINE_EXCEEDED \
		"unstage of volume.*umount $state_dir/mnt/$(uuid_of "$other"), for" hurried 5s unstage "$other"'
check "hung device: a stage is refused, with what hangs" \
	refuses ABORTED "busy with the unstage of volume.*umount" hurried 2s stage "$hung"
beside_ms=$(best_times "$near")
# What the machine below did passes, what the hung device does stays.
for i in {1..8}; do
	no_slower "$usual_ms" "$beside_ms" >/dev/null || beside_ms=$(better "$beside_ms" "$(best_times "$near")")
done
check "hung device: it still hangs" wait_for 60 refuses DEADLINE_EXCEEDED "umount" hurried 2s unstage "$hung"
rejoin_far
check "hung devices: once the network is back, the retries succeed" eval \
	'unstage "$hung" && unstage "$other" && detach "$other" >/dev/null && delete "$other" >/dev/null'
check "hung device: nothing is left" [ "$(controllers)" = 0 ]
# Before and after, because the machine below may have become busy meanwhile.
after_ms=$(best_times "$near")
note "stage, publish, unpublish, unstage of another volume in ms: $usual_ms; beside the hung one:" \
	"$beside_ms; afterwards: $after_ms"
check "hung device: each call for another volume takes its usual time" \
	no_slower "$(worse "$usual_ms" "$after_ms")" "$beside_ms"
stage "$hung" >/dev/null
publish "$hung" pod >/dev/null
check "hung device: nothing was lost" grep -q data "$(pod pod)/file"

# --- SIGTERM ----------------------------------------------------------------------------------

create stuck 268435456 >/dev/null
stuck=$volume
attach "$stuck"
mkfifo $gate
: >/run/formatted
hurried 2s stage "$stuck" >/dev/null 2>&1 || true
before=$(controllers)
begun_ms=$(now_ms)
stop node
drain_ms=$(($(now_ms) - begun_ms))
note "the drain took $drain_ms ms"
check "SIGTERM: the process ends after the drain time" \
	test "$stopped" = 0 -a "$drain_ms" -ge 20000 -a "$drain_ms" -le 30000
check "SIGTERM: the log says what was left" \
	grep -q "left running.*stage of volume.*mkfs.ext4" "$run_dir/node.log"
check "SIGTERM: no mount and no controller goes" \
	eval 'mountpoint -q "$(pod pod)" && [ "$(controllers)" = "$before" ]'
check "SIGTERM: the pod writes on" sh -c "echo more >>'$(pod pod)/file' && sync '$(pod pod)/file'"
kill "$(pgrep -f "^/bin/bash /run/programs/mkfs.ext4")"
rm $gate
start_node
check "SIGTERM: the next node stages the volume" stage "$stuck"
retire "$stuck"
unpublish "$hung" pod >/dev/null
retire "$hung"
detach "$near" >/dev/null
delete "$near" >/dev/null
