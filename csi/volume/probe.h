/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is on a device, and above all: is it certainly nothing? An answer of "empty" permits a mkfs
 * that cannot be undone, so it needs every one of these, and any read error is an error:
 *  - the size is the expected one;
 *  - libblkid's safe probe ran to its end and found no superblock (also none with a bad checksum)
 *    and no partition table; two signatures at once count as something;
 *  - these places read as zeroes: the first and the last MiB (boot sectors, superblocks, LUKS, LVM,
 *    btrfs and reiserfs at 64 KiB; backup GPT, md and RAID metadata at the end), and 4 KiB at the
 *    first two ext4 backup superblocks of each block size and at the btrfs mirrors.
 */
#ifndef CSI_VOLUME_PROBE_H
#define CSI_VOLUME_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "nvme/base/err.h"

struct probe_result {
	bool empty;
	bool nameless;	  /* not empty, but without any signature: "non-zero bytes at offset N" */
	char type[64];	  /* what was found, for messages: "ext4", "gpt partition table",
			   * "ambivalent signatures", "non-zero bytes at offset N"; "" if empty */
	char fs_type[16]; /* set only if a file system and nothing else was found */
};

/*
 * Probes the block device (or, for tests, regular file) open for reading at fd; name is for
 * messages. The file offset of fd moves. size_bytes is the size it must have, 0: not checked;
 * another size is ERR_FAILED_PRECONDITION, everything else ERR_INTERNAL.
 *
 * Reads go through the page cache after POSIX_FADV_DONTNEED dropped its clean pages, or past it, so
 * that they are the device's and not what was read in an earlier life of it.
 * Blocks for as long as the device does, uninterruptibly if it is a dead one: call it on a worker.
 */
int probe_device(int fd, const char *name, uint64_t size_bytes, struct probe_result *ret,
		 struct err *err);

#endif
