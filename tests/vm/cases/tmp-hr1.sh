# SPDX-License-Identifier: Apache-2.0
# timeout: 240
. "$NVMEOT_SRC/tests/vm/guest/driver.sh"
start_driver
set +e
agent2() { # pools...
	start agent nvmeot-target --name="${aname:-t1}" --listen="$agent_address" --insecure --portal=tcp://127.0.0.1:4420 "$@"
	wait_for 20 answers "$agent_address" nvmeot.target.v1.Target GetInfo
}
allowed() { ls /sys/kernel/config/nvmet/subsystems/*/allowed_hosts; }
note "=== A delete twice"
create va >/dev/null; A=$volume
chattr +i "$pool_dir"/$(uuid_of $A).img
delete $A; note "delete1 rc=$?"
delete $A; note "delete2 rc=$?"
ls -la $pool_dir
chattr -i "$pool_dir"/$(uuid_of $A).img
note "=== B pool renamed"
provision vb; B=$volume
stop agent
agent2 --pool=p9=dir:$pool_dir
note "live: $(cat /sys/class/nvme/nvme*/state)"
detach $B; note "unpublish rc=$?"
note "live: $(cat /sys/class/nvme/nvme*/state)"; allowed
dd if=/dev/zero of=/dev/$(device_of $B) bs=4k seek=200000 count=1 oflag=direct; note "write after OK unpublish rc=$?"
delete $B; note "delete rc=$?"; ls $pool_dir
note "=== E pool empty dir"
stop agent
mkdir -p /mnt/empty
mount -t tmpfs none /mnt/empty
agent2 --pool=p1=dir:/mnt/empty
detach $B; note "unpublish rc=$?"
allowed
delete $B; note "delete rc=$?"
note "=== D other agent at the address"
stop agent
agent2 --pool=p1=dir:$pool_dir
controller ValidateVolumeCapabilities "{\"volume_id\":\"$B\",\"volume_capabilities\":[$cap]}" >/dev/null; note "known rc=$?"
stop agent
aname=t2 agent2 --pool=p1=dir:/mnt/empty
detach $B; note "unpublish rc=$?"
allowed
delete $B; note "delete rc=$?"
stop agent
agent2 --pool=p1=dir:$pool_dir --pool=p2=dir:/mnt/empty
unstage $B; detach $B; note "final unpublish rc=$?"
delete $B
note "=== C hung pool"
mkdir -p /mnt/second; make_pool /mnt/second 1G
stop agent
agent2 --pool=p1=dir:$pool_dir --pool=p2=dir:/mnt/second
fsfreeze -f $pool_dir
U=11111111-2222-5333-8444-555555555555
for i in $(seq 1 40); do
 rpc 2>/dev/null "$agent_address" nvmeot.target.v1.Target CreateVolume "{}" >/dev/null
 timeout=2s rpc "$agent_address" nvmeot.target.v1.Target CreateVolume "{\"uuid\":\"$U\",\"pool\":\"p1\",\"name\":\"x\",\"size_bytes\":1048576}" >/dev/null 2>&1 &
done
sleep 6
note "threads: $(ls /proc/${pids[agent]}/task | wc -l)"
timeout=5s rpc "$agent_address" nvmeot.target.v1.Target GetInfo; note "GetInfo rc=$?"
timeout=5s rpc "$agent_address" nvmeot.target.v1.Target CreateVolume '{"uuid":"11111111-2222-5333-8444-666666666666","pool":"p2","name":"y","size_bytes":1048576}'; note "create in healthy p2 rc=$?"
controller ControllerUnpublishVolume "{\"volume_id\":\"t1/p2/11111111-2222-5333-8444-666666666666\",\"node_id\":\"$host_nqn\"}" & sleep 5; note "unpublish in p2 still running: $(jobs -r | wc -l)"
fsfreeze -u $pool_dir
wait %% 2>/dev/null
sleep 2
umount /mnt/empty
check x true
vm_failed=1
