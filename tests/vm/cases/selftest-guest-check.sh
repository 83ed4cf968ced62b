#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Must fail: a check fails in the second guest, a function's first command fails in a check of the
# host, the second guest leaves a mount, and the first logged a warning before it was crashed.
# guests: one two
# expect-kernel two: WARNING: told by one
# shellcheck source=tests/vm/guests.sh
. "$NVMEOT_SRC/tests/vm/guests.sh"

on two check "a bad one in the guest" false
check "a bad one on the host" on one 'exit_status() { return 7; }; exit_status'
on two mount -t tmpfs tmpfs /mnt
on one 'echo "WARNING: told by one" >/dev/kmsg'
crash_guest one
restart_guest one
check "a good one" on one true
