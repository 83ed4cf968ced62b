# SPDX-License-Identifier: Apache-2.0
#
# Sourced by day: the target that deploy/examples/foreign.yaml speaks of, by hand on the storage node:
# its addresses, subsystem and namespace, with an ext4 that somebody filled.
# shellcheck shell=bash

foreign_value() { # KEY
	sed -n "s/^ *$1: //p" deploy/examples/foreign.yaml
}

make_foreign_target() {
	local address number=0 ports=
	in_net sysctl -q -w net.ipv4.ip_forward=1
	for address in $(foreign_value portals | grep -oE '[0-9]+(\.[0-9]+){3}'); do
		ip -n "$netns" route replace "$address/32" via "$(node_address "$storage_node")"
		number=$((number + 1))
		ports+="ip addr add $address/32 dev eth0 && mkdir \$top/ports/6000$number &&
			cd \$top/ports/6000$number && echo tcp >addr_trtype && echo ipv4 >addr_adrfam &&
			echo $address >addr_traddr && echo 4420 >addr_trsvcid &&
			ln -s \$top/subsystems/\$nqn subsystems/ && "
	done
	check "a target of somebody else serves on $storage_node" on "$storage_node" "
		top=/sys/kernel/config/nvmet nqn=$(foreign_value nqn)
		truncate -s 1G /node/foreign && mkfs.ext4 -q /node/foreign && mkdir -p /run/foreign &&
		mount -o loop /node/foreign /run/foreign && echo made elsewhere >/run/foreign/greeting &&
		umount /run/foreign &&
		mkdir \$top/subsystems/\$nqn && cd \$top/subsystems/\$nqn && echo 1 >attr_allow_any_host &&
		mkdir namespaces/1 && cd namespaces/1 && echo /node/foreign >device_path &&
		echo $(foreign_value nsUuid) >device_uuid && echo 1 >buffered_io && echo 1 >enable &&
		$ports true"
}

remove_foreign_target() {
	check "it is gone" on "$storage_node" "
		top=/sys/kernel/config/nvmet nqn=$(foreign_value nqn)
		rm \$top/ports/6000*/subsystems/* && rmdir \$top/ports/6000* &&
		echo 0 >\$top/subsystems/\$nqn/namespaces/1/enable &&
		rmdir \$top/subsystems/\$nqn/namespaces/1 \$top/subsystems/\$nqn && rm /node/foreign"
}
