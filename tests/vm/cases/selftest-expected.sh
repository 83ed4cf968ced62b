#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The one that must pass: the warning in the kernel log is announced.
# expect-kernel: WARNING: told by selftest-expected
# shellcheck source=tests/vm/guest/lib.sh
. "$NVMEOT_SRC/tests/vm/guest/lib.sh"

check "the line is logged" eval 'echo "WARNING: told by selftest-expected" >/dev/kmsg'
