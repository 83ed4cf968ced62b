#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# nvme/host on a real kernel, with native multipath and without: connect, wait, find, disconnect,
# and what each of them says when the target does not play along. The tests themselves are in
# tests/vm/programs/host_connect.c; this makes the target they work against.
# timeout: 300

# shellcheck source=tests/vm/guest/lib.sh
. "$NVMEOT_SRC/tests/vm/guest/lib.sh"

export UUID=3f2b8c1d-7a64-4f0b-b0c5-9d8e7f6a5b4c
export NQN=nqn.2026-11.io.nvmeot:$UUID
export CLOSED_NQN=nqn.2026-11.io.nvmeot:closed
export NQN_FILE=/run/hostnqn
host_nqn=nqn.2014-08.org.nvmexpress:uuid:5b1e6f0c-2d7a-4c8e-8f3b-6a9d0c1e2f34
nvmet=/sys/kernel/config/nvmet

make_port() {
	local port=$nvmet/ports/$1

	mkdir "$port"
	echo tcp >"$port/addr_trtype"
	echo "$2" >"$port/addr_adrfam"
	echo "$3" >"$port/addr_traddr"
	echo 4420 >"$port/addr_trsvcid"
}

make_target() {
	local subsystem=$nvmet/subsystems/$NQN closed=$nvmet/subsystems/$CLOSED_NQN

	mkdir "$nvmet/hosts/$host_nqn" "$subsystem" "$closed" "$subsystem/namespaces/1"
	ln -s "$nvmet/hosts/$host_nqn" "$subsystem/allowed_hosts/"
	echo "$UUID" >"$subsystem/namespaces/1/device_uuid"
	echo /mnt/pool/disk >"$subsystem/namespaces/1/device_path"
	echo 1 >"$subsystem/namespaces/1/enable"
	make_port 1 ipv4 127.0.0.1
	make_port 2 ipv6 ::1
	ln -s "$subsystem" "$nvmet/ports/1/subsystems/"
	ln -s "$closed" "$nvmet/ports/1/subsystems/"
	ln -s "$subsystem" "$nvmet/ports/2/subsystems/"
}

remove_target() {
	local subsystem=$nvmet/subsystems/$NQN closed=$nvmet/subsystems/$CLOSED_NQN

	rm "$nvmet"/ports/*/subsystems/*
	rmdir "$nvmet"/ports/* "$subsystem/namespaces/1"
	rm "$subsystem/allowed_hosts/$host_nqn"
	rmdir "$subsystem" "$closed" "$nvmet/hosts/$host_nqn"
}

echo "$host_nqn" >"$NQN_FILE"
make_pool /mnt/pool 512M
truncate -s 64M /mnt/pool/disk
OTHER_DEVICE=$(findmnt -n -o SOURCE /mnt/pool)
export OTHER_DEVICE
make_target
check_program host_connect multipath
remove_target
check "native multipath is switched off" without_multipath
make_target
check_program host_connect single
remove_target
