#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The benchmarks that need the kernel's nvmet. Here they need only run: a few rounds, whatever the
# figures; tests/bench/run asks for all rounds by a file.
# timeout: 3600
# shellcheck source=tests/vm/guest/lib.sh
. "$NVMEOT_SRC/tests/vm/guest/lib.sh"
# Room for all that is promised to 200 volumes; it takes what is written.
make_pool /mnt/pool 512G
# Loaded once a boot, with the first guard, and no part of any call.
modprobe -a nf_tables nft_reject_inet
counts=(3 1 20)
node_counts=(2 10 20)
delta_counts=(500 4096 1)
few_extents=(2 4 16)
many_extents=(2 64 1)
if [ -e "$NVMEOT_BUILD/bench/all-rounds" ]; then
	counts=(15 3 1000)
	node_counts=(15 200 2000)
	delta_counts=(16384 16384 5)
	few_extents=(15 64 16)
	many_extents=(15 1024 1)
fi

# rows NUMBER PROGRAM ARGS...: it prints so many
rows() {
	local number=$1
	shift
	"$NVMEOT_BUILD/bench/$@" | tee /run/rows >&3
	[ "$(grep -c '^bench' /run/rows)" -ge "$number" ]
}
check "every benchmark of the target gives its row" rows 7 bench_target /mnt/pool "${counts[@]}"
check "every benchmark of the node gives its row" \
	rows 12 bench_node /mnt/pool/node "$NVMEOT_BUILD/bin/nvmeot-csi" "${node_counts[@]}"
# The pool lies in memory: what is gone must go from there, too.
give_back() {
	rm -r "$1"
	fstrim /mnt/pool
}
mkdir /mnt/pool/few /mnt/pool/many /mnt/pool/delta
check "every benchmark of copies gives its row" rows 13 bench_copy /mnt/pool/few "${few_extents[@]}"
give_back /mnt/pool/few
check "of many extents, too" rows 13 bench_copy /mnt/pool/many "${many_extents[@]}"
give_back /mnt/pool/many
check "every benchmark of changed blocks gives its row" \
	rows 4 bench_delta /mnt/pool/delta "$NVMEOT_BUILD/bin/nvmeot-csi" "${delta_counts[@]}"
