# SPDX-License-Identifier: Apache-2.0
#
# Sourced by what fetches packages of other Debian suites for guests: an apt of our own below $work,
# a directory of the sourcing script, which has a function die, too. The machine's apt, its
# configuration and its packages are not touched.
# shellcheck shell=bash
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
mirror=http://deb.debian.org

sources() {
	local suite=$1 entry="deb [arch=amd64 signed-by=$keyring]"

	echo "$entry $mirror/debian $suite main"
	[[ $suite == sid ]] || echo "$entry $mirror/debian-security $suite-security main"
}

# The empty status file makes apt forget what this machine has installed; the unprivileged download
# user could not write here.
apt_private() {
	local tool=$1
	shift
	"$tool" -q -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
		-o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null \
		-o Dir::State="$work/state" -o Dir::State::Status="$work/status" \
		-o Dir::Cache="$work/cache" -o APT::Architecture=amd64 -o APT::Architectures=amd64 \
		-o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=3 \
		-o APT::Update::Error-Mode=any "$@"
}

apt_update() { # SUITE
	mkdir -p "$work"/{state/lists/partial,cache/archives/partial,deb}
	: >"$work/status"
	sources "$1" >"$work/sources.list"
	[[ -r $keyring ]] || die "$keyring is missing (Debian package debian-archive-keyring)"
	apt_private apt-get update >"$work/apt.log" 2>&1 ||
		die "cannot read the package lists of $1 from $mirror: $(tail -n 4 "$work/apt.log")"
}

# The package and all it needs, by name.
apt_needs() { # PACKAGE
	apt_private apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts \
		--no-breaks --no-replaces --no-enhances "$1" | grep '^[a-z]' | sort -u
}

# Lays the packages' files out in $work/root.
apt_unpack() { # PACKAGES...
	local deb

	(cd "$work/deb" && apt_private apt-get download "$@") >"$work/apt.log" 2>&1 ||
		die "cannot download $*: $(tail -n 4 "$work/apt.log")"
	for deb in "$work"/deb/*.deb; do
		dpkg -x "$deb" "$work/root"
	done
}
