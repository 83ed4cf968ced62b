#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A target with 200 exports loses its configfs, as a machine that starts again does, while hosts try
# to reconnect to each of them every second: the kernel's own to 40, others in user space. Then the
# target starts, and is even stopped in the middle of linking: every controller must come back, and
# a mounted file system with a writer must go on. Without the guard a stop there costs controllers.
# timeout: 600

# shellcheck source=tests/vm/guest/lib.sh
. "$NVMEOT_SRC/tests/vm/guest/lib.sh"
# shellcheck source=tests/vm/guest/writer.sh
. "$NVMEOT_SRC/tests/vm/guest/writer.sh"

volumes=200

step() {
	local begin_ms
	begin_ms=$(now_ms)
	"$NVMEOT_BUILD/tests/target_many" /mnt/pool "$volumes" "$1" >/run/step 2>&1 || {
		sed 's/^/# /' /run/step
		fail "step $1"
	}
	echo "# $1: $(($(now_ms) - begin_ms)) ms"
	sed -E '/^(TAP version|1\.\.|ok |# )/d; s/^/#   /' /run/step
}

all_live() {
	[ "$(sed -n 's/^\([0-9]* of [0-9]*\)$/\1/p' /run/step)" = "$volumes of $volumes" ]
}

# lose_and_restore STEP: the machine starts again
lose_and_restore() {
	step forget
	step dead
	step "$1"
	step live
}

make_pool /mnt/pool 64G
step foreign
step guard
step export
step connect
"$NVMEOT_BUILD/tests/target_many" /mnt/pool "$volumes" hosts >/run/hosts.log 2>&1 &
hosts_pid=$!
wait_for 60 test -e /run/hosts
step live
check "all are connected" all_live
device=$("$NVMEOT_BUILD/tests/target_many" /mnt/pool "$volumes" device 2>/dev/null | grep ^/dev/)
mkfs.ext4 -q "$device"
mkdir -p /mnt/vol
mount "$device" /mnt/vol
start_writer /mnt/vol/log
"$NVMEOT_BUILD/tests/target_many" /mnt/pool "$volumes" hold >/run/hold 2>&1 &
hold_pid=$!
wait_for 60 grep -q ^held /run/hold
check "the writer writes" goes_on

lose_and_restore restore
check "all controllers are live again" all_live
check "the writer goes on" goes_on

lose_and_restore interrupted
check "all controllers are live after a stop in the middle of linking" all_live
check "the writer goes on" goes_on

check_writer
umount /mnt/vol
check "the file system is clean" e2fsck -fn "$device"
kill "$hold_pid"
wait "$hold_pid" 2>/dev/null || true

# Proof that the guard is what it takes: hosts that obey "do not retry" are lost without it.
lose_and_restore unguarded
check "without the guard controllers are lost" \
	test "$(sed -n 's/^\([0-9]*\) of [0-9]*$/\1/p' /run/step)" -lt "$volumes"

kill "$hosts_pid"
wait "$hosts_pid" 2>/dev/null || true
step disconnect
step remove
step unforeign
