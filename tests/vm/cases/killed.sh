#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The target killed before every changing system call of every operation, on a pool of each kind.
# timeout: 900

# shellcheck source=tests/vm/guest/lib.sh
. "$NVMEOT_SRC/tests/vm/guest/lib.sh"

# The program's own report, line by line, with its verdict as the check.
run_crash() {
	local status

	set +e
	"$NVMEOT_BUILD/tests/target_crash" "$@" 2>&1 | sed -u 's/^/# /'
	status=${PIPESTATUS[0]}
	set -e
	check "target_crash $*" test "$status" = 0
}

make_pool /mnt/pool 512M
run_crash dir /mnt/pool
