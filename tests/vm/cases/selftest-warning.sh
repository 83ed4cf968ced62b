#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Must fail: the kernel log holds a warning.
# shellcheck source=tests/vm/guest/lib.sh
. "$NVMEOT_SRC/tests/vm/guest/lib.sh"

check "the line is logged" eval 'echo "WARNING: told by selftest-warning" >/dev/kmsg'
