#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# csi-sanity against the real driver, with raw block volumes.
# timeout: 1200
# shellcheck source=tests/vm/guest/sanity.sh
. "$NVMEOT_SRC/tests/vm/guest/sanity.sh"
run_sanity block
