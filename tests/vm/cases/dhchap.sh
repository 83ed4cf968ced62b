#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Nodes and targets prove who they are by DH-HMAC-CHAP: one way and both, wrong and missing keys, a
# key that is changed under a writing pod, a target that comes back, static volumes, and no key in
# any log. On a kernel that cannot do it: refused, at either end.
# timeout: 900
log_level=debug
# shellcheck source=tests/vm/guest/driver.sh
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"
# shellcheck source=tests/vm/guest/writer.sh
. "$NVMEOT_SRC/tests/vm/guest/writer.sh"

nvmet=/sys/kernel/config/nvmet

# new_key NAME: a key of 32 bytes, in $NAME. The CRC-32 is what gzip puts at the end of a file.
keys=()
new_key() {
	head -c 32 /dev/urandom >/run/key
	printf -v "$1" 'DHHC-1:01:%s:' \
		"$({ cat /run/key; gzip -c </run/key | tail -c 8 | head -c 4; } | base64 -w 0)"
	rm /run/key
	keys+=("${!1}")
}
for name in key changed other ctrl ctrl_changed; do
	new_key $name
done

# What the calls below give as secrets: secrets [KEY [CTRL_KEY]]
secrets() {
	secret_json={}
	[ $# -lt 1 ] || secret_json="{\"dhchapSecret\":\"$1\"}"
	[ $# -lt 2 ] || secret_json="{\"dhchapSecret\":\"$1\",\"dhchapCtrlSecret\":\"$2\"}"
}
secrets

attach_to() { # as driver.sh has it, with secrets
	controller ControllerPublishVolume "{\"volume_id\":\"$2\",\"node_id\":\"$1\",
		\"volume_capability\":$cap,\"volume_context\":${volume_contexts[$2]},
		\"secrets\":$secret_json}"
}
stage() {
	mkdir -p "$(staging "$1")"
	node NodeStageVolume "{\"volume_id\":\"$1\",\"staging_target_path\":\"$(staging "$1")\",
		\"volume_capability\":$cap,\"secrets\":$secret_json,$(contexts "$1")}"
}
# id_of KEY [CTRL_KEY]: what the publish context says of them, a UUIDv5
id_of() {
	local hex
	hex=$({ printf '\x5b\x1d\x3c\x6e\x0f\x7a\x4c\x52\x9a\x41\x6e\x76\x6d\x65\x6f\x74'
		printf 'secret:%s %s' "$1" "${2:-}"; } | sha1sum)
	printf '%s-%s-5%s-%x%s-%s' "${hex:0:8}" "${hex:8:4}" "${hex:13:3}" \
		$((0x${hex:16:2} & 0x3f | 0x80)) "${hex:18:2}" "${hex:20:12}"
}
# claim VOLUME none|one-way|both-ways [KEY [CTRL_KEY]]: its publish context is to say this
claim() {
	publish_contexts[$1]=$(jq -c ".authentication = \"$2\"" <<<"${publish_contexts[$1]}")
	[ $# -lt 3 ] || publish_contexts[$1]=$(jq -c ".secretId = \"$(id_of "${@:3}")\"" \
		<<<"${publish_contexts[$1]}")
}
controller_of() { # VOLUME: the directory of its controller in sysfs
	local file
	for file in /sys/class/nvme/nvme*/subsysnqn; do
		[[ $(cat "$file") != *"$(uuid_of "$1")" ]] || dirname "$file"
	done
}
holds() { # VOLUME KEY [CTRL_KEY]: its session has them, and only root can read them
	local dir
	dir=$(controller_of "$1")
	[ "$(cat "$dir/dhchap_secret")" = "$2" ] &&
		[ "$(cat "$dir/dhchap_ctrl_secret")" = "${3:-none}" ] &&
		[ "$(stat -c %a "$dir/dhchap_secret")" = 600 ]
}
target_has() { # KEY [CTRL_KEY]
	[ "$(cat "$nvmet/hosts/$host_nqn/dhchap_key")" = "$1" ] &&
		[ "$(cat "$nvmet/hosts/$host_nqn/dhchap_ctrl_key")" = "${2:-}" ]
}
is_live() {
	[ "$(cat "$(controller_of "$1")/state")" = live ]
}
exports_of() { # VOLUME
	rpc "$agent_address" nvmeot.target.v1.Target GetVolume "{\"uuid\":\"$(uuid_of "$1")\"}" |
		jq '.volume.exports // [] | length'
}
forget() { # VOLUME...: what is left when its pods are gone
	local volume
	for volume; do
		unstage "$volume" >/dev/null
		detach "$volume" >/dev/null
		delete "$volume" >/dev/null
	done
}
no_key_in() { # FILE...
	local name
	for name in "${keys[@]}"; do
		! grep -qF "${name:10:20}" "$@" || return 1
	done
}

start_driver
create one >/dev/null
one=$volume

if [ "$KERNEL" = 6.1 ]; then
	secrets "$key"
	check "the target's kernel cannot: refused at publish" \
		refuses FAILED_PRECONDITION CONFIG_NVME_TARGET_AUTH attach "$one"
	check "and nothing is exported" [ "$(exports_of "$one")" = 0 ]
	check "no host is left behind" [ -z "$(ls $nvmet/hosts)" ]
	secrets
	attach "$one"
	claim "$one" one-way "$key"
	secrets "$key"
	check "the node's kernel passes over the key: refused at stage" \
		refuses FAILED_PRECONDITION CONFIG_NVME_HOST_AUTH stage "$one"
	check "and not connected" [ "$(controllers)" = 0 ]
	forget "$one"
	check "no log has a key" no_key_in "$run_dir"/*.log
	exit 0
fi

# The target may close a connection before it has said why: then the kernel waits for as long as for
# any admin command, which is a minute.
echo 15 >/sys/module/nvme_core/parameters/admin_timeout

# --- one way ----------------------------------------------------------------------------------

secrets "$key"
attach "$one"
check "the publish context says so, without the key" \
	eval '[[ ${publish_contexts[$one]} == *\"authentication\":\"one-way\"* ]] &&
		[[ ${publish_contexts[$one]} != *DHHC* ]]'
check "the target has the key" target_has "$key"
check "which only root can read there" \
	[ "$(stat -c %a "$nvmet/hosts/$host_nqn/dhchap_key" "$pool_dir"/*.keys | tr '\n' ' ')" = "600 600 " ]
secrets
check "no secret at stage" refuses UNAUTHENTICATED "has no dhchapSecret" stage "$one"
claim "$one" none
check "no secret at all: the kernel's answer" \
	refuses UNAUTHENTICATED "asks host .* for a key" stage "$one"
claim "$one" one-way
secrets "$other"
check "a wrong key" refuses UNAUTHENTICATED "not those that the volume was published with" \
	stage "$one"
secrets "$key" "$ctrl"
check "a key for the target, which has none" refuses FAILED_PRECONDITION "both-ways" stage "$one"
check "nothing of these is connected" [ "$(controllers)" = 0 ]
claim "$one" one-way "$other"
secrets "$other"
check "a key that the target does not take" not stage "$one"
cat "$vm_check_output"
check "does not connect" wait_for 90 eval '[ "$(controllers)" = 0 ]'
claim "$one" one-way "$key"
secrets "$key"
check "the right key" wait_for 30 stage "$one"
check "the session holds it" holds "$one" "$key"
check "a second stage finds it so" stage "$one"
publish "$one" pod >/dev/null

# --- one secret a node ------------------------------------------------------------------------

create two >/dev/null
two=$volume
secrets "$other"
check "a second volume with another key" \
	refuses FAILED_PRECONDITION "all volumes of a node use one secret" attach "$two"
secrets
check "a second volume without" \
	refuses FAILED_PRECONDITION "all volumes of a node use one secret" attach "$two"
check "neither is exported" [ "$(exports_of "$two")" = 0 ]
secrets "$key"
attach "$two"
check "a second volume with the same" stage "$two"

# --- a changed key under I/O ------------------------------------------------------------------

start_writer "$(pod pod)/log"
check "a pod writes" goes_on
session=$(cat "$(controller_of "$one")/cntlid")
secrets "$changed"
attach "$one"
check "published again with a new key: the target has it" target_has "$changed"
check "the session goes on" goes_on
create three >/dev/null
three=$volume
attach "$three"
check "the next volume is staged with the new key" stage "$three"
check "the session of the first has it" holds "$one" "$changed"
check "that of the second, too" holds "$two" "$changed"
check "both live, and the pod writes on" eval 'is_live "$one" && is_live "$two" && goes_on'
check "in the same session" [ "$(cat "$(controller_of "$one")/cntlid")" = "$session" ]
echo 1 >"$(controller_of "$one")/reset_controller"
check "which comes back after a reset" eval 'wait_for 30 is_live "$one" && goes_on'
secrets "$key"
check "the old key is another one now" refuses UNAUTHENTICATED "" \
	eval 'unstage "$three" >/dev/null && stage "$three"'

# --- the target comes back --------------------------------------------------------------------

stop agent KILL
start_agent
check "the agent was killed: the pod writes on" goes_on
check "and the target has the key" target_has "$changed"
stop agent KILL
rm "$nvmet"/ports/*/subsystems/*
for dir in "$nvmet"/subsystems/*; do
	echo 0 >"$dir/namespaces/1/enable"
	rmdir "$dir/namespaces/1"
	rm "$dir"/allowed_hosts/*
	rmdir "$dir"
done
rmdir "$nvmet"/hosts/* "$nvmet"/ports/*
start_agent
check "the target was empty: the hosts have their key again" target_has "$changed"
check "and come back" eval 'wait_for 60 is_live "$one" && wait_for 60 is_live "$two"'
check "the pod writes on" goes_on
check_writer
unpublish "$one" pod >/dev/null
forget "$two" "$three"
check "the key stays with the last volume" target_has "$changed"
unstage "$one" >/dev/null
detach "$one" >/dev/null
check "and goes with it, from the disk, too" [ -z "$(ls "$nvmet/hosts"; ls "$pool_dir"/*.keys 2>/dev/null)" ]

# --- both ways --------------------------------------------------------------------------------

secrets "$key" "$ctrl"
attach "$one"
check "the target has both keys" target_has "$key" "$ctrl"
secrets "$key" "$other"
claim "$one" both-ways "$key" "$other"
# The kernel may wait here, too, and the volume be busy with that.
check "a target with a wrong key" \
	wait_for 300 refuses UNAUTHENTICATED "dhchapCtrlSecret" stage "$one"
claim "$one" both-ways "$key" "$ctrl"
secrets "$key"
check "without the target's key" refuses FAILED_PRECONDITION "one-way" stage "$one"
secrets "$key" "$ctrl"
check "both keys" stage "$one"
check "the session holds both" holds "$one" "$key" "$ctrl"
secrets "$changed" "$ctrl_changed"
check "two new keys at once" refuses FAILED_PRECONDITION "both secrets" attach "$one"
secrets "$key" "$ctrl_changed"
attach "$one"
check "the target's key is changed" stage "$one"
check "the session holds it" holds "$one" "$key" "$ctrl_changed"
secrets "$changed" "$ctrl_changed"
attach "$one"
check "then the host's" stage "$one"
check "the session holds that" holds "$one" "$changed" "$ctrl_changed"
echo 1 >"$(controller_of "$one")/reset_controller"
check "and comes back after a reset" wait_for 30 is_live "$one"
unstage "$one" >/dev/null
detach "$one" >/dev/null

# --- static volumes, of which only the record knows that they take keys ------------------------

secrets "$key"
attach "$one"
for handle in first second; do
	volume_contexts[$handle]="{\"nqn\":\"nqn.2026-11.io.nvmeot:$(uuid_of "$one")\",
		\"portals\":\"$portal\",\"nsid\":\"1\"}"
	publish_contexts[$handle]="{}"
done
publish_with_secrets() { # VOLUME POD
	node NodePublishVolume "{\"volume_id\":\"$1\",\"staging_target_path\":\"$(staging "$1")\",
		\"target_path\":\"$(pod "$2")\",\"volume_capability\":$cap,
		\"secrets\":$secret_json,$(contexts "$1")}"
}
check "static: the first handle, with the key" stage first
secrets
check "static: the second, without, gets no session of it" \
	refuses UNAUTHENTICATED "was connected with dhchapSecret" stage second
check "static: and left nothing, nor took anything" eval '[ "$(controllers)" = 1 ] &&
	[ "$(ls "$state_dir"/volumes | wc -l)" = 1 ] && holds "$one" "$key" && publish first pod'
unpublish first pod >/dev/null
echo 1 >"$(controller_of "$one")/delete_controller"
check "static: a publish does not connect it without its key" \
	refuses UNAUTHENTICATED "takes the volume's secret to come back" publish first pod
check "static: and nothing is connected" [ "$(controllers)" = 0 ]
secrets "$key"
check "static: a publish that brings the key does" publish_with_secrets first pod
check "static: the session holds it" holds "$one" "$key"
unpublish first pod >/dev/null
echo 1 >"$(controller_of "$one")/delete_controller"
check "static: so does the next stage" stage first
unstage first >/dev/null
detach "$one" >/dev/null

# --- a session without ------------------------------------------------------------------------

secrets
attach "$one"
stage "$one" >/dev/null
claim "$one" one-way "$key"
secrets "$key"
check "a session from before, without a key, does not count" \
	refuses FAILED_PRECONDITION "was connected without authentication" stage "$one"
check "and its record goes on to say how it is connected" \
	jq -e ".connection.portals == \"$portal\" and (.takesKeys | not)" "$state_dir"/volumes/*.json
claim "$one" none
check "a key for a volume that is published without" \
	refuses FAILED_PRECONDITION "published with authentication none" stage "$one"
forget "$one"
check "no log has a key" no_key_in "$run_dir"/*.log
check "nor has any command line" no_key_in /proc/[0-9]*/cmdline
check "nor the kernel's log" eval 'dmesg >/run/dmesg && no_key_in /run/dmesg'
