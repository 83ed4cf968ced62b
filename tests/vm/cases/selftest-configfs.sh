#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Must fail: leaves a subsystem in nvmet's configfs.
# shellcheck source=tests/vm/guest/lib.sh
. "$NVMEOT_SRC/tests/vm/guest/lib.sh"

check "the subsystem is made" mkdir /sys/kernel/config/nvmet/subsystems/nqn.2026-11.io.nvmeot:left
