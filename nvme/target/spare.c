/* SPDX-License-Identifier: Apache-2.0 */
/* Files that keep storage free for records. */
#include "nvme/target/spare.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_SIZE (sizeof(SPARE_PREFIX) + 11)

static void spare_name(int index, char out[NAME_SIZE])
{
	snprintf(out, NAME_SIZE, SPARE_PREFIX "%d", index);
}

static bool spare_make(const struct root *records, int index)
{
	cleanup_close int fd = -1;
	char name[NAME_SIZE];

	spare_name(index, name);
	fd = openat(records->fd, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return false;
	if (fallocate(fd, 0, 0, SPARE_BYTES) == 0)
		return true;
	unlinkat(records->fd, name, 0);
	return false;
}

/* The first is made last and given first: while it is there all are. */
void spare_fill(const struct root *records)
{
	char first[NAME_SIZE];
	struct stat st;

	spare_name(0, first);
	if (fstatat(records->fd, first, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return;
	for (int i = SPARE_COUNT - 1; i >= 0; i--)
		if (!spare_make(records, i))
			return;
}

bool spare_give(const struct root *records)
{
	char name[NAME_SIZE];

	for (int i = 0; i < SPARE_COUNT; i++) {
		spare_name(i, name);
		if (unlinkat(records->fd, name, 0) == 0)
			return true;
		if (errno != ENOENT)
			return false;
	}
	return false;
}
