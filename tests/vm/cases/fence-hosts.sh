#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The guard of the portals, and the fence of one of several hosts, against this kernel's nvmet and
# nftables: hosts in user space connect over loopback TCP while others are fenced, some times; with
# ROUNDS=100 for some minutes.
# timeout: 400

# shellcheck source=tests/vm/guest/lib.sh
. "$NVMEOT_SRC/tests/vm/guest/lib.sh"

make_pool /mnt/pool 512M
truncate -s 16M /mnt/pool/a.img
truncate -s 16M /mnt/pool/slow.img

# A disk that takes its time for a write.
slow=$(losetup --find --show --sector-size 4096 --direct-io=on /mnt/pool/slow.img)
defer losetup -d "$slow"
dmsetup create slow --table "0 32768 delay $slow 0 0 $slow 0 400"
defer dmsetup remove --retry slow
[ -b /dev/mapper/slow ] || dmsetup mknodes

check_program nvmet_fence /mnt/pool/a.img /dev/mapper/slow "${ROUNDS:-10}"
