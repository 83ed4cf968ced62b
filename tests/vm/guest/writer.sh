# SPDX-License-Identifier: Apache-2.0
#
# Sourced, after lib.sh or what has it, by cases with a pod that writes while something befalls what
# it writes to: numbered lines, each on the target's disk before the next is begun.
# shellcheck shell=bash

start_writer() { # FILE
	written=$1
	write_lines &
	writer_pid=$!
}

write_lines() {
	local i=0
	while [ ! -e /run/stop-writing ]; do
		i=$((i + 1))
		echo "line $i" | dd of="$written" oflag=append,dsync conv=notrunc status=none || return 1
		echo $i >/run/acknowledged
	done
}

lines() {
	cat /run/acknowledged 2>/dev/null || echo 0
}

grows_beyond() {
	[ "$(lines)" -gt "$1" ]
}

goes_on() {
	wait_for 60 grows_beyond $(($(lines) + 5))
}

# Ends the writer and looks at all that it has written.
check_writer() {
	local status=0
	touch /run/stop-writing
	wait "$writer_pid" || status=$?
	check "the writer met no error" [ $status = 0 ]
	check "no acknowledged line is lost, none is doubled" \
		cmp "$written" <(seq -f "line %.0f" "$(lines)")
}
