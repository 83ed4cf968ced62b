#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The node's part of an expansion: file systems grow under a writer, the new size comes by the
# kernel's event or, where that was missed, by a scan; what cannot be had is said in time, and after
# each step that fails the retry succeeds.
# timeout: 900
# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"
start_driver
open_client "$node_socket" 3s
mib=1048576

grow_target() { # VOLUME BYTES
	controller ControllerExpandVolume "{\"volume_id\":\"$1\",\"volume_capability\":$cap,
		\"capacity_range\":{\"required_bytes\":$2}}"
}
grow_node() { # VOLUME PATH BYTES [LIMIT_BYTES]
	node NodeExpandVolume "{\"volume_id\":\"$1\",\"volume_path\":\"$2\",\"volume_capability\":$cap,
		\"staging_target_path\":\"$(staging "$1")\",
		\"capacity_range\":{\"required_bytes\":$3,\"limit_bytes\":${4:-0}}}"
}
grows_node() { # VOLUME PATH BYTES: and answers with this size
	local answer
	answer=$(grow_node "$@") || return
	echo "$answer"
	[ "$(jq -r .capacity_bytes <<<"$answer")" = "$3" ]
}
hurried() { # COMMAND...: its calls of the node have a deadline of 3 s
	local node_socket="$node_socket 3s"
	"$@"
}
backing() { # VOLUME
	echo "$pool_dir/$(uuid_of "$1").img"
}
fills() { # PATH BYTES: the file system has this size, but for what it keeps to itself
	local has=$(($(stat -fc '%b * %S' "$1")))
	echo "$1 has $has bytes of $2"
	((has > $2 * 3 / 4 && has <= $2))
}
scanned() { # TIMES: so often since it was asked last, and answered yes
	local all
	all=$(grep -c "scanning for a new size" "$run_dir/node.log" || true)
	echo "$((all - $(</run/scans))) scans"
	[ $((all - $(</run/scans))) = "$1" ] && echo "$all" >/run/scans
}
echo 0 >/run/scans

# A pod that writes, syncs and notes what fails.
write_on() { # PATH
	rm -f /run/stop /run/failed
	while [ ! -e /run/stop ]; do
		dd if=/run/noise of="$1" bs=256k count=4 conv=fsync,notrunc status=none ||
			echo "a write failed" >>/run/failed
	done &
	writer=$!
}
write_no_more() {
	touch /run/stop
	wait $writer
}
head -c $mib /dev/urandom >/run/noise

for fs in ext4 xfs btrfs; do
	cap=$(capability SINGLE_NODE_WRITER $fs)
	provision "grown-$fs" $((320 * mib))
	publish "$volume" pod >/dev/null
	path=$(pod pod)
	cp /run/noise "$path/kept"
	sync -f "$path/kept"
	write_on "$path/written"
	grow_target "$volume" $((640 * mib)) >/dev/null
	begun_ms=$(now_ms)
	check "$fs: it grows under a writer" grows_node "$volume" "$path" $((640 * mib))
	note "$fs: the node's part took $(($(now_ms) - begun_ms)) ms"
	check "$fs: the pod sees it" fills "$path" $((640 * mib))
	check "$fs: asked again, the same" grows_node "$volume" "$path" $((640 * mib))
	check "$fs: by the staging path, too" grows_node "$volume" "$(staging "$volume")" $((640 * mib))

	grep -c "scanning for a new size" "$run_dir/node.log" >/run/scans || true
	truncate -s $((960 * mib)) "$(backing "$volume")"
	check "$fs, nobody told of it: a scan finds it" grows_node "$volume" "$path" $((960 * mib))
	check "$fs, nobody told of it: one was enough" scanned 1
	check "$fs, nobody told of it: the pod sees it" fills "$path" $((960 * mib))

	grow_node "$volume" "$path" $((1280 * mib)) >/run/late 2>&1 &
	late=$!
	wait_for 20 scanned 1 >/dev/null
	grow_target "$volume" $((1280 * mib)) >/dev/null
	result=0
	wait $late || result=$?
	check "$fs, grown while the node waits: the event ends it" eval 'cat /run/late; [ $result = 0 ]'
	check "$fs, grown while the node waits: it needed no scan of its own" scanned 0
	check "$fs, grown while the node waits: the pod sees it" fills "$path" $((1280 * mib))
	write_no_more
	check "$fs: no write failed" [ ! -e /run/failed ]
	check "$fs: nothing was lost" cmp /run/noise "$path/kept"

	check "$fs, not grown: it is said in time" wait_for 60 \
		refuses DEADLINE_EXCEEDED "has $((1280 * mib)) bytes, not the required $((2560 * mib)).*live" \
		hurried grow_node "$volume" "$path" $((2560 * mib))
	check "$fs: shrinking is refused" refuses OUT_OF_RANGE "do not shrink" \
		grow_node "$volume" "$path" $((320 * mib)) $((640 * mib))
	unpublish "$volume" pod >/dev/null
	check "$fs: where it is not any more, it is not found" eval \
		'refuses NOT_FOUND "no mount is there" node NodeExpandVolume \
			"{\"volume_id\":\"$volume\",\"volume_path\":\"$path\"}"'
	unstage "$volume" >/dev/null
	stage "$volume" >/dev/null
	check "$fs: staged anew, it is as large" fills "$(staged "$volume")" $((1280 * mib))
	check "$fs: and as it was" cmp /run/noise "$(staged "$volume")/kept"
	retire "$volume"
done

note "cut short"
cap=$(capability SINGLE_NODE_WRITER)
provision short $((64 * mib))
publish "$volume" pod >/dev/null
path=$(pod pod) private=$state_dir/mnt/$(uuid_of "$volume")
grep -c "scanning for a new size" "$run_dir/node.log" >/run/scans
grow_node "$volume" "$path" $((128 * mib)) >/run/late 2>&1 &
late=$!
wait_for 20 scanned 1 >/dev/null
check "a stage meanwhile is told what runs" refuses ABORTED "busy with the expansion of volume" \
	hurried stage "$volume"
stop node KILL
wait $late || true
grow_target "$volume" $((128 * mib)) >/dev/null
start_node
check "killed while it waits: the retry grows it" grows_node "$volume" "$path" $((128 * mib))
check "killed while it waits: the pod sees it" fills "$path" $((128 * mib))
grow_target "$volume" $((256 * mib)) >/dev/null
mount -o remount,ro "$private"
check "a file system that cannot grow is said to be" refuses FAILED_PRECONDITION "mounted read-only" \
	grow_node "$volume" "$path" $((256 * mib))
mount -o remount,rw "$private"
check "afterwards the retry grows it" grows_node "$volume" "$path" $((256 * mib))
check "afterwards the pod sees it" fills "$path" $((256 * mib))
check "a size that does not come is said in time" wait_for 60 \
	refuses DEADLINE_EXCEEDED "not grown it" hurried grow_node "$volume" "$path" $((512 * mib))
grow_target "$volume" $((512 * mib)) >/dev/null
check "once it came, the retry grows it" grows_node "$volume" "$path" $((512 * mib))
check "once it came, the pod sees it" fills "$path" $((512 * mib))
umount "$private"
check "without the private mount it is refused" refuses FAILED_PRECONDITION "stage it again" \
	grow_node "$volume" "$path" $((512 * mib))
stage "$volume" >/dev/null
check "staged again, it is there" grows_node "$volume" "$path" $((512 * mib))
unpublish "$volume" pod >/dev/null
retire "$volume"

note "raw block"
cap=$(capability SINGLE_NODE_WRITER block)
provision raw $((64 * mib))
publish "$volume" raw >/dev/null
path=$(pod raw)
grow_target "$volume" $((128 * mib)) >/dev/null
check "raw: the node waits for the size" grows_node "$volume" "$path" $((128 * mib))
check "raw: the pod has it" [ "$(blockdev --getsize64 "$path")" = $((128 * mib)) ]
truncate -s $((192 * mib)) "$(backing "$volume")"
check "raw, nobody told of it: a scan finds it" grows_node "$volume" "$path" $((192 * mib))
check "raw: by the staging path, too" grows_node "$volume" "$(staging "$volume")" $((192 * mib))
check "raw: by a path of the CO's own, too" grows_node "$volume" /dev/null $((192 * mib))
check "raw: a capability of the other kind is refused" \
	eval 'cap=$(capability SINGLE_NODE_WRITER); refuses INVALID_ARGUMENT "is staged as raw block" \
		grow_node "$volume" "$path" 1'
unpublish "$volume" raw >/dev/null
retire "$volume"

note "readers"
cap=$(capability SINGLE_NODE_WRITER)
provision reader $((64 * mib))
unstage "$volume" >/dev/null
detach "$volume" >/dev/null
attach "$volume" true
stage "$volume" >/dev/null
check "a volume that is attached read-only is not grown" refuses FAILED_PRECONDITION "read-only" \
	grow_node "$volume" "$(staging "$volume")" $((64 * mib))
retire "$volume"
check "an unknown volume is not found" refuses NOT_FOUND "not staged on this node" \
	grow_node nobody /nowhere $mib
check "nor is one of ours that is not here" refuses NOT_FOUND "no such directory|no mount is there" \
	grow_node "$volume" "$path" $mib
