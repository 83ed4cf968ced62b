#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How full and how well volumes are, and that asking about one that hangs holds nobody up: stats and
# health against what the kernel says, lost portals, file systems that erred, devices that went.
# timeout: 900
# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"
mib=1048576

# The target has a second portal, which can be cut off.
far=127.0.0.2
start_driver
modprobe nf_tables

live() { # TIMES: so many controllers are
	[ "$(grep -lx live /sys/class/nvme/*/state | wc -l)" = "$1" ]
}

stats() { # VOLUME PATH
	node NodeGetVolumeStats "{\"volume_id\":\"$1\",\"volume_path\":\"$2\"}"
}
figures() { # VOLUME PATH: "UNIT TOTAL USED AVAILABLE", a line for each unit
	stats "$@" | jq -r '.usage[] | "\(.unit) \(.total) \(.used // 0) \(.available // 0)"'
}
kernel_figures() { # PATH [bytes]: the same by statfs
	stat -fc '%b %f %a %S %c %d' "$1" | awk -v only="${2:-}" '{
		printf "BYTES %d %d %d\n", $1 * $4, ($1 - $2) * $4, $3 * $4
		if (!only) printf "INODES %d %d %d\n", $5, $5 - $6, $6 }'
}
same_figures() { # VOLUME PATH [bytes]
	local has want
	has=$(figures "$1" "$2") want=$(kernel_figures "$2" "${3:-}")
	echo "has: $has"
	echo "wants: $want"
	[ "$has" = "$want" ]
}
health() { # VOLUME [PATH]: "STATUS REASON" of each thing that is wrong
	local answer
	answer=$(node NodeGetVolumeHealth "{\"volume_id\":\"$1\",\"volume_publish_path\":\"${2:-}\"}") || return
	jq -r '.volume_health.health_statuses // [] | .[] | "\(.status) \(.reason)"' <<<"$answer"
}
storage_health() {
	local answer
	answer=$(node NodeGetStorageHealth) || return
	echo "# $answer" >&2
	jq -r '.backend_health // [] | .[] | "\(.status) \(.reason)"' <<<"$answer"
}
is_health() { # TEXT VOLUME [PATH]
	local has
	has=$(health "${@:2}") || return
	echo "has: $has"
	[ "$has" = "$1" ]
}
is_storage_health() { # TEXT
	local has
	has=$(storage_health) || return
	echo "has: $has"
	[ "$has" = "$1" ]
}

# --- well -------------------------------------------------------------------------------------

check "nothing is wrong with the storage" is_storage_health ""
for fs in ext4 xfs btrfs; do
	cap=$(capability SINGLE_NODE_WRITER $fs)
	only=
	[ $fs != btrfs ] || only=bytes
	provision "well-$fs" $((512 * mib))
	publish "$volume" pod >/dev/null
	publish "$volume" reader true >/dev/null
	path=$(pod pod)
	check "$fs: the figures are the kernel's" same_figures "$volume" "$path" $only
	head -c $((16 * mib)) /dev/urandom >"$path/file"
	sync -f "$path/file"
	check "$fs: they follow what is written" same_figures "$volume" "$path" $only
	used=$(figures "$volume" "$path" | awk '/BYTES/ { print $3 }')
	check "$fs: 16 MiB and more are used" [ "$used" -ge $((16 * mib)) ]
	check "$fs: a pod that reads sees the same" same_figures "$volume" "$(pod reader)" $only
	check "$fs: so does the staging path" eval '[ "$(figures "$volume" "$(staging "$volume")")" = \
		"$(kernel_figures "$(staged "$volume")" $only)" ]'
	check "$fs: nothing is wrong, asked by path" is_health "" "$volume" "$(pod reader)"
	check "$fs: nothing is wrong, asked by volume" is_health "" "$volume"
	check "$fs: at a path without it, it is not found" refuses NOT_FOUND "no mount is there" \
		stats "$volume" "$kubelet_dir/pods"
	check "$fs: nor at one with something else" refuses NOT_FOUND "not of volume" \
		stats "$volume" "$pool_dir"
	unpublish "$volume" reader >/dev/null
	unpublish "$volume" pod >/dev/null
	check "$fs: nor where it was" refuses NOT_FOUND "no mount is there" stats "$volume" "$path"
	retire "$volume"
	check "$fs: nor is it well where it is no more" refuses NOT_FOUND "not staged on this node" \
		health "$volume"
done
cap=$(capability SINGLE_NODE_WRITER block)
provision raw $((64 * mib))
publish "$volume" pod >/dev/null
check "raw: the size is told" [ "$(figures "$volume" "$(pod pod)")" = "BYTES $((64 * mib)) 0 0" ]
check "raw: at the staging path, too" \
	[ "$(figures "$volume" "$(staging "$volume")")" = "BYTES $((64 * mib)) 0 0" ]
check "raw: nothing is wrong" is_health "" "$volume" "$(pod pod)"
unpublish "$volume" pod >/dev/null
retire "$volume"
check "an unknown volume is not found" refuses NOT_FOUND "not staged on this node" stats nobody /nowhere

# --- lost portals -----------------------------------------------------------------------------

cap=$(capability SINGLE_NODE_WRITER)
provision both $((128 * mib))
both=$volume
publish "$both" both >/dev/null
# Volumes that are connected by one portal alone.
provision_via() { # ADDRESS NAME BYTES
	create "${@:2}" >/dev/null
	attach "$volume"
	via "$volume" "$1"
	stage "$volume" >/dev/null
	publish "$volume" "$2" >/dev/null
}
provision_via 127.0.0.1 near $((128 * mib))
near=$volume
provision_via $far hung $((128 * mib))
hung=$volume
provision_via $far stuck $((128 * mib))
stuck=$volume
# The least of many: what the node takes, and not what else this machine does. No program runs here.
best_us() { # VOLUME PATH: stats and health
	local i best_us=1000000000 begun_us took_us
	for i in {1..40}; do
		begun_us=${EPOCHREALTIME/./}
		stats "$@" >/dev/null
		node NodeGetVolumeHealth "{\"volume_id\":\"$1\",\"volume_publish_path\":\"$2\"}" >/dev/null
		took_us=$((${EPOCHREALTIME/./} - begun_us))
		((took_us >= best_us)) || best_us=$took_us
	done
	echo $best_us
}
check "two portals: nothing is wrong" is_health "" "$both"
# All that has to be waited for is in one cut, in which nothing but time passes for whoever hangs.
echo 600 >/proc/sys/kernel/hung_task_timeout_secs
open_client "$node_socket" 3s
usual_us=$(best_us "$near" "$(pod near)")
dd if=/dev/urandom of="$(pod hung)/file" bs=1M count=8 status=none
dd if=/dev/urandom of="$(pod stuck)/file" bs=1M count=4 status=none
cut_far
dd if=/dev/urandom of="$(pod hung)/file" bs=1M count=8 conv=fsync status=none &
writer=$!
check "cut, not noticed yet: stats are told" within 5500 stats "$hung" "$(pod hung)"
check "cut, not noticed yet: health is told" within 5500 health "$hung"
wait_for 30 live 2
check "cut: stats of the hung one are told" within 5500 stats "$hung" "$(pod hung)"
# Its root directory is in no cache: whoever looks for a name there hangs.
echo 3 >/proc/sys/vm/drop_caches
check "cut, nothing cached: stats of the hung one are told" within 5500 stats "$hung" "$(pod hung)"
check "cut: there is no path" within 5500 is_health "INACCESSIBLE NoPath" "$hung" "$(pod hung)"
check "cut: of two portals one is lost" within 5500 is_health "DEGRADED PathLost" "$both"
check "cut: with the other portal all is well" is_health "" "$near"
beside_us=$(best_us "$near" "$(pod near)")
note "stats and health of another volume: $usual_us us, beside the hung one $beside_us us"
# What the machine below did passes, what the hung device does stays.
as_usual() {
	local now_us
	((beside_us * 10 > usual_us * 12)) || return 0
	now_us=$(best_us "$near" "$(pod near)")
	((now_us >= beside_us)) || beside_us=$now_us
	echo "$beside_us us, usual are $usual_us us"
	return 1
}
check "cut: another volume takes its usual time" wait_for 60 as_usual
check "cut: the storage has lost connections" within 5500 \
	is_storage_health "STORAGE_DEGRADED ConnectionsLost"

# An unmount that hangs.
unpublish "$stuck" stuck >/dev/null
check "stuck: an unstage hangs" wait_for 60 \
	refuses DEADLINE_EXCEEDED "umount" hurried 3s unstage "$stuck"
check "stuck: stats of it are told" within 5500 eval 'stats "$stuck" "$(staging "$stuck")" || true'
check "stuck: health of it is told" within 5500 eval 'health "$stuck" || true'

check "cut: an expansion says that the target cannot be asked" \
	refuses UNAVAILABLE "cannot be asked" node NodeExpandVolume "{\"volume_id\":\"$hung\",
		\"volume_path\":\"$(pod hung)\",\"capacity_range\":{\"required_bytes\":$((256 * mib))}}"

# File systems that erred, meanwhile.
echo "told by the test" >"/sys/fs/ext4/$(device_of "$near")/trigger_fs_error"
check "ext4 that noted an error is degraded" is_health "DEGRADED FileSystemErrors" "$near" "$(pod near)"
check "its stats are told" same_figures "$near" "$(pod near)"
unpublish "$near" near >/dev/null
retire "$near"

cap=$(capability SINGLE_NODE_WRITER xfs)
provision_via 127.0.0.1 shut $((320 * mib))
shut=$volume
xfs_io -x -c shutdown "$(pod shut)"
check "an xfs that was shut down is inaccessible" is_health "INACCESSIBLE FileSystemStopped" "$shut"
unpublish "$shut" shut >/dev/null
retire "$shut"
cap=$(capability SINGLE_NODE_WRITER)

wait_for 90 eval '[[ $(storage_health 2>/dev/null) == *OperationsStuck* ]]'
check "stuck: the storage's health says what" eval \
	'node NodeGetStorageHealth | grep "1 operations do not get on: the unstage of volume .*umount"'
nft delete table inet cut
wait_for 30 unstage "$stuck" >/dev/null
wait_for 30 live 3
wait $writer
check "rejoined: nothing is wrong" eval 'is_health "" "$hung" && is_health "" "$both" && is_storage_health ""'
detach "$stuck" >/dev/null
delete "$stuck" >/dev/null
unpublish "$hung" hung >/dev/null
retire "$hung"

# --- devices that went ------------------------------------------------------------------------

# As long as one path is there the node may connect the other again.
device=$(device_of "$both")
is_unplugged() {
	local dir
	for dir in /sys/class/nvme/nvme*; do
		[ ! -e "$dir" ] || echo 1 >"$dir/delete_controller" || true
	done 2>/dev/null
	[ ! -e "/sys/block/$device" ]
}
wait_for 30 is_unplugged
check "a device that went is inaccessible" is_health "INACCESSIBLE DeviceGone" "$both" "$(pod both)"
check "its stats are refused" refuses FAILED_PRECONDITION "is gone" stats "$both" "$(pod both)"
check "it does not grow" refuses FAILED_PRECONDITION "is gone" node NodeExpandVolume \
	"{\"volume_id\":\"$both\",\"volume_path\":\"$(pod both)\"}"
unpublish "$both" both >/dev/null
unstage "$both" >/dev/null

# --- another identity -------------------------------------------------------------------------

stage "$both" >/dev/null
stop node
echo "nqn.2014-08.io.example:uuid:${host_nqn##*:}" >/run/hostnqn
NVMEOT_HOST_NQN_FILE=/run/hostnqn start_node
check "a host ID under two names cannot connect" \
	eval '[[ $(storage_health) == *"STORAGE_UNREACHABLE IdentityConflict"* ]]'
stop node
start_node
check "with its own name it can" is_storage_health ""
retire "$both"

# --- a file system that does not answer -------------------------------------------------------

# No kernel's statfs waits for a device, so one that does is put before it, at the gate.
gate=/run/gate
cat >/run/slow.c <<END
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/vfs.h>
#include <unistd.h>
static void wait_at_gate(void)
{
	int fd = open("$gate", O_RDONLY);
	char byte;
	if (fd >= 0 && read(fd, &byte, 1) >= 0)
		close(fd);
}
int statfs(const char *path, struct statfs *ret)
{
	wait_at_gate();
	return ((int (*)(const char *, struct statfs *))dlsym(RTLD_NEXT, "statfs"))(path, ret);
}
int fstatfs(int fd, struct statfs *ret)
{
	wait_at_gate();
	return ((int (*)(int, struct statfs *))dlsym(RTLD_NEXT, "fstatfs"))(fd, ret);
}
END
gcc -shared -fPIC -o /run/slow.so /run/slow.c
stop node
log_level=debug LD_PRELOAD=/run/slow.so start_node
begun() { # TIMES: so many calls for stats have
	[ "$(grep -c "call begins.*NodeGetVolumeStats" "$run_dir/node.log" || true)" = "$1" ]
}
threads() {
	find "/proc/${pids[node]}/task" -mindepth 1 -maxdepth 1 | wc -l
}
provision slow $((128 * mib))
publish "$volume" slow >/dev/null
path=$(pod slow)
stats "$volume" "$path" >/dev/null
before=$(threads)
mkfifo $gate
check "no answer: stats say so in time" within 10000 \
	refuses DEADLINE_EXCEEDED "usage of volume.*statfs /" stats "$volume" "$path"
check "no answer: health has it in time" within 10000 \
	is_health "INACCESSIBLE FileSystemHangs" "$volume" "$path"
stats "$volume" "$path" >/dev/null 2>&1 || true
health "$volume" "$path" >/dev/null
check "no answer: asking again takes no more threads" test "$(threads)" -le $((before + 2))
check "no answer: the volume's own operations go on" eval \
	'publish "$volume" more && unpublish "$volume" more'
stats "$volume" "$path" >/run/joined 2>&1 &
joined=$!
wait_for 5 begun 4
exec {gate_fd}<>$gate
echo go >&$gate_fd
rm $gate
exec {gate_fd}>&-
result=0
wait $joined || result=$?
check "an answer: who waits for it gets it" eval 'cat /run/joined; [ $result = 0 ]'
check "an answer: it was the one that the first call had asked for" \
	not grep -q "done after its callers had left.*usage of volume" "$run_dir/node.log"
check "an answer: all is well" is_health "" "$volume" "$path"
unpublish "$volume" slow >/dev/null
retire "$volume"
