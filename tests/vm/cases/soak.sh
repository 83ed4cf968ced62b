#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Rounds of random calls, writes, kills of the node and cuts of the network; see guest/soak.sh.
# soak-long is the whole of this.
# timeout: 400
# shellcheck source=tests/vm/guest/soak.sh
. "$NVMEOT_SRC/tests/vm/guest/soak.sh"

soak "${ROUNDS:-3}"
