#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The target killed before every changing system call of every operation, on a pool of each kind.
# timeout: 900

# shellcheck source=tests/vm/guest/lib.sh
. "$NVMEOT_SRC/tests/vm/guest/lib.sh"

make_pool /mnt/pool 512M
check_program target_crash dir /mnt/pool
