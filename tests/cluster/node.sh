#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# PID 1 of a node after tests/vm/guest/init: disks, network, containerd with the images, kubelet.
# Of the kernel's command line: NVMEOT_NODE its name, NVMEOT_ADDRESS its address. One of the name
# store only gets the images on its disk, says whether it did on its console, and powers off. What it logs is
# below /run; port 23 takes a script for a shell of the node and answers with what it prints.
set -uo pipefail
export PATH=$NVMEOT_SRC/build/cluster/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root LC_ALL=C.UTF-8

images=$NVMEOT_SRC/build/cluster/images
credentials=$NVMEOT_SRC/build/cluster/run/$NVMEOT_NODE

say() {
	read -r uptime _ </proc/uptime
	echo "$uptime s: $*" >/dev/console
}

# Every node is a machine of its own, on the same root file system.
be_somebody() {
	hostname "$NVMEOT_NODE"
	echo "127.0.0.1 localhost $NVMEOT_NODE" >/etc/hosts
	md5sum <<<"$NVMEOT_NODE" | cut -c 1-32 >/etc/machine-id
	rm -rf /etc/nvme /var/lib/nvmeot /etc/resolv.conf
	# There is nobody to ask, and who asks is to hear it at once.
	: >/etc/resolv.conf
	mount --make-rshared /
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
	echo +cpu +cpuset +io +memory +pids >/sys/fs/cgroup/cgroup.subtree_control
}

# containerd's overlays and what kubelet counts need a real file system.
mount_disks() {
	local dir
	[[ $(blkid -o value -s TYPE /dev/vda) == ext4 ]] || mkfs.ext4 -q -E nodiscard /dev/vda
	mkdir -p /node
	mount /dev/vda /node
	# Else each mount below one of the directories would be there a second time, below /node.
	mount --make-private /node
	for dir in /var/lib/containerd /var/lib/kubelet /var/lib/nvmeot /var/log/pods; do
		mkdir -p "/node$dir" "$dir"
		mount --bind "/node$dir" "$dir"
		mount --make-shared "$dir"
	done
	[[ -b /dev/vdb ]] || return 0
	[[ $(blkid -o value -s TYPE /dev/vdb) == xfs ]] || mkfs.xfs -q -K /dev/vdb
	mkdir -p /srv/nvmeot
	mount /dev/vdb /srv/nvmeot
}

# Pods of a node are 10.244.N.0/24, N being the last figure of its address.
join_network() {
	local other number=${NVMEOT_ADDRESS: -1}
	ip link set eth0 up
	ip addr add "$NVMEOT_ADDRESS/24" dev eth0
	ip route add default via 10.77.0.1
	for other in 1 2; do
		((other == number)) || ip route add "10.244.$other.0/24" via "10.77.0.1$other"
	done
	echo 1 >/proc/sys/net/ipv4/ip_forward
	mkdir -p /etc/cni/net.d
	cat >/etc/cni/net.d/10-pods.conflist <<-JSON
		{"cniVersion": "1.0.0", "name": "pods", "plugins": [{"type": "bridge", "bridge": "cni0",
		  "isGateway": true, "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.$number.0/24"}]],
		  "routes": [{"dst": "0.0.0.0/0"}]}}]}
	JSON
	(busybox nc -ll -p 23 -e /bin/bash &)
}

start_containerd() {
	mkdir -p /etc/containerd
	cat >/etc/containerd/config.toml <<-TOML
		version = 3
		[plugins."io.containerd.cri.v1.images".pinned_images]
		sandbox = "localhost/pause:1"
		# By default it asks for each container's figures every second, a third of a node's time.
		[plugins."io.containerd.cri.v1.runtime"]
		stats_collect_period = "60s"
		[plugins."io.containerd.cri.v1.runtime".cni]
		bin_dirs = ["/usr/lib/cni"]
		conf_dir = "/etc/cni/net.d"
	TOML
	containerd >/run/containerd.log 2>&1 &
	containerd=$!
	until ctr version >/dev/null 2>&1; do
		kill -0 $containerd 2>/dev/null || { say "containerd ended: $(tail -n 1 /run/containerd.log)"; return 1; }
		sleep 0.5
	done
}

# load_images FILE...: those that the disk does not have; fails if there is one that it will not have
load_images() {
	local file mark failed=0
	mkdir -p /node/loaded
	for file; do
		mark=/node/loaded/${file##*/}
		[[ ! -e $mark || $file -nt $mark ]] || continue
		if ctr -n k8s.io images import --local --platform linux/amd64 "$file"; then
			touch -r "$file" "$mark"
		else
			say "cannot load $file"
			failed=1
		fi
	done
	return "$failed"
}

start_kubelet() {
	cat >/etc/kubelet.yaml <<-YAML
		apiVersion: kubelet.config.k8s.io/v1beta1
		kind: KubeletConfiguration
		authentication:
		  x509: {clientCAFile: $credentials/ca.crt}
		tlsCertFile: $credentials/serving.crt
		tlsPrivateKeyFile: $credentials/serving.key
		cgroupDriver: cgroupfs
		containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
		clusterDNS: [10.96.0.10]
		clusterDomain: cluster.local
		evictionHard: {memory.available: 100Mi, nodefs.available: 2%, imagefs.available: 2%}
		runtimeRequestTimeout: 10m
	YAML
	kubelet --config=/etc/kubelet.yaml --kubeconfig="$credentials/kubeconfig" \
		--housekeeping-interval=60s --hostname-override="$NVMEOT_NODE" --node-ip="$NVMEOT_ADDRESS" >/run/kubelet.log 2>&1 &
}

# The disk that nodes begin with, as far as it is the same each time.
make_store() {
	start_containerd && load_images "$images"/*.tar && kill "$containerd" && { wait "$containerd"; true; } &&
		mount -o remount,ro /node && say "whole"
	echo o >/proc/sysrq-trigger
	sleep 60
}

modprobe -a virtio_net virtio_blk ext4 xfs overlay veth bridge
be_somebody
mount_disks
[[ $NVMEOT_NODE != store ]] || make_store >/run/images.log 2>&1
join_network
say "network and disks"
start_containerd && say "containerd"
load_images "$images"/*.tar "$NVMEOT_SRC/build/image/nvmeot-csi.tar" >/run/images.log 2>&1
say "images"
start_kubelet
say "kubelet"
# Processes of containers whose parents are gone become this one's children.
while :; do
	wait
	sleep 1
done
