# SPDX-License-Identifier: Apache-2.0
#
# Sourced by day: what its steps share. A step is a function of checks; the first that fails ends it,
# and what the cluster looks like then is shown.
# shellcheck shell=bash
declare -a titles=() outcomes=() times=()
limit=300s

now_ms() {
	echo $((${EPOCHREALTIME/./} / 1000))
}

# show COMMAND...: it and what it prints
show() {
	local IFS=' '
	echo "\$ $*"
	"$@" | sed 's/^/  /'
}

# check TEXT COMMAND...: says whether it succeeds; its output is shown if it does not
check() {
	local text=$1 out
	shift
	if out=$("$@" 2>&1); then
		echo "ok $text"
	else
		echo "FAILED $text"
		echo "${out:-$*}" | sed 's/^/  /'
		return 1
	fi
}

# is WANTED COMMAND...: it prints exactly that
is() {
	local wanted=$1 got
	shift
	got=$("$@" 2>&1) || true
	[[ $got == "$wanted" ]] || { echo "'$got' rather than '$wanted'"; return 1; }
}

# says REGEX COMMAND...: it prints a line that matches, whatever it ends with
says() {
	local regex=$1 out
	shift
	out=$("$@" 2>&1) || true
	grep -qE -- "$regex" <<<"$out" || { echo "no '$regex' in: $out"; return 1; }
}

# in_time LIMIT TEXT COMMAND...: by asking each second
in_time() {
	local seconds=$1 text=$2
	shift 2
	wait_for "$seconds" "$@" || true
	check "$text" "$@"
}

ready() { # OBJECT [CONDITION]
	kubectl wait --for="condition=${2:-Ready}" "$1" --timeout="$limit"
}

in_pod() { # POD COMMAND
	kubectl exec "$1" -- sh -c "$2"
}

# apply FILE: for this step; what a step that fails leaves of it is deleted
apply() {
	echo "$1" >>"$run/applied"
	show kubectl apply -f "$1"
}

tidy() {
	local file
	while read -r file; do
		kubectl delete -f "$file" --ignore-not-found --wait=false
	done <"$run/applied"
}

events() { # OBJECT: of kind/name
	kubectl get events -o custom-columns=REASON:.reason,FROM:.reportingComponent,MESSAGE:.message \
		--sort-by=.metadata.creationTimestamp \
		--field-selector "involvedObject.kind=${1%/*},involvedObject.name=${1#*/}"
}

node_of() { # POD or -l SELECTOR
	kubectl get pods "$@" -o jsonpath='{.items[*].spec.nodeName}{.spec.nodeName}'
}

# remove FILE: and all that it made is gone
remove() {
	kubectl delete -f "$1" --wait --timeout="$limit" --ignore-not-found
}

dump() {
	show kubectl get nodes,pods,pvc,pv,volumeattachments -A -o wide
	show kubectl get events -A --sort-by=.metadata.creationTimestamp \
		-o custom-columns=OBJECT:.involvedObject.name,REASON:.reason,MESSAGE:.message | tail -n 40
}

# step TITLE FUNCTION
step() {
	local begun status=0
	echo
	echo "## $1"
	begun=$(now_ms)
	: >"$run/applied"
	set +e
	(
		set -e
		"$2"
	)
	status=$?
	set -e
	titles+=("$1")
	times+=($(($(now_ms) - begun)))
	outcomes+=($((status == 0)))
	((status == 0)) || { echo "FAILED $1"; dump || true; tidy || true; }
}

finish() {
	local i passed=0
	echo
	for i in "${!titles[@]}"; do
		printf '%-6s %7d.%d s  %s\n' "$( ((outcomes[i])) && echo ok || echo FAILED)" \
			$((times[i] / 1000)) $((times[i] % 1000 / 100)) "${titles[i]}"
		passed=$((passed + outcomes[i]))
	done
	echo "$passed passed, $((${#titles[@]} - passed)) failed"
	((passed == ${#titles[@]}))
}
