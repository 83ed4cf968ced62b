#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What the target acknowledged is there after it crashed, after its agent was killed, and after the
# network was cut. The cases crash-* are the whole of this.
# guests: target initiator
# disk: target 8G
# timeout: 400
# shellcheck source=tests/vm/crashes.sh
. "$NVMEOT_SRC/tests/vm/crashes.sh"

start_crashes dir
survives crash
survives agent
survives short_cut
