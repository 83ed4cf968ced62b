#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The target against this kernel's nvmet, with hosts that connect over loopback TCP: identity,
# restarts, fences, growing, readers and writers, what belongs to others, what is said to be wrong.
# timeout: 300

# shellcheck source=tests/vm/guest/lib.sh
. "$NVMEOT_SRC/tests/vm/guest/lib.sh"

make_pool /mnt/pool 512M
check_program target_configfs /mnt/pool
