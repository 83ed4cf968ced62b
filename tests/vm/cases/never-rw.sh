#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A read-only publish is read-only from its first moment: a watcher reads the mount table without a
# pause while 200 of them are made. The same watcher does see binds that are made in two steps.
# cpus: 2
# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"
start_driver
provision watched
mkdir -p "$(pod old)" "$kubelet_dir/pods/reader"

# watch STATUS ARGS...: the watcher ends with this status (1: it saw a read-write moment)
watch() {
	local wanted=$1 status=0
	shift
	"$NVMEOT_BUILD/tests/publish_watch" "$@" >/run/watch.out 2>&1 || status=$?
	cat /run/watch.out
	[ $status = "$wanted" ]
}

check "the watcher sees binds that become read-only in a second step" \
	watch 1 old "$(staged "$volume")" "$(pod old)"
note "$(cat /run/watch.out)"
check "200 read-only publishes: none is ever read-write" \
	watch 0 "$node_socket" "$(pod reader)" \
	"{\"volume_id\":\"$volume\",\"staging_target_path\":\"$(staging "$volume")\",
	\"target_path\":\"$(pod reader)\",\"volume_capability\":$cap,\"readonly\":true,$(contexts "$volume")}" \
	"{\"volume_id\":\"$volume\",\"target_path\":\"$(pod reader)\"}"
note "$(cat /run/watch.out)"
retire "$volume"
