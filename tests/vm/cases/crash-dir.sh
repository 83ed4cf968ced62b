#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# All faults under a writer, on a pool of files; and what is lost when it asks for a volatile cache.
# guests: target initiator
# disk: target 8G
# timeout: 2400
# shellcheck source=tests/vm/crashes.sh
. "$NVMEOT_SRC/tests/vm/crashes.sh"

start_crashes dir
for fault in crash reboot agent cut; do
	survives $fault
done
loses_when_volatile
