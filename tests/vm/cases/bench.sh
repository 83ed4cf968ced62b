#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The benchmarks that need the kernel's nvmet. Here they need only run: a few rounds, whatever the
# figures; tests/bench/run asks for all rounds by a file.
# timeout: 1800
# shellcheck source=tests/vm/guest/lib.sh
. "$NVMEOT_SRC/tests/vm/guest/lib.sh"
make_pool /mnt/pool 2G
# Loaded once a boot, with the first guard, and no part of any call.
modprobe -a nf_tables nft_reject_inet
counts=(3 1 20)
[ ! -e "$NVMEOT_BUILD/bench/all-rounds" ] || counts=(15 3 1000)

rows() {
	"$NVMEOT_BUILD/bench/bench_target" /mnt/pool "${counts[@]}" | tee /run/rows >&3
	[ "$(grep -c '^bench' /run/rows)" = 7 ]
}
check "every benchmark of the target gives its row" rows
