#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Must fail: leaves a mount.
# shellcheck source=tests/vm/guest/lib.sh
. "$NVMEOT_SRC/tests/vm/guest/lib.sh"

check "the mount is made" mount -t tmpfs tmpfs /mnt
