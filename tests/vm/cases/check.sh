#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Existing file systems: checked before their mount and repaired if that is asked for, never below
# readers or a mount; and grown to their volume.
# timeout: 1500
# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"

# What e2fsck is called with.
e2fsck=$(command -v e2fsck)
mkdir /run/programs
cat >/run/programs/e2fsck <<END
#!/bin/bash
echo "\$@" >>/run/checks
exec $e2fsck "\$@"
END
chmod +x /run/programs/e2fsck
PATH=/run/programs:$PATH
start_driver

image() {
	echo "$pool_dir/$(uuid_of "$volume").img"
}
checks() { # what e2fsck was called with since it was asked last
	cat /run/checks 2>/dev/null || true
	rm -f /run/checks
}
pull_the_plug() {
	local file
	for file in /sys/class/nvme/nvme*/delete_controller; do echo 1 >"$file"; done
}
put_away() {
	unstage "$volume" >/dev/null
	detach "$volume" >/dev/null
}
# What e2fsck -p does not dare to correct: the root directory is lost.
spoil() {
	debugfs -w -R "clri <2>" "$(image)" >/dev/null 2>&1
	debugfs -w -R "set_super_value state 2" "$(image)" >/dev/null 2>&1
	sync "$(image)"
}
expand() { # BYTES
	controller ControllerExpandVolume "{\"volume_id\":\"$volume\",\"volume_capability\":$cap,
		\"capacity_range\":{\"required_bytes\":$1}}"
}
has_noise() { # DIRECTORY: some file below it has the content
	[ -n "$(find "$1" -type f -exec cmp -s {} /run/noise \; -print)" ]
}

cap=$(capability SINGLE_NODE_WRITER)
create checked 268435456 >/dev/null
attach "$volume"
stage "$volume" >/dev/null
publish "$volume" pod >/dev/null
mkdir "$(pod pod)/dir"
head -c 1M /dev/urandom | tee /run/noise >"$(pod pod)/file"
unpublish "$volume" pod >/dev/null
unstage "$volume" >/dev/null
checks >/dev/null
stage "$volume" >/dev/null
check "clean: staged without a check" [ -z "$(checks)" ]

publish "$volume" pod >/dev/null
cp /run/noise "$(pod pod)/dir/late"
sync "$(pod pod)/dir/late"
pull_the_plug
unpublish "$volume" pod >/dev/null
unstage "$volume" >/dev/null
stage "$volume" >/dev/null
check "unclean: e2fsck -p comes before the mount" grep -qx -- "-p /dev/nvme.*" <<<"$(checks)"
check "unclean: the log says what it did" \
	grep -q "file system checked .*recovering journal" "$run_dir/node.log"
publish "$volume" pod >/dev/null
check "unclean: all that was synced is there" cmp /run/noise "$(pod pod)/dir/late"
check "mounted: a stage checks nothing" eval 'stage "$volume" && [ -z "$(checks)" ]'
unpublish "$volume" pod >/dev/null
put_away

spoil
attach "$volume"
check "broken: refused with what e2fsck says and the way out" \
	refuses FAILED_PRECONDITION "fsRepair.*e2fsck -p .*exit status [45]" stage "$volume"
check "broken: e2fsck -p gave up and nothing else ran" eval '[[ $(checks) == "-p "* ]] && ! grep -q -- -fy <<<"$(checks)"'
check "broken: it left no connection and no record" \
	eval '[ "$(controllers)" = 0 ] && [ -z "$(ls "$state_dir/volumes")" ]'
detach "$volume" >/dev/null

cp --sparse=always "$(image)" /run/remembered
attach "$volume" true
check "broken: a reader is refused" not stage "$volume"
check "broken: nothing is checked for it" [ -z "$(checks)" ]
check "broken: not one byte changed" cmp "$(image)" /run/remembered
detach "$volume" >/dev/null

controller ControllerModifyVolume \
	"{\"volume_id\":\"$volume\",\"mutable_parameters\":{\"fsRepair\":\"true\"}}" >/dev/null
attach "$volume"
check "broken: with fsRepair it is repaired and staged" stage "$volume"
check "broken: by e2fsck -fy after -p" \
	eval 'said=$(checks); grep -q "^-p " <<<"$said" && grep -q "^-fy " <<<"$said"'
publish "$volume" pod >/dev/null
check "broken: what was not damaged is there" has_noise "$(pod pod)"
unpublish "$volume" pod >/dev/null
put_away
check "broken: nothing is wrong with it now" "$e2fsck" -fn "$(image)"
delete "$volume" >/dev/null

# --- growing ----------------------------------------------------------------------------------

declare -A sizes=([ext4]=268435456 [xfs]=335544320 [btrfs]=335544320)
for fs in ext4 xfs btrfs; do
	cap=$(capability SINGLE_NODE_WRITER $fs)
	create "grown-$fs" "${sizes[$fs]}" >/dev/null
	attach "$volume"
	stage "$volume" >/dev/null
	publish "$volume" pod >/dev/null
	cp /run/noise "$(pod pod)/file"
	small=$(stat -fc '%b * %S' "$(pod pod)")
	unpublish "$volume" pod >/dev/null
	put_away
	larger=$((${sizes[$fs]} * 3))
	expand $larger >/dev/null
	attach "$volume"
	stage "$volume" >/dev/null
	publish "$volume" pod >/dev/null
	grown=$(stat -fc '%b * %S' "$(pod pod)")
	note "$fs: $((small)) bytes, then $((grown)) of $larger"
	check "$fs: expanded while it was detached, it has its size once it is staged" \
		test $((grown)) -gt $((larger * 8 / 10))
	check "$fs: with its data" cmp /run/noise "$(pod pod)/file"
	unpublish "$volume" pod >/dev/null
	put_away
	attach "$volume" true
	stage "$volume" >/dev/null
	publish "$volume" pod true >/dev/null
	check "$fs: a reader sees the same" [ "$(stat -fc '%b * %S' "$(pod pod)")" = "$grown" ]
	unpublish "$volume" pod >/dev/null
	retire "$volume"
done
