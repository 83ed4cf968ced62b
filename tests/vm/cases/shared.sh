#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Volumes that share a subsystem, as those of many arrays do: one connection, left by the last of
# them; a namespace that hangs stands in the way of no other.
# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"

array_nqn=nqn.2001-04.com.example:array
array=/sys/kernel/config/nvmet/subsystems/$array_nqn
array_port=/sys/kernel/config/nvmet/ports/99
count=3

# The namespaces of the array: N is on a device of its own, which can be made to hang.
export_array() {
	local n
	mkdir "$array" "$array_port"
	ln -s "/sys/kernel/config/nvmet/hosts/$host_nqn" "$array/allowed_hosts/"
	for ((n = 1; n <= count; n++)); do
		truncate -s 256M "$pool_dir/disk$n"
		losetup "/dev/loop$n" "$pool_dir/disk$n"
		dmsetup create "disk$n" --table "0 524288 linear /dev/loop$n 0"
		dmsetup mknodes "disk$n"
		mkfs.ext4 -q -E nodiscard "/dev/mapper/disk$n"
		mkdir "$array/namespaces/$n"
		echo -n "/dev/mapper/disk$n" >"$array/namespaces/$n/device_path"
		echo 1 >"$array/namespaces/$n/enable"
	done
	echo tcp >"$array_port/addr_trtype"
	echo ipv4 >"$array_port/addr_adrfam"
	echo 127.0.0.3 >"$array_port/addr_traddr"
	echo 4420 >"$array_port/addr_trsvcid"
	ln -s "$array" "$array_port/subsystems/"
}

unexport_array() {
	local n
	rm "$array_port/subsystems/$array_nqn" "$array/allowed_hosts/$host_nqn"
	for ((n = 1; n <= count; n++)); do
		rmdir "$array/namespaces/$n"
		dmsetup remove "disk$n"
		losetup -d "/dev/loop$n"
		rm "$pool_dir/disk$n"
	done
	rmdir "$array_port" "$array" "/sys/kernel/config/nvmet/hosts/$host_nqn"
}

hang() { # N
	dmsetup suspend --noflush --nolockfs "disk$1"
}
unhang() { # N
	dmsetup resume "disk$1"
}

in_use() { # N: stage and publish
	stage "disk$1" && publish "disk$1" "pod$1"
}
given_back() { # N
	unpublish "disk$1" "pod$1" && unstage "disk$1"
}
# all COMMAND: of each volume at the same time, each by a client of its own; their results
all() {
	local n result=0 running=()
	for ((n = 1; n <= count; n++)); do
		hurried "5${n}s" "$1" "$n" >"/run/all-$n" 2>&1 &
		running+=($!)
	done
	for n in "${running[@]}"; do
		wait "$n" || result=1
	done
	cat /run/all-*
	return $result
}

modprobe -a loop dm_mod
start_driver
for ((n = 1; n <= count; n++)); do
	open_client "$node_socket" "5${n}s"
	volume_contexts[disk$n]="{\"nqn\":\"$array_nqn\",\"portals\":\"tcp://127.0.0.3:4420\",\"nsid\":\"$n\"}"
	publish_contexts[disk$n]="{}"
done
open_client "$node_socket" 3s
mkdir "/sys/kernel/config/nvmet/hosts/$host_nqn"
export_array
defer unexport_array

check "all are staged and published at once" all in_use
check "by one connection" [ "$(controllers)" = 1 ]
# Whichever is the last one takes the connection along.
come_and_go() { # TIMES
	local i
	for ((i = 0; i < $1; i++)); do
		all in_use && all given_back || return
		[ "$(controllers)" = 0 ] || { echo "round $i: still connected"; return 1; }
		[ -z "$(ls "$state_dir/volumes")" ] || { echo "round $i: still on record"; return 1; }
	done
}
check "all are given back at once" all given_back
check "nothing is connected, or on record" \
	eval '[ "$(controllers)" = 0 ] && [ -z "$(ls "$state_dir/volumes")" ]'
check "ten times" come_and_go 10

hang 1
check "a stage whose device hangs is told so" wait_for 60 \
	refuses DEADLINE_EXCEEDED "stage of volume .*disk1.* for [0-9.]+ s now; it goes on" hurried 3s stage disk1
check "another volume of the subsystem is staged meanwhile" within 3000 stage disk2
check "it is published" within 2000 publish disk2 pod2
check "and written" sh -c "echo data >'$(pod pod2)/file' && sync '$(pod pod2)/file'"
check "its statistics come" within 2000 node NodeGetVolumeStats \
	"{\"volume_id\":\"disk2\",\"volume_path\":\"$(pod pod2)\"}"
check "it is unpublished" within 2000 unpublish disk2 pod2
check "and unstaged" within 3000 unstage disk2
check "which leaves the connection to the one that hangs" [ "$(controllers)" = 1 ]
check "the first one still hangs" refuses ABORTED "busy with the stage of volume .*disk1" unstage disk1
unhang 1
check "and is staged in the end" stage disk1
check "nothing was lost" eval 'in_use 2 && grep -q data "$(pod pod2)/file"'
check "all is given back" eval 'unstage disk1 && given_back 2'
check "nothing is connected" [ "$(controllers)" = 0 ]
