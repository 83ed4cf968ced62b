#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a node finds at its start, after having been killed at a bad moment or with things taken away
# meanwhile: it adopts what is used, ends what was begun, and leaves alone what it cannot know.
# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"

nvmet=/sys/kernel/config/nvmet
foreign=nqn.2014-08.org.example:array

# While the gate is there, the node's mkfs.ext4 waits at it, and has not opened the device yet.
gate=/run/gate
mkdir /run/programs
cat >/run/programs/mkfs.ext4 <<END
#!/bin/bash
[ ! -p $gate ] || { : >/run/at-gate; read -r _ <>$gate; }
exec $(command -v mkfs.ext4) "\$@"
END
chmod +x /run/programs/mkfs.ext4
PATH=/run/programs:$PATH
start_driver
open_client "$node_socket" 2s

private() { # VOLUME
	echo "$state_dir/mnt/$(uuid_of "$1")"
}
restart_node() { # and forget what it said
	[ -z "${pids[node]:-}" ] || stop node KILL
	: >"$run_dir/node.log"
	start_node
}
says() { # REGEX
	grep "$1" "$run_dir/node.log"
}
records() {
	find "$state_dir/volumes" -name '*.json' | wc -l
}
take_away() { # VOLUME: its mounts and its record
	umount "$(staged "$1")" "$(private "$1")"
	rm "$state_dir"/volumes/*.json
}

is_apart() { # PID: it has mounts of its own
	[ "$(readlink /proc/$$/ns/mnt)" != "$(readlink "/proc/$1/ns/mnt")" ]
}

provision used
publish "$volume" pod >/dev/null
used=$volume
restart_node
check "a volume in use is adopted" says "volume adopted.*$used"
check "it is used on" touch "$(pod pod)/file"
umount "$(staged "$used")"
restart_node
check "so is one whose staging bind is gone" says "volume adopted.*$used"
check "it is used on, too" touch "$(pod pod)/file"
stage "$used" >/dev/null
unpublish "$used" pod >/dev/null
retire "$used"

create begun 268435456 >/dev/null
begun=$volume
attach "$begun"
mkfifo $gate
(node_socket="$node_socket 2s"; stage "$begun" >/dev/null 2>&1) || true
check "a stage is cut short before its mkfs" wait_for 30 test -e /run/at-gate
stop node KILL
kill "$(pgrep -f '^/bin/bash /run/programs/mkfs.ext4')"
rm $gate
restart_node
check "a stage that was cut short is let go of" says "volume let go of.*$begun"
check "nothing of it is left" [ "$(controllers)/$(records)" = 0/0 ]
check "it can be staged" stage "$begun"

take_away "$begun"
restart_node
check "a connection that nobody uses ends" says "connection without a record.*$(uuid_of "$begun")"
check "nothing of it is left" [ "$(controllers)" = 0 ]

stage "$begun" >/dev/null
unshare --mount sleep 1000 &
holder=$!
wait_for 10 is_apart $holder
take_away "$begun"
restart_node
check "a device that is mounted elsewhere is left" says "left: its device is in use"
check "it stays connected" [ "$(controllers)" = 1 ]
superblock=/sys/fs/ext4/$(device_of "$begun")
kill $holder
wait $holder || true
wait_for 10 not test -e "$superblock"
restart_node
check "when it is not any more, its connection ends" [ "$(controllers)" = 0 ]

stage "$begun" >/dev/null
rm "$state_dir"/volumes/*.json
restart_node
check "a mount without a record is left, and told" says "mount without a record left.*$(private "$begun")"
check "it is unstaged" unstage "$begun"

stage "$begun" >/dev/null
stop node KILL
umount "$(staged "$begun")" "$(private "$begun")"
for dir in /sys/class/nvme/nvme*; do echo 1 >"$dir/delete_controller"; done
restart_node
check "after a reboot a record of nothing goes" [ "$(records)" = 0 ]

mkdir "$nvmet/subsystems/$foreign"
echo 1 >"$nvmet/subsystems/$foreign/attr_allow_any_host"
ln -s "$nvmet/subsystems/$foreign" "$(find $nvmet/ports -mindepth 1 -maxdepth 1)/subsystems/"
echo "transport=tcp,traddr=127.0.0.1,trsvcid=4420,nqn=$foreign,hostnqn=$host_nqn,hostid=${host_nqn##*:}" \
	>/dev/nvme-fabrics
restart_node
check "a foreign connection as our host is left alone" [ "$(controllers)" = 1 ]
echo 1 | tee /sys/class/nvme/nvme*/delete_controller >/dev/null
rm "$nvmet"/ports/*/subsystems/"$foreign"
rmdir "$nvmet/subsystems/$foreign"
detach "$begun" >/dev/null
delete "$begun" >/dev/null
check "nothing is left" [ "$(controllers)" = 0 ]
