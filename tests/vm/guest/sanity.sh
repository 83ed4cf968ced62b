# SPDX-License-Identifier: Apache-2.0
#
# Sourced by the sanity cases: the whole driver, and csi-sanity on its two sockets.
# shellcheck shell=bash
# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"

# The parts of csi-sanity that the controller serves: of each, specs must have run and passed.
controller_parts=(
	"GetPluginCapabilities" "Probe" "GetPluginInfo"
	"ControllerGetCapabilities" "GetCapacity" "ListVolumes" "CreateVolume" "DeleteVolume"
	"ValidateVolumeCapabilities" "ControllerPublishVolume" "volume lifecycle"
	"ControllerUnpublishVolume" "ExpandVolume" "ModifyVolume" "ControllerGetVolumeHealth"
	"ControllerListVolumeHealth"
)

# How many there are in all of these, in the version that tests/sanity/run builds.
controller_count=45

# Specs of the controller that may be skipped, and nothing else:
# - snapshots, clones (volumes from a source volume), and the group controller, which is about
#   snapshots, too;
# - the limit of volumes per node: a node tells it to the scheduler, which keeps it. A controller
#   without state would have to count over all targets at each publish.
may_skip='[Ss]napshot|source volume|GroupController|node max attach limit'

# specs STATE: "NAME", one a line
specs() {
	jq -r --arg state "$1" '.[].SpecReports[] |
		select(.LeafNodeType == "It" and .State == $state) |
		.ContainerHierarchyTexts + [.LeafNodeText] | join(" ")' /run/report.json
}

controller_specs() { # STATE
	specs "$1" | grep -E 'Controller|Identity'
}

only_these_skipped() { # prints the others
	! controller_specs skipped | grep -vE "$may_skip"
}

# run_sanity mount|block: prints csi-sanity's own totals
run_sanity() {
	local out=/run/csi-sanity.out status=0 part
	start_driver
	mkdir -p /tmp/csi-sanity
	echo 'queueSize: "64"' >/run/mutable.yaml
	"$NVMEOT_SRC/build/bin/csi-sanity" --ginkgo.no-color --ginkgo.v \
		--csi.endpoint="$node_socket" --csi.controllerendpoint="$controller_socket" \
		--csi.mountdir=/tmp/csi-sanity/mount --csi.stagingdir=/tmp/csi-sanity/staging \
		--csi.testvolumeaccesstype="$1" --csi.testvolumesize=1073741824 \
		--csi.testvolumeexpandsize=2147483648 \
		--csi.testvolumemutableparameters=/run/mutable.yaml \
		--ginkgo.json-report=/run/report.json >"$out" 2>&1 || status=$?
	grep -E '^Ran [0-9]+ of|^(SUCCESS|FAIL)!' "$out" || tail -n 40 "$out"
	if [ $status -ne 0 ]; then
		grep -E '\[FAIL(ED)?\]' "$out" | sort -u || true
		grep -B2 -A25 '\[FAILED\]' "$out" | head -n 150
	fi
	check "every spec that applies passes" [ $status = 0 ]
	check "specs did run" grep -qE '^Ran [1-9][0-9]+ of' "$out"
	specs skipped | sed 's/^/# skipped: /'
	check "of the controller at least $controller_count" \
		[ "$(controller_specs passed | wc -l)" -ge $controller_count ]
	for part in "${controller_parts[@]}"; do
		check "specs of $part passed" grep -qF "$part" <(controller_specs passed)
	done
	check "no spec of the controller was skipped but those of snapshots, clones and the node's limit" \
		only_these_skipped
	check "nothing is left mounted" not grep -q /tmp/csi-sanity /proc/self/mountinfo
	check "nothing is left connected" [ "$(controllers)" = 0 ]
	check "no volume is left in the pool" [ -z "$(find "$pool_dir" -name '*.img')" ]
}
