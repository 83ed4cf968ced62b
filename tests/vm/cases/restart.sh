#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Processes die, data does not: the agent is killed under a writing pod, the node and the controller
# between every two calls.
# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"
# shellcheck source=tests/vm/guest/writer.sh
. "$NVMEOT_SRC/tests/vm/guest/writer.sh"
start_driver

provision survives
publish "$volume" pod >/dev/null
start_writer "$(pod pod)/log"
check "a pod writes" goes_on
session=$(cat /sys/class/nvme-subsystem/*/nvme[0-9]/cntlid)
stop agent KILL
check "the agent is dead and the pod writes on" goes_on
start_agent
check "the agent is back and the pod writes on" goes_on
check "the session was never interrupted" \
	[ "$(cat /sys/class/nvme-subsystem/*/nvme[0-9]/cntlid)" = "$session" ]
check "the new agent knows the export" grep -q "$host_nqn" <<<"$(rpc "$agent_address" \
	nvmeot.target.v1.Target GetVolume "{\"uuid\":\"$(uuid_of "$volume")\"}")"
check_writer
unpublish "$volume" pod >/dev/null
retire "$volume"

# again NAME: that process is killed and started anew
again() {
	stop "$1" KILL
	"start_$1"
}

create between >/dev/null
again controller
attach "$volume"
again controller
again node
stage "$volume" >/dev/null
again node
publish "$volume" writer >/dev/null
again node
publish "$volume" reader true >/dev/null
again node
echo between >"$(pod writer)/file"
check "the node was killed between all calls so far: the reader sees the writer" \
	grep -q between "$(pod reader)/file"
check "and is read-only" is_readonly "$(pod reader)"
check "one device mount" [ "$(mounts_of "$(device_of "$volume")" | wc -l)" = 4 ]
unpublish "$volume" reader >/dev/null
again node
unpublish "$volume" writer >/dev/null
again node
unstage "$volume" >/dev/null
again node
check "unstaged across kills: disconnected" [ "$(controllers)" = 0 ]
again controller
again agent
detach "$volume" >/dev/null
again agent
delete "$volume" >/dev/null
check "detached and deleted across kills: nothing in the pool" [ -z "$(find "$pool_dir" -name '*.img')" ]

# SIGTERM ends each with status 0 and leaves mounts and sessions alone.
provision stays
publish "$volume" pod >/dev/null
for name in node controller agent; do
	stop $name
	check "$name ends with status 0 on SIGTERM" [ "$stopped" = 0 ]
done
check "no sockets are left" [ -z "$(find "$run_dir" -name '*.sock*')" ]
check "the pod still writes" eval 'echo still >"$(pod pod)/still" && sync "$(pod pod)/still"'
start_agent
start_controller
start_node
unpublish "$volume" pod >/dev/null
retire "$volume"
