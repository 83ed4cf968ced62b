#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Law 1: a device that holds anything is never formatted, even when everything else says it may be.
# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"
start_driver

# content NAME FILE: puts something onto the image
content() {
	case $1 in
	gpt) echo ',,L' | sfdisk -q --label gpt "$2" ;;
	mbr) echo ',,L' | sfdisk -q --label dos "$2" ;;
	luks) head -c 32 /dev/urandom >/run/key
		cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 "$2" /run/key ;;
	xfs) mkfs.xfs -q "$2" ;;
	btrfs) mkfs.btrfs -q "$2" ;;
	head) head -c 512 /dev/urandom | dd of="$2" conv=notrunc status=none ;;
	at-64k) head -c 512 /dev/urandom | dd of="$2" bs=64k seek=1 conv=notrunc status=none ;;
	tail) head -c 512 /dev/urandom | dd of="$2" bs=512 seek=$((size / 512 - 1)) conv=notrunc status=none ;;
	esac
}

# What an image holds and where, without reading its holes.
digest() {
	tar --create --sparse --mtime=@0 --directory="${1%/*}" "${1##*/}" | sha256sum
}

size=$((512 << 20))
for what in gpt mbr luks xfs btrfs head at-64k tail; do
	create "foreign-$what" $size >/dev/null
	attach "$volume"
	image=$pool_dir/$(uuid_of "$volume").img
	content "$what" "$image"
	sync "$image"
	before=$(digest "$image")
	# The publish context still says blank: it was made before the content.
	check "$what: the node believes the target that it is blank" \
		grep -q '"blank":"true"' <<<"${publish_contexts[$volume]}"
	check "$what: refused, and named" refuses FAILED_PRECONDITION "holds|non-zero" stage "$volume"
	check "$what: not one byte changed" [ "$(digest "$image")" = "$before" ]
	check "$what: nothing stays connected" [ "$(controllers)" = 0 ]
	detach "$volume" >/dev/null
	attach "$volume"
	check "$what: and the target does not call it blank any more" \
		grep -q '"blank":"false"' <<<"${publish_contexts[$volume]}"
	detach "$volume" >/dev/null
	delete "$volume" >/dev/null
done

# Content that was discarded again leaves an empty device that the target knows was written.
create written $size >/dev/null
image=$pool_dir/$(uuid_of "$volume").img
dd if=/dev/zero of="$image" bs=64k count=1 conv=notrunc status=none
attach "$volume"
check "zeroes that were written: empty, but not blank, so not formatted" \
	refuses FAILED_PRECONDITION "target says that it was written" stage "$volume"
detach "$volume" >/dev/null
delete "$volume" >/dev/null

# A volume with the wanted file system is mounted, whatever the target thinks.
create prepared $size >/dev/null
image=$pool_dir/$(uuid_of "$volume").img
mkfs.ext4 -q -L mine "$image"
attach "$volume"
stage "$volume" >/dev/null
check "an existing ext4 is mounted as it is" \
	[ "$(blkid -p -s LABEL -o value "/dev/$(device_of "$volume")")" = mine ]
retire "$volume"
