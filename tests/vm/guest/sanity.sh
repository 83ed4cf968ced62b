# SPDX-License-Identifier: Apache-2.0
#
# Sourced by the sanity cases: the whole driver, and csi-sanity on its two sockets.
# shellcheck shell=bash
# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"

# run_sanity mount|block: prints csi-sanity's own totals
run_sanity() {
	local out=/run/csi-sanity.out status=0
	start_driver
	mkdir -p /tmp/csi-sanity
	"$NVMEOT_SRC/build/bin/csi-sanity" --ginkgo.no-color --ginkgo.v \
		--csi.endpoint="$node_socket" --csi.controllerendpoint="$controller_socket" \
		--csi.mountdir=/tmp/csi-sanity/mount --csi.stagingdir=/tmp/csi-sanity/staging \
		--csi.testvolumeaccesstype="$1" >"$out" 2>&1 || status=$?
	grep -E '^Ran [0-9]+ of|^(SUCCESS|FAIL)!' "$out" || tail -n 40 "$out"
	if [ $status -ne 0 ]; then
		grep -E '\[FAIL(ED)?\]' "$out" | sort -u || true
		grep -B2 -A25 '\[FAILED\]' "$out" | head -n 150
	fi
	check "every spec that applies passes" [ $status = 0 ]
	check "specs did run" grep -qE '^Ran [1-9][0-9]+ of' "$out"
	check "nothing is left mounted" not grep -q /tmp/csi-sanity /proc/self/mountinfo
	check "nothing is left connected" [ "$(controllers)" = 0 ]
	check "no volume is left in the pool" [ -z "$(find "$pool_dir" -name '*.img')" ]
}
