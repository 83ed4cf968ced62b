#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Raw block volumes: never formatted, the pod's file is the device, read-only means read-only.
# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"
start_driver

cap=$(capability SINGLE_NODE_WRITER block)
provision raw 67108864
publish "$volume" one >/dev/null
device=$(device_of "$volume") path=$(pod one)
check "the target path is the block device" \
	[ "$(stat -c %t:%T "$path")" = "$(stat -c %t:%T "/dev/$device")" ]
check "its size is the volume's" [ "$(blockdev --getsize64 "$path")" = 67108864 ]
check "nothing was written to it" cmp -n 67108864 "$path" /dev/zero
head -c 1M /dev/urandom >/run/noise
dd if=/run/noise of="$path" bs=1M oflag=direct status=none
check "what is written reads back" cmp -n 1048576 /run/noise "$path"
publish "$volume" two >/dev/null
check "a second pod of the node sees it" cmp -n 1048576 /run/noise "$(pod two)"
check "a reader beside writers is refused: a device is read-only for all or none" \
	refuses FAILED_PRECONDITION "read-write at" publish "$volume" three true
check "nothing is left of the refused path" not test -e "$(pod three)"
unpublish "$volume" two >/dev/null
unpublish "$volume" one >/dev/null
check "the target path is gone" not test -e "$path"

publish "$volume" reader true >/dev/null
check "read-only: reads work" cmp -n 1048576 /run/noise "$(pod reader)"
check "read-only: writes do not" not dd if=/dev/zero of="$(pod reader)" bs=4k count=1 conv=notrunc oflag=direct
check "read-only: not even on the node's own device" not dd if=/dev/zero "of=/dev/$device" bs=4k count=1 oflag=direct
check "read-only: the data is unharmed" cmp -n 1048576 /run/noise "$(pod reader)"
check "the same path read-write is refused" refuses ALREADY_EXISTS read-only publish "$volume" reader false
unpublish "$volume" reader >/dev/null
publish "$volume" writer >/dev/null
check "afterwards a writer writes again" dd if=/dev/zero of="$(pod writer)" bs=4k count=1 conv=notrunc oflag=direct
unpublish "$volume" writer >/dev/null

unstage "$volume" >/dev/null
check "unstaged: disconnected" [ "$(controllers)" = 0 ]
check "unstaged: nothing in the staging path" [ -z "$(ls -A "$(staging "$volume")")" ]
stage "$volume" >/dev/null
publish "$volume" again >/dev/null
check "staged again: the data is still there" cmp -i 4096 -n 1000000 /run/noise "$(pod again)"
unpublish "$volume" again >/dev/null
retire "$volume"
