#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Rounds of random calls, writes, kills of the node and cuts of the network; see guest/soak.sh.
# Always the same ones, unless SEED says otherwise; soak-long draws others, and more.
# timeout: 400
# cpus: 2
SEED=${SEED:-1}
# shellcheck source=tests/vm/guest/soak.sh
. "$NVMEOT_SRC/tests/vm/guest/soak.sh"

soak "${ROUNDS:-3}"
