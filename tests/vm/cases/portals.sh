#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Portals that are down, that drop SYNs, that accept and stay silent, that turn the host away: what a
# stage says of them, what it costs other volumes, and how a missing path comes back. The cost is
# compared over few rounds; ROUNDS=9 takes a minute longer.
# timeout: 600
# expect-kernel: nvmet: connect request for invalid subsystem
# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"

# The target has a second portal, which fares badly.
near=127.0.0.1 far=127.0.0.2
nvmet=/sys/kernel/config/nvmet

far_is() { # refusing|dropping|silent|well
	nft delete table inet far 2>/dev/null || true
	case $1 in
	refusing) rule="ip daddr $far tcp dport 4420 reject with tcp reset" ;;
	dropping) rule="ip daddr $far tcp dport 4420 drop" ;;
	# The handshake is made, and no data arrives.
	silent) rule="ip daddr $far tcp dport 4420 tcp flags & psh == psh drop" ;;
	well) return ;;
	esac
	nft -f - <<-END
	table inet far {
		chain in {
			type filter hook input priority 0
			$rule
		}
	}
	END
}
beside() { # COMMAND...: calls of the node on a connection of their own
	local node_socket="$node_socket 30s"
	"$@"
}

# paths VOLUME: the directories of its controllers
paths() {
	local dir
	for dir in /sys/class/nvme-subsystem/*; do
		[ "$(cat "$dir/subsysnqn" 2>/dev/null)" = "nqn.2026-11.io.nvmeot:$(uuid_of "$1")" ] ||
			continue
		find "$dir/" -maxdepth 1 -regex '.*/nvme[0-9]+'
	done
}
far_path() { # VOLUME
	local dir
	for dir in $(paths "$1"); do
		! grep -qs "traddr=$far," "$dir/address" || echo "$dir"
	done
}
is_alone() {
	[ -z "$(far_path "$1")" ]
}
is_whole() {
	local dir
	[ "$(paths "$1" | wc -l)" = 2 ] || return
	for dir in $(paths "$1"); do
		[ "$(cat "$dir/state")" = live ] || return
	done
}
lose_far() { # VOLUME: the kernel gives its second path up
	far_is dropping
	echo 1 >"$(far_path "$1")/ctrl_loss_tmo"
	wait_for 30 is_alone "$1"
}

modprobe -a nf_tables nft_reject_inet
start_driver
open_client "$node_socket" 30s

# --- paths that come back ---------------------------------------------------------------------

far_is refusing
create both 268435456 '{"queueSize":"64","reconnectDelay":"1","keepAliveTmo":"2"}' >/dev/null
both=$volume
attach "$both"
check "refusing portal: the stage works by the other one" within 10000 stage "$both"
check "refusing portal: the log names it" \
	grep -q "not all portals are connected.*tcp://$far:4420: TCP connection refused" "$run_dir/node.log"
check "refusing portal: it is missing" is_alone "$both"
publish "$both" pod >/dev/null
far_is well
check "refusing portal: it is connected once it is up" wait_for 40 is_whole "$both"
check "refusing portal: with the parameters of the stage" \
	grep -qx 63 "$(far_path "$both")/sqsize"

lose_far "$both"
check "lost path: the volume is used on" sh -c "echo a >'$(pod pod)/file' && sync '$(pod pod)/file'"
far_is well
begun_ms=$(now_ms)
check "lost path: it comes back" wait_for 40 is_whole "$both"
note "the path was back after $(($(now_ms) - begun_ms)) ms"

lose_far "$both"
stop node
check "restarted node: the mounts and the other path stayed" \
	eval 'mountpoint -q "$(pod pod)" && [ "$(paths "$both" | wc -l)" = 1 ]'
far_is well
start_node
check "restarted node: the path comes back" wait_for 20 is_whole "$both"

# --- turned away ------------------------------------------------------------------------------

requests() { # refused by the target
	dmesg | grep -c "connect request for invalid subsystem" || true
}
turned_away() {
	grep -c "turns this host away" "$run_dir/node.log" || true
}
if [ "$KERNEL" != 6.1 ]; then # 6.1 goes on by itself
	create other 67108864 >/dev/null # so that somebody listens at the portal
	other=$volume
	attach "$other"
	far_port=$(dirname "$(grep -lx "$far" $nvmet/ports/*/addr_traddr)")
	link=$(find "$far_port/subsystems" -name "*$(uuid_of "$both")")
	before=$(turned_away)
	rm "$link"
	check "turned away: the kernel removes the path" wait_for 30 is_alone "$both"
	is_told() { [ "$(turned_away)" -gt "$before" ]; }
	check "turned away: the log says so" wait_for 20 is_told
	after=$(requests)
	check "turned away: the device stays" [ -n "$(device_of "$both")" ]
	sleep 5
	check "turned away: nobody asks again and again" \
		test "$after" -gt 0 -a "$(requests)" = "$after"
	check "turned away: it is logged once" [ "$(turned_away)" = $((before + 1)) ]
	ln -s "$nvmet/subsystems/nqn.2026-11.io.nvmeot:$(uuid_of "$both")" "$link"
	stop node
	start_node
	check "let in again: the path comes back" wait_for 20 is_whole "$both"

	via "$other" $near
	stage "$other" >/dev/null
	rm "$(dirname "$(grep -lx $near $nvmet/ports/*/addr_traddr)")/subsystems/"*"$(uuid_of "$other")"
	check "turned away by its only portal: the log says that the device is gone" wait_for 30 \
		grep -q "all paths of a staged volume are gone.*$(uuid_of "$other")" "$run_dir/node.log"
	check "turned away by its only portal: it is unstaged" unstage "$other"
	detach "$other" >/dev/null
	delete "$other" >/dev/null
fi
unpublish "$both" pod >/dev/null
retire "$both"
check "nothing is connected again after the unstage" [ "$(controllers)" = 0 ]

# --- what bad portals cost --------------------------------------------------------------------

create usual 268435456 >/dev/null
usual=$volume
attach "$usual"
via "$usual" $near
create bad 268435456 >/dev/null
bad=$volume
attach "$bad"
with_both=${publish_contexts[$bad]}
# So that no mkfs is in what is measured.
via "$bad" $near
stage "$bad" >/dev/null && unstage "$bad" >/dev/null
calls_done() { # those of the other volume: the bad one's do not succeed
	grep -oE "Node(Stage|Unstage)Volume code=OK ms=[0-9]+" "$run_dir/node.log"
}
# round KIND: what a stage and an unstage take by the node's own clock, beside a stage through such a
# portal
round() {
	local before
	far_is "$1"
	before=$(calls_done | wc -l)
	beside stage "$bad" >/dev/null 2>&1 &
	stage "$usual" >/dev/null && unstage "$usual" >/dev/null || return
	wait $! || true
	both_told() { [ "$(calls_done | wc -l)" = $((before + 2)) ]; }
	wait_for 10 both_told || return
	calls_done | tail -n 2 | awk -F= '{ ms += $NF } END { print ms }'
}
sorted() {
	printf '%s\n' "$@" | sort -n | paste -sd ' '
}
middle() { # NUMBER..., sorted
	local numbers=("$@")
	echo "${numbers[$# / 2]}"
}
# compare KIND: sets quick_ms and slow_ms to the times of as many rounds each, the shortest first. Both
# do the same work, and take turns, so that what else the machine does befalls both.
compare() {
	local i ms quick=() slow=()
	for ((i = 0; i < ${ROUNDS:-3}; i++)); do
		ms=$(round refusing)
		quick+=("$ms")
		ms=$(round "$1")
		slow+=("$ms")
	done
	quick_ms=$(sorted "${quick[@]}")
	slow_ms=$(sorted "${slow[@]}")
}
via "$bad" $far
round refusing >/dev/null
for kind in dropping silent; do
	reason="no answer to TCP connections"
	[ $kind = dropping ] || reason="accepts the connection and stays silent"
	via "$bad" $far
	far_is $kind
	check "$kind portal: the stage says which, and why" within 6000 \
		refuses UNAVAILABLE "tcp://$far:4420: .*$reason" stage "$bad"
	note "$kind portal: the stage $(cat /run/took)"
	compare $kind
	note "stage and unstage beside stages through a portal that refuses at once: $quick_ms ms"
	note "beside stages through a $kind portal: $slow_ms ms"
	# One that waited for the kernel's connects would wait for 3 s, or for 10 s.
	check "$kind portal: it delays another volume by less than 2 s, the middle ones of both compared" \
		test $(($(middle $slow_ms) - $(middle $quick_ms))) -lt 2000
	publish_contexts[$bad]=$with_both
	check "$kind portal: with a good one beside it the stage works" within 6000 stage "$bad"
	note "$kind portal beside a good one: the stage $(cat /run/took)"
	check "$kind portal: the good one is connected" is_alone "$bad"
	far_is well
	check "$kind portal: it is connected once it is well" wait_for 60 is_whole "$bad"
	unstage "$bad" >/dev/null
done
for volume in "$usual" "$bad"; do
	detach "$volume" >/dev/null
	delete "$volume" >/dev/null
done
check "nothing is left" [ "$(controllers)" = 0 ]
