#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Must fail: the second guest dies.
# guests: one two
# shellcheck source=tests/vm/guests.sh
. "$NVMEOT_SRC/tests/vm/guests.sh"

check "both are there" eval 'on one true && on two true'
on two 'echo c >/proc/sysrq-trigger; sleep 60'
