#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Must pass: two guests do what they are told, one is crashed and rebooted and keeps its disk, the
# network is cut and comes back; the warning that one of them logs is announced.
# guests: one two
# disk: one 64M
# expect-kernel one: WARNING: told by one
# shellcheck source=tests/vm/guests.sh
. "$NVMEOT_SRC/tests/vm/guests.sh"

greet() {
	echo "$1 from $GUEST"
}

reaches() { # FROM TO
	on "$1" busybox ping -c 1 -W 2 "$2" >/dev/null
}

on two 'kept=42; sleep 1000 & sleeper=$!'
check "each guest runs the case's functions, with the words given" \
	eval '[ "$(on one greet "two  words")" = "two  words from one" ] &&
	[ "$(on two greet hello)" = "hello from two" ]'
check "its shell keeps variables and processes" on two '[ $kept = 42 ] && kill $sleeper'
check "the status comes back" eval '! on one false && on one true'
check "so do errors, apart from output" \
	eval '[ "$(on one "echo out; echo err >&2" 2>"$vm_dir/err")" = out ] && grep -q ^err "$vm_dir/err"'
check "they reach each other by name" eval 'reaches one two && reaches two one'
cut_network one
check "not when the network is cut" eval '! reaches two one'
rejoin_network one
check "it comes back" on two 'wait_for 10 busybox ping -c 1 -W 1 one'

on one 'echo "WARNING: told by one" >/dev/kmsg; mkfs.ext4 -q /dev/vda; mount /dev/vda /mnt
	echo synced >/mnt/synced; sync; echo lost >/mnt/unsynced'
crash_guest one
restart_guest one
on one mount /dev/vda /mnt
check "a crash: the disk has what was synced, and not the rest" \
	on one '[ "$(ls -I lost+found /mnt)" = synced ]'
on one 'echo more >/mnt/rebooted'
reboot_guest one
restart_guest one
on one mount /dev/vda /mnt
check "a reboot: the disk has everything" on one 'cat /mnt/rebooted'
on one umount /mnt
check "a guest that was not restarted lives on" on two '[ $kept = 42 ]'
