#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Snapshots under a writer whose writes rely on one another, each restored and checked: some of both
# file systems. snapshots-many takes as many as one likes.
# timeout: 900
# cpus: 2
# shellcheck source=tests/vm/guest/snapshots_busy.sh
. "$NVMEOT_SRC/tests/vm/guest/snapshots_busy.sh"
start_target
busy ext4 "${ROUNDS:-2}"
busy xfs "${ROUNDS:-2}"
