#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The same as killed-snapshot on a pool of thin volumes, and while the map of a snapshot is read.
# timeout: 2400
# by hand: lvm2's commands take seconds here

# shellcheck source=tests/vm/guest/lib.sh
. "$NVMEOT_SRC/tests/vm/guest/lib.sh"
# shellcheck source=tests/vm/guest/thin_pool.sh
. "$NVMEOT_SRC/tests/vm/guest/thin_pool.sh"

make_thin_pool
check_program snapshot_crash lvm vg/tp 3
