#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Snapshots and clones, by the whole driver: a source, its clone and a restored, larger volume on one
# node at once, all of them written; what is never formatted; a group of volumes.
# timeout: 900
# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"
start_driver
mib=1048576
head -c $mib /dev/urandom >/run/noise

# take_snapshot NAME VOLUME: sets $snapshot
take_snapshot() {
	local answer
	answer=$(controller CreateSnapshot "{\"name\":\"$1\",\"source_volume_id\":\"$2\"}") || return
	snapshot=$(jq -r .snapshot.snapshot_id <<<"$answer")
	echo "$answer"
}
snapshot_is() { # NAME VOLUME BYTES: taken a moment ago and ready; again, it is the same
	local first again taken
	first=$(take_snapshot "$1" "$2")
	again=$(take_snapshot "$1" "$2")
	echo "$first $again"
	[ "$first" = "$again" ]
	[ "$(jq -r '.snapshot | "\(.source_volume_id) \(.size_bytes) \(.ready_to_use)"' <<<"$first")" = \
		"$2 $3 true" ]
	taken=$(date -d "$(jq -r .snapshot.creation_time <<<"$first")" +%s)
	(($(date +%s) - taken >= 0 && $(date +%s) - taken < 60))
}
of_snapshot() {
	printf '{"snapshot":{"snapshot_id":"%s"}}' "$1"
}
of_volume() {
	printf '{"volume":{"volume_id":"%s"}}' "$1"
}
request_copy() { # NAME SOURCE [BYTES]: without a size, as large as its source
	local range=
	[ -z "${3:-}" ] || range="\"capacity_range\":{\"required_bytes\":$3},"
	controller CreateVolume "{\"name\":\"$1\",\"volume_capabilities\":[$cap],$range
		\"volume_content_source\":$2}"
}
copy() { # NAME SOURCE [BYTES]: sets $volume
	local answer
	answer=$(request_copy "$@") || return
	volume=$(jq -r .volume.volume_id <<<"$answer")
	volume_contexts[$volume]=$(jq -c '.volume.volume_context // {}' <<<"$answer")
}
source_of() { # VOLUME: as the controller shows it
	controller ControllerGetVolume "{\"volume_id\":\"$1\"}" | jq -c '.volume.content_source'
}
list_of() { # FIELD VALUE: the IDs of the snapshots that it matches
	controller ListSnapshots "{\"$1\":\"$2\"}" | jq -r '.entries // [] | .[].snapshot.snapshot_id'
}
delete_snapshot() { # ID
	controller DeleteSnapshot "{\"snapshot_id\":\"$1\"}"
}
backing() { # VOLUME
	echo "$pool_dir/$(uuid_of "$1").img"
}
fills() { # PATH BYTES: the file system has this size, but for what it keeps to itself
	local has=$(($(stat -fc '%b * %S' "$1")))
	echo "$1 has $has bytes of $2"
	((has > $2 * 3 / 4 && has <= $2))
}
sound() { # FS VOLUME: its backing, while it is staged nowhere
	case $1 in
	ext4) e2fsck -fn "$(backing "$2")" ;;
	xfs) xfs_repair -n "$(backing "$2")" ;;
	btrfs) btrfs check "$(backing "$2")" ;;
	esac
}
writes() { # POD: its own name and 2 MiB, durably
	echo "$1" >"$(pod "$1")/own"
	dd if=/dev/urandom of="$(pod "$1")/bulk" bs=1M count=2 conv=fsync status=none
	sync -f "$(pod "$1")/own"
	(cd "$(pod "$1")" && sha256sum own bulk noise) >"/run/sums.$1"
}
kept() { # POD
	(cd "$(pod "$1")" && sha256sum --check --quiet "/run/sums.$1")
}
use() { # VOLUME POD: attached, staged and published
	attach "$1"
	stage "$1" >/dev/null
	publish "$1" "$2" >/dev/null
}
leave() { # VOLUME POD: the reverse
	unpublish "$1" "$2" >/dev/null
	unstage "$1" >/dev/null
	detach "$1" >/dev/null
}
mounts_clones() { # FS: whether this kernel mounts two of one UUID at once
	[ "$1" != btrfs ] || [ "$KERNEL" != 6.1 ]
}

whose_copies() {
	check "$fs: a clone says what it is of" [ "$(source_of "$clone")" = "$(of_volume "$source")" ]
	check "$fs: so does a restored volume" [ "$(source_of "$restored")" = "$(of_snapshot "$snapshot")" ]
	check "$fs: made again, it is the same" eval \
		'[ "$(request_copy "clone-$fs" "$(of_volume "$source")" | jq -r .volume.volume_id)" = "$clone" ]'
	check "$fs: of another source, it is refused" refuses ALREADY_EXISTS "is made of volume $source" \
		request_copy "clone-$fs" "$(of_snapshot "$snapshot")"
}
outlive() { # sets $late, of the snapshot of the source that is gone; both go
	delete "$source" >/dev/null
	check "$fs: the snapshot outlives its volume" [ "$(list_of source_volume_id "$source")" = "$snapshot" ]
	copy "late-$fs" "$(of_snapshot "$snapshot")"
	late=$volume
	delete_snapshot "$snapshot" >/dev/null
	check "$fs: the snapshot is gone" [ "$(controller ListSnapshots "{\"snapshot_id\":\"$snapshot\"}" |
		jq '.entries // [] | length')" = 0 ]
	use "$late" "late-$fs"
	check "$fs: a volume outlives its snapshot" cmp /run/noise "$(pod "late-$fs")/noise"
	leave "$late" "late-$fs"
}

for fs in ext4 xfs btrfs; do
	note "$fs"
	cap=$(capability SINGLE_NODE_WRITER $fs)
	create "source-$fs" $((320 * mib)) >/dev/null
	source=$volume
	use "$source" "source-$fs"
	cp /run/noise "$(pod "source-$fs")/noise"
	sync -f "$(pod "source-$fs")/noise"
	check "$fs: a snapshot of a mounted volume" snapshot_is "snap-$fs" "$source" $((320 * mib))
	take_snapshot "snap-$fs" "$source" >/dev/null
	echo later >"$(pod "source-$fs")/later"
	sync -f "$(pod "source-$fs")/later"
	copy "clone-$fs" "$(of_volume "$source")"
	clone=$volume
	copy "restored-$fs" "$(of_snapshot "$snapshot")" $((640 * mib))
	restored=$volume
	# Whose copy it is, is the controller's to know, whatever is in it.
	[ $fs != ext4 ] || whose_copies
	if mounts_clones $fs; then
		check "$fs: the clone is mounted beside its source" use "$clone" "clone-$fs"
		check "$fs: and the restored one beside both" use "$restored" "restored-$fs"
	else
		attach "$clone"
		check "$fs: the clone beside its source is refused, and told why" \
			refuses FAILED_PRECONDITION "same file system UUID.*Linux 6.7" stage "$clone"
		check "$fs: the source notices nothing" cmp /run/noise "$(pod "source-$fs")/noise"
		leave "$source" "source-$fs"
		check "$fs: without its source it is mounted" use "$clone" "clone-$fs"
		leave "$clone" "clone-$fs"
		check "$fs: so is the restored one" use "$restored" "restored-$fs"
		leave "$restored" "restored-$fs"
	fi
	for each in source clone restored; do
		mounts_clones $fs || use "${!each}" "$each-$fs"
		check "$fs: the $each has what was synced" cmp /run/noise "$(pod "$each-$fs")/noise"
		check "$fs: the $each is written" writes "$each-$fs"
		mounts_clones $fs || leave "${!each}" "$each-$fs"
	done
	for each in source clone restored; do
		mounts_clones $fs || use "${!each}" "$each-$fs"
		check "$fs: the $each keeps its own" kept "$each-$fs"
		case $each in
		restored)
			check "$fs: the larger one is grown" fills "$(pod "$each-$fs")" $((640 * mib))
			check "$fs: it has nothing of after the snapshot" [ ! -e "$(pod "$each-$fs")/later" ]
			;;
		clone) check "$fs: the clone has what came before it" [ -e "$(pod "$each-$fs")/later" ] ;;
		esac
		mounts_clones $fs || leave "${!each}" "$each-$fs"
	done
	for each in restored source clone; do
		! mounts_clones $fs || leave "${!each}" "$each-$fs"
		check "$fs: the $each is sound" sound $fs "${!each}"
	done

	late=
	[ $fs != ext4 ] || outlive
	for each in "${late:-$source}" "$clone" "$restored"; do
		delete "$each" >/dev/null
	done
	[ -n "$late" ] || delete_snapshot "$snapshot" >/dev/null
done

note "what is refused"
cap=$(capability SINGLE_NODE_WRITER)
create plain $((64 * mib)) >/dev/null
plain=$volume
copy blank "$(of_volume "$plain")"
blank=$volume
attach "$blank"
check "a clone of what was never written is not formatted" \
	refuses FAILED_PRECONDITION "made of another one, which is never formatted" stage "$blank"
detach "$blank" >/dev/null
check "a smaller clone is refused" refuses OUT_OF_RANGE "less than the $((64 * mib)) bytes of volume $plain" \
	request_copy small "$(of_volume "$plain")" $((32 * mib))
check "a clone of nothing is not found" refuses NOT_FOUND "does not exist" \
	request_copy none "$(of_volume "t1/p1/11111111-2222-5333-8444-555555555555")"
check "nor is one of no snapshot" refuses NOT_FOUND "target/pool/@uuid" request_copy none "$(of_snapshot "$plain")"
check "nor is there a snapshot of nothing" refuses NOT_FOUND "does not exist" \
	take_snapshot none t1/p1/11111111-2222-5333-8444-555555555555
take_snapshot taken "$plain" >/dev/null
check "a name is taken once" refuses ALREADY_EXISTS "of volume $plain" take_snapshot taken "$blank"
delete_snapshot "$snapshot" >/dev/null
delete "$blank" >/dev/null
delete "$plain" >/dev/null

note "raw block"
cap=$(capability SINGLE_NODE_WRITER block)
create raw $((64 * mib)) >/dev/null
raw=$volume
use "$raw" raw
dd if=/run/noise of="$(pod raw)" bs=1M oflag=direct status=none
take_snapshot raw "$raw" >/dev/null
dd if=/dev/zero of="$(pod raw)" bs=1M count=1 oflag=direct status=none
copy raw-copy "$(of_snapshot "$snapshot")" $((96 * mib))
use "$volume" raw-copy
check "raw: the copy is as the volume was" cmp -n $mib /run/noise "$(pod raw-copy)"
check "raw: it is larger" [ "$(blockdev --getsize64 "$(pod raw-copy)")" = $((96 * mib)) ]
check "raw: the volume is as it was written" cmp -n $mib /dev/zero "$(pod raw)"
leave "$volume" raw-copy
leave "$raw" raw
delete "$volume" >/dev/null
delete "$raw" >/dev/null
delete_snapshot "$snapshot" >/dev/null

note "a group"
group() { # METHOD JSON
	rpc "$controller_socket" csi.v1.GroupController "$@"
}
cap=$(capability SINGLE_NODE_WRITER)
for each in left right; do
	create $each $((64 * mib)) >/dev/null
	declare "$each=$volume"
	use "$volume" $each
	cp /run/noise "$(pod $each)/noise"
	sync -f "$(pod $each)/noise"
done
create_group() { # VOLUME...
	group CreateVolumeGroupSnapshot "{\"name\":\"both\",\"source_volume_ids\":$(
		printf '"%s"\n' "$@" | jq -sc .)}"
}
both=$(create_group "$left" "$right")
group_id=$(jq -r .group_snapshot.group_snapshot_id <<<"$both")
members=$(jq -c '[.group_snapshot.snapshots[].snapshot_id]' <<<"$both")
member=$(jq -r '.[1]' <<<"$members")
check "a group holds one snapshot of each, ready to use" eval \
	'[ "$(jq -r ".group_snapshot | .ready_to_use, (.snapshots | length),
		(.snapshots[] | .source_volume_id, .group_snapshot_id)" <<<"$both")" = \
		"$(printf "%s\n" true 2 "$left" "$group_id" "$right" "$group_id")" ]'
check "taken again it is the same" [ "$(create_group "$left" "$right")" = "$both" ]
check "of other volumes it is refused" refuses ALREADY_EXISTS "holds other volumes" create_group "$left"
check "it is shown as it was taken" eval \
	'[ "$(group GetVolumeGroupSnapshot "{\"group_snapshot_id\":\"$group_id\",\"snapshot_ids\":$members}" |
		jq -S ".group_snapshot.snapshots |= sort_by(.snapshot_id)")" = \
		"$(jq -S ".group_snapshot.snapshots |= sort_by(.snapshot_id)" <<<"$both")" ]'
check "a member alone is not deleted" refuses INVALID_ARGUMENT "belongs to the group \"$group_id\"" \
	delete_snapshot "$member"
check "nor is the group by some of its members" refuses INVALID_ARGUMENT "have to be listed" \
	group DeleteVolumeGroupSnapshot "{\"group_snapshot_id\":\"$group_id\",\"snapshot_ids\":[\"$member\"]}"
copy of-member "$(of_snapshot "$member")"
use "$volume" of-member
check "a member is restored as any snapshot" cmp /run/noise "$(pod of-member)/noise"
leave "$volume" of-member
delete "$volume" >/dev/null
check "the group is deleted" group DeleteVolumeGroupSnapshot \
	"{\"group_snapshot_id\":\"$group_id\",\"snapshot_ids\":$members}"
check "and again" group DeleteVolumeGroupSnapshot \
	"{\"group_snapshot_id\":\"$group_id\",\"snapshot_ids\":$members}"
check "it is gone" refuses NOT_FOUND "does not exist" group GetVolumeGroupSnapshot \
	"{\"group_snapshot_id\":\"$group_id\",\"snapshot_ids\":$members}"
check "no snapshot is left" [ "$(controller ListSnapshots | jq '.entries // [] | length')" = 0 ]
for each in left right; do
	leave "${!each}" $each
	delete "${!each}" >/dev/null
done
check "no file is left in the pool" eval 'ls "$pool_dir"; [ -z "$(find "$pool_dir" -name "*.img*" -o -name "*.json*")" ]'
