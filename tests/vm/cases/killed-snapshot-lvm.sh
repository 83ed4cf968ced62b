#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The same as killed-snapshot on a pool of thin volumes, without groups: lvm2 takes longer for two of
# them here than hosts are kept waiting.
# timeout: 2400
# by hand: lvm2's commands take seconds here

# shellcheck source=tests/vm/guest/lib.sh
. "$NVMEOT_SRC/tests/vm/guest/lib.sh"
# shellcheck source=tests/vm/guest/thin_pool.sh
. "$NVMEOT_SRC/tests/vm/guest/thin_pool.sh"

make_thin_pool
check_program snapshot_crash lvm vg/tp 3
