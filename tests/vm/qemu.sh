# SPDX-License-Identifier: Apache-2.0
#
# Sourced by host-side scripts: how one guest is started, and what its verdict was. Nothing here
# waits.
# Emulated page walks of five levels (la57) and a randomised kernel cost seconds of boot. On a loaded
# machine the emulated timer is late for the kernel's own check of it, which then panics.
# shellcheck shell=bash
kernel_options="mitigations=off nokaslr no_timer_check"

# guest_exec DIR CONSOLE RESULT ENV [QEMU-ARG...]: becomes the qemu of one guest.
#   DIR       what tests/vm/kernel printed
#   CONSOLE   file for the kernel console
#   RESULT    file for the runner's verdict
#   ENV       blank-separated NVMEOT_NAME=value words that the guest finds in its environment
# NVMEOT_EMULATOR is the program that tests/vm/emulator printed. One CPU does the same work in half of
# the host's time that two take, so NVMEOT_CPUS says if there are to be more.
# The case's own output is standard output (opened as a file: a port on stdio would count as hung up
# once standard input ends). The guest has no network unless QEMU-ARG brings one.
guest_exec() {
	local dir=$1 console=$2 result=$3 env=$4
	shift 4

	exec "$NVMEOT_EMULATOR" -accel tcg,thread=multi,tb-size=512 -cpu max,la57=off -smp "${NVMEOT_CPUS:-1}" -m 4096 \
		-nodefaults -display none -no-reboot \
		-kernel "$dir/vmlinuz" -initrd "$dir/initramfs" \
		-append "console=ttyS0 panic=-1 quiet log_buf_len=4M $kernel_options $env" \
		-virtfs local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap \
		-serial "file:$console" -device virtio-serial-pci \
		-chardev file,id=output,path=/dev/stdout,append=on \
		-device virtserialport,chardev=output,nr=1 \
		-chardev "file,id=result,path=$result" \
		-device virtserialport,chardev=result,nr=2 \
		"$@" </dev/null
}

# verdict_of RESULT CONSOLE: why a guest that is gone failed; empty if it did not.
verdict_of() {
	local result=$1 console=$2 verdict

	verdict=$(paste -s -d ' ' "$result")
	[[ $verdict != ok ]] || return 0
	if [[ -z $verdict ]]; then
		verdict="the guest ended without a result: $(grep -a -m 1 -E 'Kernel panic|BUG:|Oops:' \
			"$console" || tail -n 1 "$console")"
	fi
	echo "$verdict" | tr -d '\r'
}
