# SPDX-License-Identifier: Apache-2.0
#
# Sourced by the cases that kill the node at every step.
# shellcheck shell=bash
# shellcheck source=tests/vm/guest/lib.sh
. "$NVMEOT_SRC/tests/vm/guest/lib.sh"

make_pool /mnt/pool 4G
mkdir /mnt/pool/images
modprobe -a ext4 xfs btrfs nf_tables

# killed_everywhere TYPE [inside|keys]: the program's own report, with its verdict as the check
killed_everywhere() {
	local status begun_ms
	begun_ms=$(now_ms)
	set +e
	"$NVMEOT_BUILD/tests/node_crash" /mnt/pool/images "$@" >/run/node_crash 2>&1
	status=$?
	set -e
	grep 'points$\|points in all\|^# ' /run/node_crash | sed 's/^\(# \)\?/# /' || true
	note "$*: took $(($(now_ms) - begun_ms)) ms"
	check "the node killed at every step: $*" \
		eval "[ $status = 0 ] || { tail -n 25 /run/node_crash; false; }"
}
