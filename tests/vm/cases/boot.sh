#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The ground every other case stands on: nvmet exports a file of a pool over loopback TCP, nvme-tcp
# connects to it and reads it back, and all of it can be taken down again.
# timeout: 120

# shellcheck source=tests/vm/guest/lib.sh
. "$NVMEOT_SRC/tests/vm/guest/lib.sh"

uuid=5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a11
host_uuid=0d1b3f52-93c6-4c43-8a39-1b2b0d7a2c77
nqn=nqn.2026-11.io.nvmeot:$uuid
host_nqn=nqn.2014-08.org.nvmexpress:uuid:$host_uuid
nvmet=/sys/kernel/config/nvmet

export_file() {
	local subsystem=$nvmet/subsystems/$nqn port=$nvmet/ports/1

	mkdir "$nvmet/hosts/$host_nqn" "$subsystem" "$subsystem/namespaces/1" "$port"
	ln -s "$nvmet/hosts/$host_nqn" "$subsystem/allowed_hosts/"
	echo "$uuid" >"$subsystem/namespaces/1/device_uuid"
	echo "$1" >"$subsystem/namespaces/1/device_path"
	echo 1 >"$subsystem/namespaces/1/enable"
	echo tcp >"$port/addr_trtype"
	echo ipv4 >"$port/addr_adrfam"
	echo 127.0.0.1 >"$port/addr_traddr"
	echo 4420 >"$port/addr_trsvcid"
	ln -s "$subsystem" "$port/subsystems/"
}

unexport() {
	local subsystem=$nvmet/subsystems/$nqn

	rm "$nvmet/ports/1/subsystems/$nqn" "$subsystem/allowed_hosts/$host_nqn"
	rmdir "$nvmet/ports/1" "$subsystem/namespaces/1" "$subsystem" "$nvmet/hosts/$host_nqn"
}

connect() {
	local fabrics answer options="nqn=$nqn,transport=tcp,traddr=127.0.0.1,trsvcid=4420"

	exec {fabrics}<>/dev/nvme-fabrics
	printf '%s' "$options,hostnqn=$host_nqn,hostid=$host_uuid,nr_io_queues=1" >&"$fabrics"
	read -r answer <&"$fabrics"
	echo "$answer"
	[[ $answer == instance=* ]]
}

# Prints the path of the namespace's block device.
find_device() {
	local file

	for file in /sys/class/nvme-subsystem/*/nvme*n*/uuid; do
		[[ -r $file && $(<"$file") == "$uuid" ]] || continue
		file=${file%/uuid}
		echo "/dev/${file##*/}"
		return
	done
	return 1
}

has_device() {
	find_device >/dev/null
}

disconnect() {
	local file

	for file in /sys/class/nvme/*/subsysnqn; do
		[[ $(<"$file") == "$nqn" ]] || continue
		echo 1 >"${file%/subsysnqn}/delete_controller"
	done
}

check "the kernel is a $KERNEL one" test "${KERNEL}" = "$(uname -r | cut -d. -f1,2)"
check "a program of the guest can load a module" modprobe dm_thin_pool
make_pool /mnt/pool 512M
dd if=/dev/urandom of=/mnt/pool/disk bs=1M count=4 conv=fsync status=none
check "a file is exported" export_file /mnt/pool/disk
check "the host connects" connect
check "the device appears" wait_for 10 has_device
check "1 MiB reads back" cmp -n 1048576 /mnt/pool/disk "$(find_device)"
check "the host disconnects" disconnect
check "the device is gone" wait_for 10 eval '! has_device'
check "the export is removed" unexport
