#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A group of snapshots is of one moment: a writer that writes to one volume what relies on what it has
# written to another one is never found with the later write and without the earlier. Some groups; with
# ROUNDS=50 as many as take three minutes.
# timeout: 900
# cpus: 2
# shellcheck source=tests/vm/guest/snapshots.sh
. "$NVMEOT_SRC/tests/vm/guest/snapshots.sh"
start_target

rounds=${ROUNDS:-12}
for volume in A B; do
	make_volume $volume 16777216 >/dev/null
	attach $volume
	declare "device_$volume=$device"
done
# shellcheck disable=SC2154
start_order "$device_A" "$device_B"
check "the writer counts in two volumes" order_goes_on

# Without a pause between the two copies lies whatever comes in: this would find what it looks for.
unpaused() {
	local i least
	for ((i = 0; i < 40; i++)); do
		least=$(ordered)
		cp --reflink=always "$(image A)" "$pool_dir/a" && cp --reflink=always "$(image B)" "$pool_dir/b"
		in_order "$pool_dir/a" "$pool_dir/b" "$least" || { rm "$pool_dir"/[ab]; return 1; }
	done
	rm "$pool_dir"/[ab]
}
check "two copies by themselves are not of one moment" not unpaused

# Again when this slow machine took longer than hosts may be kept waiting, as a CO does.
take_group() {
	local i
	for ((i = 0; i < 10; i++)); do
		! take "$@" >/run/taken 2>&1 || return 0
		grep -q "^UNAVAILABLE: .*could not be copied within" /run/taken || break
		echo late >>/run/late
	done
	cat /run/taken
	return 1
}

grouped() {
	local least took_ms worst_ms=0 i
	for ((i = 1; i <= rounds; i++)); do
		least=$(ordered)
		took_ms=$(now_ms)
		take_group "a$i" A "b$i" B || return
		took_ms=$(($(now_ms) - took_ms))
		((took_ms <= worst_ms)) || worst_ms=$took_ms
		in_order "$(image "a$i")" "$(image "b$i")" "$least" || return
		drop "a$i" && drop "b$i" >/dev/null || return
	done
	echo "$rounds groups, the slowest took $worst_ms ms; $(wc -l </run/late) were too late" >/run/grouped
}
: >/run/late
check "over $rounds groups the second volume is never ahead of the first" grouped
note "$(cat /run/grouped)"
check "the writer goes on" order_goes_on
check "nothing is left of the pause" not nft list table inet nvmeot_pause

# A killed agent leaves no cut network: the kernel ends the pause.
nft -f - <<-END
	table inet nvmeot_pause {
		set portals4 {
			type ipv4_addr . inet_service; flags timeout;
			elements = { 127.0.0.1 . 4420 timeout 2s }
		}
		chain input {
			type filter hook input priority -310; policy accept;
			ip daddr . tcp dport @portals4 drop
		}
	}
END
check "the writer goes on after a pause that nobody ends" order_goes_on
take_group a0 A b0 B
check "the next group does not mind its table" in_order "$(image a0)" "$(image b0)" 0
check "and takes it away" not nft list table inet nvmeot_pause
stop_order

# All or none: one of the volumes is not there.
check "a group with a volume that is not there is refused" \
	refuses NOT_FOUND "$(id_of C)" take a9 A c9 C
check "and nothing of it is left" [ "$(snapshots)" = "a0 b0" ]
for volume in A B; do
	detach $volume
	delete_volume $volume >/dev/null
done
check "a group outlives its volumes" [ "$(snapshots)" = "a0 b0" ]
drop a0 >/dev/null
drop b0 >/dev/null
check "nothing is left in the pool" [ -z "$(find "$pool_dir" -name '*.img*' -o -name '*.json')" ]
