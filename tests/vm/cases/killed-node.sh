#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The node killed before every changing system call of stage, expansion, publish, unpublish and
# unstage of an ext4. The other kinds of volume are in killed-node-all.
# timeout: 500
# shellcheck source=tests/vm/guest/killed_node.sh
. "$NVMEOT_SRC/tests/vm/guest/killed_node.sh"

killed_everywhere ext4
