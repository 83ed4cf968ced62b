# SPDX-License-Identifier: Apache-2.0
#
# Sourced by the crash cases: a writer on one guest that never flushes, and what befalls the target
# under it. Whatever the target acknowledged has to be there afterwards.
# shellcheck shell=bash
# shellcheck source=tests/vm/cluster.sh
. "$NVMEOT_SRC/tests/vm/cluster.sh"

volume_bytes=4294967296

# --- on the initiator -------------------------------------------------------------------------

ack_writer() {
	"$NVMEOT_BUILD/tests/ack_writer" "$@"
}
start_writer() {
	rm -f /run/acknowledged
	"$NVMEOT_BUILD/tests/ack_writer" write "$(pod pod)" /run/acknowledged >/run/writer 2>&1 &
	writer=$!
	wait_for 10 has_written 1
}
has_written() { # WRITES
	local writes bytes
	read -r writes bytes < <(ack_writer count /run/acknowledged 2>/dev/null) && ((writes >= $1))
}
# goes_on SECONDS: it acknowledges more writes within that time
goes_on() {
	local writes bytes
	read -r writes bytes < <(ack_writer count /run/acknowledged)
	wait_for "$1" has_written $((writes + 20))
}
throughput() { # SECONDS
	local before after writes begun_ms
	begun_ms=$(now_ms)
	read -r writes before < <(ack_writer count /run/acknowledged)
	sleep "$1"
	read -r writes after < <(ack_writer count /run/acknowledged)
	echo $(((after - before) * 10 / 1049 / ($(now_ms) - begun_ms)))
}
stop_writer() {
	local status=0
	kill -TERM $writer
	wait $writer || status=$?
	cat /run/writer
	return $status
}
session_is() { # STATE
	cat /sys/class/nvme/nvme*/state | grep -qx "$1"
}

# --- faults, each over when the target serves again ---------------------------------------------

fault_crash() {
	crash_guest target
	restart_guest target
	on target start_storage "$kind"
}
fault_reboot() {
	on target 'stop agent'
	reboot_guest target
	restart_guest target
	on target start_storage "$kind"
}
fault_agent() {
	on target 'stop agent KILL; start_agent'
}
# cut_for SECONDS: at least, and until the initiator has noticed
cut_for() {
	local begun_ms
	begun_ms=$(now_ms)
	cut_network target
	check "$what: the keep-alive timeout strikes" on initiator wait_for 60 session_is connecting
	while (($(now_ms) < begun_ms + $1 * 1000)); do
		sleep 1
	done
	rejoin_network target
}
fault_cut() {
	cut_for 90
}
fault_short_cut() {
	cut_for 1
}

# --- what cases call --------------------------------------------------------------------------

begin_writing() { # NAME [PARAMETERS]
	create_volume "$1" "$volume_bytes" "${2:-{\}}"
	give_to initiator
	on initiator 'stage "$volume" >/dev/null && publish "$volume" pod >/dev/null && start_writer'
}

end_writing() {
	on initiator 'unpublish "$volume" pod && unstage "$volume"' >/dev/null
	take_from initiator
	on target "delete '$volume'" >/dev/null
}

# survives FAULT: a volume of its own goes through the fault, and nothing is lost
survives() {
	local begun_ms what=$1
	begin_writing "crash-${1//_/-}"
	note "$what: $(in_tenths "$(on initiator throughput 5)") MB/s before the fault"
	"fault_$1"
	begun_ms=$(now_ms)
	check "$what: the writer resumes" on initiator goes_on 60
	note "$what: it had resumed $(($(now_ms) - begun_ms)) ms after the target served again"
	check "$what: it met no error" on initiator stop_writer
	check "$what: no acknowledged write is lost" on initiator verify
	note "$what: $(tail -n 1 "$vm_check_output")"
	end_writing
}

# loses_when_volatile: the documented loss; writes may be spared by chance, so it has some tries
loses_when_volatile() {
	local try status
	for try in 1 2 3 4 5; do
		begin_writing "crash-volatile-$try" '{"writeCache":"volatile"}'
		note "volatile: $(in_tenths "$(on initiator throughput 5)") MB/s before the fault"
		fault_crash
		check "volatile: the writer resumes" on initiator goes_on 60
		check "volatile: it met no error" on initiator stop_writer
		status=0
		on initiator verify >"$vm_dir/verify" || status=$?
		note "volatile: $(tail -n 1 "$vm_dir/verify")"
		end_writing
		((status == 0)) || break
	done
	check "volatile: acknowledged writes are lost, as documented" [ "$status" = 1 ]
}

verify() {
	ack_writer verify "$(pod pod)" /run/acknowledged
}

in_tenths() {
	echo "$(($1 / 10)).$(($1 % 10))"
}

start_crashes() { # dir|lvm: the kind of pool
	kind=$1
	start_cluster "$kind"
	# To wait for the target is what the writer is there for.
	on initiator 'echo 600 >/proc/sys/kernel/hung_task_timeout_secs'
	everywhere 'cap=$(capability SINGLE_NODE_WRITER block)'
}
