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
	"ControllerListVolumeHealth" "CreateSnapshot" "DeleteSnapshot" "ListSnapshots" "GetSnapshot"
	"existing source snapshot" "existing source volume" "accessibility requirements"
	"GroupControllerGetCapabilities" "CreateVolumeGroupSnapshot" "GetVolumeGroupSnapshot"
	"DeleteVolumeGroupSnapshot"
)

# Those that the node serves; "should" begins the names of the whole life of a volume.
node_parts=(
	"NodeGetCapabilities" "NodeGetInfo" "NodePublishVolume" "NodeUnpublishVolume" "NodeStageVolume"
	"NodeUnstageVolume" "NodeGetVolumeStats" "NodeExpandVolume" "NodeGetVolumeHealth"
	"NodeGetStorageHealth" "should work" "should be idempotent"
)

# How many there are in all of these, in the version that tests/sanity/run builds.
controller_count=74
node_count=27

# The spec that may be skipped, and no other: a node tells the scheduler how many volumes it takes, and
# that keeps the limit. A controller without state would have to count over all targets at each publish.
may_skip='node max attach limit'

# specs STATE: "NAME", one a line
specs() {
	jq -r --arg state "$1" '.[].SpecReports[] |
		select(.LeafNodeType == "It" and .State == $state) |
		.ContainerHierarchyTexts + [.LeafNodeText] | join(" ")' /run/report.json
}

controller_specs() { # STATE
	specs "$1" | grep -E 'Controller|Identity'
}

node_specs() { # STATE
	specs "$1" | grep 'Node Service '
}

only_these_skipped() { # prints the others
	! specs skipped | grep -vE "$may_skip"
}

no_node_spec_skipped() { # prints them
	! node_specs skipped
}

# run_sanity mount|block: prints csi-sanity's own totals. The node has a topology, or specs about that
# would be skipped; the target has none, since csi-sanity compares a topology in an answer with its own
# by more than what it says, and so finds none equal.
run_sanity() {
	local out=/run/csi-sanity.out status=0 part topology=zone=here
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
	check "of the node at least $node_count" [ "$(node_specs passed | wc -l)" -ge $node_count ]
	for part in "${controller_parts[@]}"; do
		check "specs of $part passed" grep -qF "$part" <(controller_specs passed)
	done
	for part in "${node_parts[@]}"; do
		check "specs of the node passed: $part" grep -qF "Node Service $part" <(node_specs passed)
	done
	check "no spec was skipped but that of the limit of a node" \
		only_these_skipped
	check "no spec of the node was skipped" no_node_spec_skipped
	check "nothing is left mounted" not grep -q /tmp/csi-sanity /proc/self/mountinfo
	check "nothing is left connected" [ "$(controllers)" = 0 ]
	check "no volume and no snapshot is left in the pool" [ -z "$(find "$pool_dir" -name '*.img')" ]
}
