#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The same as snapshots-busy, with 100 snapshots of each file system.
# by hand: it takes half an hour; snapshots-busy takes fewer
# timeout: 3600
# cpus: 2
# shellcheck source=tests/vm/guest/snapshots_busy.sh
. "$NVMEOT_SRC/tests/vm/guest/snapshots_busy.sh"
start_target
busy ext4 "${ROUNDS:-100}"
busy xfs "${ROUNDS:-100}"
