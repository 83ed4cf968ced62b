#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The target against this kernel's nvmet: killed at every step of every operation, restarted, and
# with hosts that connect over loopback TCP.
# timeout: 600

# shellcheck source=tests/vm/guest/lib.sh
. "$NVMEOT_SRC/tests/vm/guest/lib.sh"

# The programs' own report, line by line, with their verdict as the check.
run_program() {
	local status

	set +e
	"$NVMEOT_BUILD/tests/$1" /mnt/pool 2>&1 | sed 's/^/# /'
	status=${PIPESTATUS[0]}
	set -e
	check "$1" test "$status" = 0
}

make_pool /mnt/pool 512M
run_program target_crash
run_program target_configfs
