#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A node goes down while its target is dead: the hook of deploy/systemd makes the kernel give up
# soon, so that what waits for the target ends. Connections of others stay as they are.
# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"

hook=$NVMEOT_SRC/deploy/systemd/nvmeot-shutdown
nvmet=/sys/kernel/config/nvmet
foreign=nqn.2014-08.org.example:array

attribute_of() { # NQN ATTRIBUTE: of its controllers
	local dir
	for dir in /sys/class/nvme-subsystem/*; do
		[ "$(<"$dir/subsysnqn")" != "$1" ] || cat "$dir"/nvme*/"$2" 2>/dev/null || true
	done
}
connect_foreign() {
	mkdir "$nvmet/subsystems/$foreign"
	echo 1 >"$nvmet/subsystems/$foreign/attr_allow_any_host"
	ln -s "$nvmet/subsystems/$foreign" "$(find $nvmet/ports -mindepth 1 -maxdepth 1)/subsystems/"
	echo "transport=tcp,traddr=127.0.0.1,trsvcid=4420,nqn=$foreign,ctrl_loss_tmo=-1" \
		>/dev/nvme-fabrics
}
remove_foreign() {
	rm "$nvmet"/ports/*/subsystems/"$foreign"
	rmdir "$nvmet/subsystems/$foreign"
}
die() { # the target, as seen from here
	nft -f - <<-END
	table inet dead {
		chain in {
			type filter hook input priority 0
			tcp dport 4420 drop
			tcp sport 4420 drop
		}
	}
	END
}
lost() {
	[ "$(attribute_of "$nqn" state | grep connecting)" ]
}
gone() {
	[ "$(attribute_of "$nqn" transport)" = "" ]
}

modprobe nf_tables
start_driver
provision lasting
nqn=nqn.2026-11.io.nvmeot:$(uuid_of "$volume")
publish "$volume" pod >/dev/null
connect_foreign
check "by default a lost target is waited for without end" [ "$(attribute_of "$nqn" ctrl_loss_tmo)" = off ]
check "the hook is content with a target that is well" "$hook" 1
sleep 2
check "a connection that is well stays" sh -c "echo a >'$(pod pod)/file' && sync '$(pod pod)/file'"
mkdir -p /run/recorded/volumes
echo "{\"nqn\":\"$foreign\"}" >/run/recorded/volumes/static.json
check "a volume on record is ours, whosever its target is" eval \
	'NVMEOT_STATE_DIR=/run/recorded "$hook" && [ "$(attribute_of "$foreign" ctrl_loss_tmo)" != off ]'
echo -1 | tee /sys/class/nvme-subsystem/*/nvme*/ctrl_loss_tmo >/dev/null

stop node
die
echo lost >"$(pod pod)/file"
sync "$(pod pod)/file" 2>/dev/null &
writer=$!
wait_for 30 lost
check "with a dead target a writer waits" kill -0 $writer
begun_ms=$(now_ms)
check "the hook runs" "$hook"
check "what is not ours is left alone" [ "$(attribute_of "$foreign" ctrl_loss_tmo)" = off ]
wait $writer || true
check "the connection is given up" wait_for 60 gone
note "given up after $(($(now_ms) - begun_ms)) ms"
umount "$(pod pod)" "$(staged "$volume")" "$state_dir/mnt/$(uuid_of "$volume")"
took_ms=$(($(now_ms) - begun_ms))
note "all was unmounted after $took_ms ms"
check "the machine can go down within 30 s" test $took_ms -le 30000

nft delete table inet dead
for dir in /sys/class/nvme-subsystem/*; do
	[ "$(<"$dir/subsysnqn")" != "$foreign" ] || echo 1 | tee "$dir"/nvme*/delete_controller >/dev/null
done
remove_foreign
start_node
unpublish "$volume" pod >/dev/null
retire "$volume"
check "nothing is left" [ "$(controllers)" = 0 ]
