# SPDX-License-Identifier: Apache-2.0
#
# Sourced by cases that export one device or file by hand, without the driver, and connect to it.
# shellcheck shell=bash
# shellcheck source=tests/vm/guest/lib.sh
. "$NVMEOT_SRC/tests/vm/guest/lib.sh"

uuid=5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a11
nqn=nqn.2026-11.io.nvmeot:$uuid
host=0d1b3f52-93c6-4c43-8a39-1b2b0d7a2c77
host_nqn=nqn.2014-08.org.nvmexpress:uuid:$host
nvmet=/sys/kernel/config/nvmet
device= # that of the host, once it is connected

export_at() { # PATH
	local subsystem=$nvmet/subsystems/$nqn port=$nvmet/ports/1

	mkdir "$nvmet/hosts/$host_nqn" "$subsystem" "$subsystem/namespaces/1" "$port"
	ln -s "$nvmet/hosts/$host_nqn" "$subsystem/allowed_hosts/"
	echo -n "$1" >"$subsystem/namespaces/1/device_path"
	echo -n "$uuid" >"$subsystem/namespaces/1/device_uuid"
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

# The names of namespaces are handed out anew each time.
find_device() {
	local file

	for file in /sys/class/nvme-subsystem/*/nvme*n*/uuid; do
		[[ -r $file && $(<"$file") == "$uuid" ]] || continue
		file=${file%/uuid}
		device=/dev/${file##*/}
		[[ -b $device ]] && return
	done
	return 1
}

connect() {
	echo "nqn=$nqn,transport=tcp,traddr=127.0.0.1,trsvcid=4420,nr_io_queues=1,hostid=$host,\
hostnqn=$host_nqn" >/dev/nvme-fabrics
	wait_for 10 find_device
}

disconnect() {
	local path

	for path in /sys/class/nvme/nvme*; do
		echo 1 >"$path/delete_controller"
	done
}
