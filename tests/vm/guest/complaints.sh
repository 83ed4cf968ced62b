# SPDX-License-Identifier: Apache-2.0
#
# Sourced in the guest and on the host: what in a kernel log makes a case fail.
# shellcheck shell=bash

complaints='WARNING:|BUG:|lockdep|possible recursive locking|blocked for more than'
complaints+='|general protection|KASAN|Oops|Call Trace'

# kernel_marker CASE: the line that the guest's log has before the first of the case
kernel_marker() {
	echo "nvmeot: case $1 begins"
}

# kernel_complaints CASE_FILE MARKER [GUEST]: reads a kernel log, prints what it complains of after
# the marker and what the case does not expect (of that guest).
kernel_complaints() {
	local expected log

	# Read once: a grep that stops early would make the writer fail, and with it the pipe.
	log=$(cat)
	expected=$(sed -n "s/^# expect-kernel\( ${3:-}\)\?: *//p" "$1")
	[[ $log == *"$2"* ]] || echo "kernel: the log has overrun, so nothing is known of it"
	sed "0,/$2/d" <<<"$log" | grep -a -E "$complaints" |
		if [[ -n $expected ]]; then grep -a -v -E "$expected"; else cat; fi
}
