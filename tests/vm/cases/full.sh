#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Pools that others have filled to the last byte: volumes can still be unexported and deleted, on a
# pool of each kind, while somebody takes all space that comes back; and what becomes of the records
# of thin volumes when their file system has met an I/O error.
# timeout: 900
# expect-kernel: (Buffer )?I/O error

# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"
# shellcheck source=tests/vm/guest/thin_pool.sh
. "$NVMEOT_SRC/tests/vm/guest/thin_pool.sh"

target=nvmeot.target.v1.Target
host=nqn.2014-08.org.nvmexpress:uuid:aaaaaaaa-0000-4000-8000-000000000001
lvm_dir=$run_dir/vg/pool-tp

uuid_of() { # POOL NUMBER
	echo "5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c$2a${1#p}1"
}

call() { # METHOD POOL NUMBER [FIELDS]
	rpc "$agent_address" $target "$1" \
		"{\"target_id\":\"t1\",\"uuid\":\"$(uuid_of "$2" "$3")\",\"pool\":\"$2\"${4:+,$4}}"
}

create_one() {
	call CreateVolume "$1" "$2" \
		'"name":"full","size_bytes":8388608,"write_cache":"WRITE_CACHE_VOLATILE"'
}

export_one() {
	call Export "$1" "$2" "\"host_nqn\":\"$host\",\"mode\":\"ACCESS_MODE_SINGLE_NODE\""
}

warnings() {
	rpc "$agent_address" $target GetInfo | jq -r ".pools[] | select(.name==\"$1\").warnings[]?"
}

make_pools() {
	truncate -s 96M /run/dir.img
	mkfs.ext4 -q -m 0 /run/dir.img
	mkdir -p "$pool_dir"
	mount -o loop /run/dir.img "$pool_dir"
	defer umount "$pool_dir"
	make_thin_pool
}

start_both() {
	start agent nvmeot-target --name=t1 --listen="$agent_address" --insecure \
		--portal="$portal" --pool="p1=dir:$pool_dir" --pool=p2=lvm:vg/tp
	wait_for 60 answers "$agent_address" $target GetInfo || no_start agent
}

# Until there is no space, and each time that some comes back.
thief() {
	local files=0

	while [ ! -e /run/stop-thief ]; do
		dd if=/dev/zero of="$pool_dir/others-$files" bs=4k status=none 2>/dev/null || true
		files=$((files + 1))
		read -r -t 0.05 <&"$never" || true
	done
}

# By itself: one that is killed may leave a dd behind that has yet to begin.
end_thief() {
	touch /run/stop-thief
	wait "$thief_pid"
}

no_space_left() {
	(($(stat -f -c %a "$pool_dir") == 0))
}

fill_thin_pool() {
	lvm lvcreate "${quiet[@]}" -q -y -n others -V 1G --thinpool tp vg
	! dd if=/dev/zero of=/dev/vg/others bs=1M oflag=direct status=none
}

spares() {
	find "$1" -name 'nvmeot-spare-*' | wc -l
}

volumes_of() { # POOL
	rpc "$agent_address" $target ListVolumes | jq "[.volumes[]? | select(.pool == \"$1\")] | length"
}

all_go() { # POOL
	check "$1: two volumes are there" eval "[[ \$(volumes_of $1) == 2 ]]"
	check "$1: the exported one is unexported" call Unexport "$1" 1 "\"host_nqn\":\"$host\""
	check "$1: and no host is left" eval "[[ \$(call GetVolume $1 1 | jq '.volume.exports') \
		=~ ^(null|\[\])\$ ]]"
	check "$1: it is deleted" call DeleteVolume "$1" 1
	check "$1: so is another one" call DeleteVolume "$1" 2
	check "$1: nothing is there" eval "[[ \$(volumes_of $1) == 0 ]]"
}

make_pools
defer stop_driver
open_client "$agent_address"
start_both
for pool in p1 p2; do
	for number in 1 2; do
		create_one "$pool" "$number" >/dev/null
	done
	export_one "$pool" 1 >/dev/null
done
check "there are spares in both" eval "(($(spares "$pool_dir") == 8 && $(spares "$lvm_dir") == 8))"
check "the thin volume of the records is allocated to its end" \
	[ "$(dmsetup status vg-nvmeot--records--tp | awk '{ print $4 * 512 }')" = $((256 << 20)) ]

mkfifo /run/never
exec {never}<>/run/never
thief &
thief_pid=$!
check "p1 is full" wait_for 60 no_space_left
all_go p1
end_thief
rm "$pool_dir"/others-*
# ext4 gives the blocks of removed files back when they are committed; what is written after that fills.
refilled() {
	create_one p1 3 && call DeleteVolume p1 3 || return
	echo "$(spares "$pool_dir") spares, $(stat -f -c %a "$pool_dir") blocks are free"
	[ "$(spares "$pool_dir")" = 8 ]
}
check "with space there are spares again" wait_for 60 refilled

check "p2 is full" fill_thin_pool
check "it says so" eval "warnings p2 | grep -E 'mode \"out_of_data_space\"|only 0 of'"
all_go p2
lvm lvremove "${quiet[@]}" -q -y vg/others

create_one p2 4 >/dev/null
export_one p2 4 >/dev/null
records=$(findmnt -n -o SOURCE "$lvm_dir")
echo 1 >"/sys/fs/ext4/$(basename "$(readlink -f "/sys/dev/block/$(stat -L -c '%Hr:%Lr' \
	"$records")")")/trigger_fs_error"
check "an I/O error among the records is said" eval \
	"warnings p2 | grep 'file system of the records had an I/O error'"
check "then no volume changes" refuses INTERNAL 'Read-only file system|Input/output error' \
	call Unexport p2 4 "\"host_nqn\":\"$host\""
stop agent KILL
start_both
check "an agent that is started anew mends it" eval '[[ -z $(warnings p2) ]]'
call Unexport p2 4 "\"host_nqn\":\"$host\"" >/dev/null
check "and volumes change" call DeleteVolume p2 4
