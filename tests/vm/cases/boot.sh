#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The ground every other case stands on: nvmet exports a file of a pool over loopback TCP, nvme-tcp
# connects to it and reads it back, and all of it can be taken down again.
# timeout: 120

# shellcheck source=tests/vm/guest/export.sh
. "$NVMEOT_SRC/tests/vm/guest/export.sh"

check "the kernel is a $KERNEL one" test "${KERNEL}" = "$(uname -r | cut -d. -f1,2)"
check "a program of the guest can load a module" modprobe dm_thin_pool
make_pool /mnt/pool 512M
dd if=/dev/urandom of=/mnt/pool/disk bs=1M count=4 conv=fsync status=none
check "a file is exported" export_at /mnt/pool/disk
check "the host connects and gets the device" connect
find_device
check "1 MiB reads back" cmp -n 1048576 /mnt/pool/disk "$device"
check "the host disconnects" disconnect
check "the device is gone" wait_for 10 eval '! find_device'
check "the export is removed" unexport
