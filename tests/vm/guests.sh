# SPDX-License-Identifier: Apache-2.0
#
# Sourced by cases that have several guests (header `# guests: NAME...`). Such a case runs on the
# host and only says what the guests do; sourcing this starts them all, and its end ends them. They
# share one network that nothing else is on, as 10.0.0.1, 10.0.0.2 ... in the header's order; names
# resolve. Guest NAME's disk (header `# disk: NAME SIZE`) is /dev/vda and outlives its crashes.
# shellcheck shell=bash
vm_dir=$NVMEOT_SCRATCH
vm_check_output=$vm_dir/check
# shellcheck source=tests/vm/guest/lib.sh
. "$NVMEOT_SRC/tests/vm/guest/lib.sh"
# shellcheck source=tests/vm/qemu.sh
. "$NVMEOT_SRC/tests/vm/qemu.sh"
# shellcheck source=tests/vm/guest/complaints.sh
. "$NVMEOT_SRC/tests/vm/guest/complaints.sh"

vm_case_file=$NVMEOT_SRC/tests/vm/cases/$NVMEOT_CASE.sh
# What the guests were told, for debugging.
vm_commands=$NVMEOT_LOG/$NVMEOT_CASE.commands
vm_boot_limit_s=240
vm_end_limit_s=60
read -r -a vm_guests <<<"${NVMEOT_GUESTS//,/ }"
declare -A vm_in=() vm_out=() vm_qmp_in=() vm_qmp_out=() vm_lives=() vm_number=()

# --- what cases call --------------------------------------------------------------------------

# on GUEST COMMAND [ARG...]: the guest runs it, in the one shell it keeps for that, which has all of
# guest/driver.sh and the functions that the case has defined; prints the output, returns the
# status. COMMAND alone may be any shell text. `set -e` does not hold within it.
on() {
	local name=$1 text=$2 line
	(($# == 2)) || text=${*@Q} text=${text#* }
	vm_is_up "$name" || vm_gone "$name"
	echo "$name: ${*:2}" | tee "$vm_dir/doing" >>"$vm_commands"
	text="$(vm_functions)"$'\n'"$text"
	echo "${text@Q}" >&"${vm_in[$name]}"
	while IFS= read -r line <&"${vm_out[$name]}"; do
		case $line in
		o*) printf '%s\n' "${line:1}" ;;
		e*) printf '%s\n' "${line:1}" >&2 ;;
		=*)
			: >"$vm_dir/doing"
			return "${line:1}"
			;;
		gone) vm_gone "$name" ;;
		esac
	done
}

address_of() { # GUEST
	echo "10.0.0.${vm_number[$1]}"
}

# crash_guest GUEST: as by its reset button; nothing is synced. Its disk stays.
crash_guest() {
	vm_qmp "$1" '{"execute":"system_reset"}'
	vm_await_end "$1"
}

# reboot_guest GUEST: as reboot(8) does it without waiting for services: sync, then restart.
reboot_guest() {
	vm_is_up "$1" || vm_gone "$1"
	echo "'sync; busybox reboot -f'" >&"${vm_in[$1]}"
	vm_await_end "$1"
}

# restart_guest GUEST: boots it anew after one of these.
restart_guest() {
	vm_start "$1"
	vm_await_start "$1"
}

# cut_network GUEST, rejoin_network GUEST: pulls its network cable, puts it back.
cut_network() {
	vm_qmp "$1" '{"execute":"set_link","arguments":{"name":"net0","up":false}}'
}

rejoin_network() {
	vm_qmp "$1" '{"execute":"set_link","arguments":{"name":"net0","up":true}}'
}

# --- how it is done ---------------------------------------------------------------------------

vm_functions() {
	local name names
	mapfile -t names < <(declare -F | grep -vxF "$vm_own_functions" | cut -d ' ' -f 3)
	((${#names[@]} == 0)) || declare -f "${names[@]}"
}

# vm_channel BASE: makes BASE.in and BASE.out for qemu and opens them as $in and $out
vm_channel() {
	rm -f "$1.in" "$1.out"
	mkfifo "$1.in" "$1.out"
	exec {in}<>"$1.in" {out}<>"$1.out"
}

vm_console() { # GUEST: that of its present life
	local life=${vm_lives[$1]}
	echo "$NVMEOT_LOG/$NVMEOT_CASE.$1$( ((life == 1)) || echo "-$life").console"
}

# The network is one multicast group on the loopback device, of which there is one per case: its
# address is made of this process's number.
vm_network() { # GUEST
	local group=239.$(($$ >> 16 & 255)).$(($$ >> 8 & 255)).$(($$ & 255))
	echo "-netdev socket,id=net0,localaddr=127.0.0.1,mcast=$group:4420"
	echo "-device virtio-net-pci,netdev=net0,mac=52:54:00:00:00:0${vm_number[$1]}"
}

vm_disk() { # GUEST
	local file=$vm_dir/$1.disk
	[[ ! -e $file ]] || echo "-drive if=virtio,format=raw,discard=unmap,file=$file"
}

vm_make_disks() {
	local name size
	while read -r name size; do
		[[ -n ${vm_number[$name]:-} ]] || fail "header: a disk for $name, which is no guest"
		truncate -s "$size" "$vm_dir/$name.disk"
	done < <(sed -n 's/^# disk: *//p' "$vm_case_file")
}

# Starts the qemu of a guest; its output goes to ours, and when it ends the channel for answers says
# so. Whoever reads answers learns of a death by that.
vm_start() { # GUEST
	local name=$1 base=$vm_dir/$1 in out env extra
	vm_lives[$name]=$((${vm_lives[$name]:-0} + 1))
	rm -f "$base.gone"
	: >"$base.result"
	vm_channel "$base.qmp"
	vm_qmp_in[$name]=$in vm_qmp_out[$name]=$out
	vm_channel "$base.commands"
	vm_in[$name]=$in vm_out[$name]=$out
	env="NVMEOT_SRC=$NVMEOT_SRC NVMEOT_BUILD=$NVMEOT_BUILD NVMEOT_KERNEL_DIR=$NVMEOT_KERNEL_DIR"
	env+=" NVMEOT_CASE=$NVMEOT_CASE KERNEL=$KERNEL NVMEOT_GUEST=$name NVMEOT_GUESTS=$NVMEOT_GUESTS"
	read -r -d '' -a extra <<<"$(vm_network "$name") $(vm_disk "$name")" || true
	(
		(guest_exec "$NVMEOT_KERNEL_DIR" "$(vm_console "$name")" "$base.result" "$env" \
			-m 2048 "${extra[@]}" \
			-chardev "pipe,id=commands,path=$base.commands" \
			-device virtserialport,chardev=commands,nr=3 \
			-chardev "pipe,id=qmp,path=$base.qmp" -mon chardev=qmp,mode=control) || true
		touch "$base.gone"
		echo gone >&"$out"
	) > >(sed -u "s/^/$name: /") 2>&1 &
}

vm_await_start() { # GUEST
	local line
	vm_qmp "$1" '{"execute":"qmp_capabilities"}'
	IFS= read -r -t "$vm_boot_limit_s" line <&"${vm_out[$1]}" || {
		echo "$1: no sign of life after $vm_boot_limit_s s of booting" >>"$vm_dir/reasons"
		fail "$(tail -n 1 "$vm_dir/reasons")"
	}
	[[ $line == =0 ]] || vm_gone "$1"
}

vm_is_up() { # GUEST
	[[ -n ${vm_out[$1]:-} && ! -e $vm_dir/$1.gone ]]
}

# For a guest that ought to be there.
vm_gone() { # GUEST
	fail "$1 is gone ($(<"$vm_dir/doing"))"
}

# Reads until the guest's qemu has ended; then judges the life that it had.
vm_await_end() { # GUEST
	local line=
	while [[ $line != gone ]]; do
		IFS= read -r -t "$vm_end_limit_s" line <&"${vm_out[$1]}" ||
			fail "$1 does not end within $vm_end_limit_s s"
	done
	vm_judge_log "$1"
}

# The kernel log of a guest that had no chance to judge it itself.
vm_judge_log() { # GUEST
	local line
	line=$(tr -d '\r' <"$(vm_console "$1")" |
		kernel_complaints "$vm_case_file" "$(kernel_marker "$NVMEOT_CASE")" "$1" | head -n 1) || true
	[[ -z $line ]] || echo "$1: kernel: $line" >>"$vm_dir/reasons"
}

vm_qmp() { # GUEST JSON
	local line
	echo "$2" >&"${vm_qmp_in[$1]}"
	while IFS= read -r -t 60 line <&"${vm_qmp_out[$1]}"; do
		[[ $line != *'"error"'* ]] || fail "$1: qemu refuses $2: $line"
		[[ $line != *'"return"'* ]] || return 0
	done
	fail "$1: no answer from qemu to $2"
}

# The guest cleans up, looks at what it left, and says its verdict.
vm_end() { # GUEST
	local name=$1 line verdict
	if vm_is_up "$name"; then
		echo "'vm_explain=$vm_failed; exit \$vm_failed'" >&"${vm_in[$name]}"
		while IFS= read -r -t "$vm_end_limit_s" line <&"${vm_out[$name]}"; do
			[[ $line != gone ]] || break
			[[ $line != [oe]* ]] || echo "$name: ${line:1}"
		done
		[[ $line == gone ]] || {
			echo "$name: no end within $vm_end_limit_s s after the case" >>"$vm_dir/reasons"
			vm_qmp "$name" '{"execute":"quit"}'
			return
		}
	fi
	verdict=$(verdict_of "$vm_dir/$name.result" "$(vm_console "$name")")
	[[ -z $verdict ]] || echo "$name: $verdict" >>"$vm_dir/reasons"
}

# The last of the header first: it is the others' guest there.
vm_end_all() {
	local i
	for ((i = ${#vm_guests[@]} - 1; i >= 0; i--)); do
		[[ -z ${vm_lives[${vm_guests[i]}]:-} ]] || vm_end "${vm_guests[i]}"
	done
	wait
}

vm_begin() {
	local i name
	: >"$vm_dir/doing"
	: >"$vm_commands"
	for i in "${!vm_guests[@]}"; do
		vm_number[${vm_guests[i]}]=$((i + 1))
	done
	vm_make_disks
	defer vm_end_all
	for name in "${vm_guests[@]}"; do
		vm_start "$name"
	done
	for name in "${vm_guests[@]}"; do
		vm_await_start "$name"
	done
	note "${#vm_guests[@]} guests are up: ${vm_guests[*]}"
}

vm_own_functions=$(declare -F)
vm_begin
