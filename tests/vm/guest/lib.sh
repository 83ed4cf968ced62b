# SPDX-License-Identifier: Apache-2.0
#
# Sourced by every case: named checks, cleanup in reverse order, a pool to export from, the kernel's
# multipath switched off. Cases of several guests run on the host, and have it from guests.sh.
# A plain command that fails ends the case (set -e); a failed check does not, but the case fails.
# shellcheck shell=bash
set -eEuo pipefail
# The case's own output, for what must be seen even from within a redirected command.
exec 3>&1

vm_check_output=${vm_check_output:-/run/vm-check}
vm_checks=0
vm_failed=0
vm_line=0
vm_deferred=()

note() {
	echo "# $*"
}

# fail TEXT...: ends the case.
fail() {
	echo "not ok - $*" >&3
	vm_failed=1
	exit 1
}

# check TEXT COMMAND...: one named check. COMMAND runs in a subshell (variables it sets are lost)
# with set -e, which bash switches off in conditions: so never write `if check` or `check ... ||`.
check() {
	local text=$1 status errexit=${-//[^e]/}
	shift
	vm_checks=$((vm_checks + 1))
	set +e
	(set -e; "$@") >"$vm_check_output" 2>&1
	status=$?
	[[ -z $errexit ]] || set -e
	if ((status == 0)); then
		echo "ok - $text"
		return
	fi
	echo "not ok - $text (status $status)"
	sed 's/^/# /' "$vm_check_output"
	vm_failed=1
}

# defer COMMAND...: runs it when the case ends, the last deferred first.
defer() {
	vm_deferred+=("${*@Q}")
}

# Milliseconds; for differences.
now_ms() {
	echo $((${EPOCHREALTIME/./} / 1000))
}

# wait_for SECONDS COMMAND...: until COMMAND succeeds; for what has no event to wait on.
wait_for() {
	local end_ms=$(($(now_ms) + $1 * 1000))
	shift
	until "$@"; do
		(($(now_ms) < end_ms)) || return 1
		sleep 0.05
	done
}

not() {
	! "$@"
}

# refuses CODE REGEX COMMAND...: it fails with "CODE: a message like this".
refuses() {
	local code=$1 regex=$2 out status=0
	shift 2
	out=$("$@" 2>&1) || status=$?
	echo "$out"
	[[ $status != 0 ]] && [[ $out == "$code: "* ]] && [[ $out =~ $regex ]]
}

# check_program PROGRAM ARGS...: its own report, line by line, and its verdict as the check. In a
# guest there is all that it could need: a test that it skips proves nothing.
check_program() {
	local status

	set +e
	"$NVMEOT_BUILD/tests/$1" "${@:2}" 2>&1 | tee /run/program | sed -u 's/^/# /'
	status=${PIPESTATUS[0]}
	set -e
	check "$*" test "$status" = 0
	check "$*: no test is skipped" not grep SKIPPED /run/program
}

# make_pool DIR SIZE: mounts a new xfs with reflink at DIR, on a sparse file in memory. It goes when
# the case ends, after everything deferred later.
make_pool() {
	local dir=$1 size=$2 image

	image=$(mktemp /run/pool.XXXXXX)
	defer rm "$image"
	truncate -s "$size" "$image"
	mkfs.xfs -q -m reflink=1 "$image"
	mkdir -p "$dir"
	mount -o loop "$image" "$dir"
	defer umount "$dir"
}

# Loads the NVMe modules anew, so that each path to a namespace is a device of its own.
without_multipath() {
	modprobe -r nvmet-tcp nvme-tcp
	modprobe -r nvmet nvme-fabrics
	modprobe -r nvme-core
	modprobe nvme-core multipath=N
	modprobe -a nvme-tcp nvmet-tcp
	[[ $(</sys/module/nvme_core/parameters/multipath) == N ]]
}

vm_finish() {
	local status=$? i

	trap - ERR
	set +e
	exec >&3 2>&3
	((status == 0 || vm_failed)) || echo "not ok - ended at line $vm_line with status $status"
	for ((i = ${#vm_deferred[@]} - 1; i >= 0; i--)); do
		eval "${vm_deferred[i]}" && continue
		echo "not ok - cleanup: ${vm_deferred[i]}"
		vm_failed=1
	done
	if ((status == 0 && vm_checks == 0)); then
		echo "not ok - the case checked nothing"
		vm_failed=1
	fi
	((status != 0)) || exit "$vm_failed"
}

trap 'vm_line=$LINENO' ERR
trap vm_finish EXIT
