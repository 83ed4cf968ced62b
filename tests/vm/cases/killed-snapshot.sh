#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The target killed before every changing system call of making and deleting snapshots, groups,
# clones and restored volumes.
# timeout: 1200

# shellcheck source=tests/vm/guest/lib.sh
. "$NVMEOT_SRC/tests/vm/guest/lib.sh"

make_pool /mnt/pool 512M
check_program snapshot_crash dir /mnt/pool
