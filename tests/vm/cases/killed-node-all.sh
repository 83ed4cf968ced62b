#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What killed-node does, for every kind of volume; mkfs killed with the node before each of its own
# writes, which only a node that remembers its own unfinished mkfs can finish; and a node that
# authenticates itself, where the kernel can.
# by hand: the long form of killed-node
# timeout: 5400
# shellcheck source=tests/vm/guest/killed_node.sh
. "$NVMEOT_SRC/tests/vm/guest/killed_node.sh"

for type in ext4 xfs btrfs block; do
	killed_everywhere $type
done
for type in ext4 xfs btrfs; do
	killed_everywhere $type inside
done
[ "$KERNEL" = 6.1 ] || killed_everywhere block keys
