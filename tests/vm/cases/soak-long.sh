#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# soak, as long as one likes: ROUNDS=500 SEED=1 make vm CASE=soak-long, or 100 at a time with five
# seeds.
# by hand: hours
# timeout: 28800
# cpus: 2
# shellcheck source=tests/vm/guest/soak.sh
. "$NVMEOT_SRC/tests/vm/guest/soak.sh"

soak "${ROUNDS:-500}"
