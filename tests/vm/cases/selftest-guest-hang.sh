#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Must fail: the second guest does not come back from a command.
# guests: one two
# timeout: 40
# shellcheck source=tests/vm/guests.sh
. "$NVMEOT_SRC/tests/vm/guests.sh"

check "both are there" eval 'on one true && on two true'
on two sleep 1000
