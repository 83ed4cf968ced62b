#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# As killed, on a pool of thin volumes.
# by hand: lvm2 is slow in an emulated machine, and it is killed hundreds of times
# timeout: 3600

# shellcheck source=tests/vm/guest/lib.sh
. "$NVMEOT_SRC/tests/vm/guest/lib.sh"
# shellcheck source=tests/vm/guest/thin_pool.sh
. "$NVMEOT_SRC/tests/vm/guest/thin_pool.sh"

make_thin_pool
check_program target_crash lvm vg/tp 5
