#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Must fail: a check fails half way through, though a good one follows.
# shellcheck source=tests/vm/guest/lib.sh
. "$NVMEOT_SRC/tests/vm/guest/lib.sh"

half_bad() {
	false
	true
}

check "a function that fails half way" half_bad
check "a good one" true
