#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What small writes do to an image that shares its blocks with a snapshot: extents, speed of reading,
# what the next snapshot takes; and that xfs_fsr heals one that no host has. ROUNDS is its size in MiB.
# by hand: it measures; what it checks is the remedy
# timeout: 3400
# shellcheck source=tests/vm/guest/lib.sh
. "$NVMEOT_SRC/tests/vm/guest/lib.sh"
mib=${ROUNDS:-64}
fragments=$NVMEOT_BUILD/tests/fragments
image=/mnt/pool/image
snapshot=/mnt/pool/snapshot

used() {
	df --output=used -B 1M /mnt/pool | tail -n 1 | xargs
}

show() { # TEXT
	note "$1: $("$fragments" report "$image"), $(used) MiB of the pool in use"
}

sum_of() { # FILE
	md5sum "$1" | cut -d ' ' -f 1
}

extents() {
	"$fragments" report "$image" | cut -d ' ' -f 1
}

# Half of its blocks, then all of them, 4 KiB each, in random order. Only the first of them as an
# image writes: how long one takes.
scattered() { # TEXT
	chattr +S "$image"
	note "$1, synchronous: $("$fragments" scatter "$image" 1 1000)"
	chattr -S "$image"
	"$fragments" scatter "$image" 1 $((mib * 128)) >/dev/null
	show "$1, half"
	[ "$1" != "over a snapshot" ] || return 0
	"$fragments" scatter "$image" 1 >/dev/null
	show "$1, all"
}

make_pool /mnt/pool 16G
truncate -s "${mib}M" "$image"
scattered "into holes"
rm "$image"

truncate -s "${mib}M" "$image"
note "$("$fragments" fill "$image" "$mib")"
show "from end to end"
cp --reflink=always "$image" "$snapshot"
scattered "over a snapshot"
chattr +S "$image"
before=$(sum_of "$image") old=$(sum_of "$snapshot") count=$(extents)
begun=$(now_ms)
xfs_fsr -v "$image"
note "xfs_fsr took $(($(now_ms) - begun)) ms"
show "after xfs_fsr"
check "it has a hundredth of the extents" [ $(($(extents) * 100)) -le "$count" ]
check "and holds what it held" [ "$(sum_of "$image")" = "$before" ]
check "so does the snapshot" [ "$(sum_of "$snapshot")" = "$old" ]
check "its writes are synchronous as before" eval "[[ \$(lsattr $image) == *S* ]]"
chattr -S "$image"
"$fragments" scatter "$image" 1 >/dev/null
show "all written after that"
