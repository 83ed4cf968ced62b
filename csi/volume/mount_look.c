/* SPDX-License-Identifier: Apache-2.0 */
/* statmount(2), which the C library does not know yet. */
#include "csi/volume/mount_look.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "nvme/base/strb.h"

/* Linux include/uapi/linux/mount.h and stat.h, 6.8; the same number on every architecture. */
#define NR_STATMOUNT 457
#define WANT_MNT_ID_UNIQUE 0x4000U

enum {
	WANT_SB_BASIC = 0x1,
	WANT_MNT_BASIC = 0x2,
	WANT_MNT_ROOT = 0x8,
	WANT_MNT_POINT = 0x10,
	WANT_FS_TYPE = 0x20,
	WANT_MNT_OPTS =
		0x80, /* 6.11; no older kernel shows more in mountinfo of what is looked for */
	WANT_SB_SOURCE = 0x200, /* 6.14 */
};
#define NEEDED (WANT_SB_BASIC | WANT_MNT_BASIC | WANT_MNT_ROOT | WANT_MNT_POINT | WANT_FS_TYPE)

#define SB_READONLY 1 /* SB_RDONLY */

struct id_request {
	uint32_t size;
	uint32_t zero;
	uint64_t id;
	uint64_t wanted;
};

/* Texts are offsets into text. */
struct answer {
	uint32_t size;
	uint32_t options;
	uint64_t told;
	uint32_t major;
	uint32_t minor;
	uint64_t magic;
	uint32_t sb_flags;
	uint32_t fs_type;
	uint64_t id;
	uint64_t parent_id;
	uint32_t old_id; /* that of mountinfo */
	uint32_t old_parent_id;
	uint64_t attributes;
	uint64_t propagation[4]; /* MS_SHARED …, and ids of groups */
	uint32_t fs_root;
	uint32_t target;
	uint64_t namespace_id;
	uint32_t fs_subtype;
	uint32_t source;
	uint64_t spare[48];
	/* What is longer is not told. The kernel clears as much memory each time. */
	char text[1024];
};
_Static_assert(offsetof(struct answer, text) == 512, "as the kernel has it");

int mount_look_id(int directory, const char *path, int flags, uint64_t *ret)
{
	struct statx st;

	errno = 0;
	if (statx(directory, path, flags | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, WANT_MNT_ID_UNIQUE,
		  &st) < 0 ||
	    !(st.stx_mask & WANT_MNT_ID_UNIQUE))
		return -1;
	*ret = st.stx_mnt_id;
	return (st.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

/* Where the kernel does not say the source: the name of the device, which is not there once it is
 * gone. */
static bool find_source(const struct answer *answer, char *ret, size_t size)
{
	struct strb out = strb_over(ret, size);
	char path[64], link[PATH_MAX];
	struct strb number = strb_over(path, sizeof(path));
	ssize_t n;

	strb_addf(&number, "/sys/dev/block/%u:%u", answer->major, answer->minor);
	n = readlink(path, link, sizeof(link) - 1);
	if (n <= 0)
		return false;
	link[n] = '\0';
	strb_addf(&out, "/dev/%s", strrchr(link, '/') ? strrchr(link, '/') + 1 : link);
	if (answer->told & WANT_SB_SOURCE) {
		strb_clear(&out);
		strb_add(&out, answer->text + answer->source);
	}
	return !out.overflow;
}

static char *keep(char **end, const char *text)
{
	char *kept = *end;

	*end = stpcpy(kept, text) + 1;
	return kept;
}

static void fill(const struct answer *answer, const char *source, struct mount_entry *ret)
{
	const char *target = answer->text + answer->target;
	const char *fs_root = answer->text + answer->fs_root;
	const char *fs_type = answer->text + answer->fs_type;
	const char *options = answer->told & WANT_MNT_OPTS ? answer->text + answer->options : NULL;
	char *own = xrealloc(
		NULL, strlen(target) + strlen(fs_root) + strlen(fs_type) + strlen(source) + 4, 1);
	char *end = own;

	*ret = (struct mount_entry) {
		.own = own,
		.id = (int)answer->old_id,
		.parent_id = (int)answer->old_parent_id,
		.major = answer->major,
		.minor = answer->minor,
		.target = keep(&end, target),
		.fs_root = keep(&end, fs_root),
		.fs_type = keep(&end, fs_type),
		.source = keep(&end, source),
		.readonly = answer->attributes & MOUNT_ATTR_RDONLY,
		.shared = answer->propagation[0] & MS_SHARED,
		.sb_readonly = answer->sb_flags & SB_READONLY,
		.sb_stopped = mount_is_stopped(options),
	};
}

static bool ask(uint64_t id, uint64_t wanted, struct answer *ret)
{
	struct id_request request = { .size = sizeof(request), .id = id, .wanted = wanted };

	return syscall(NR_STATMOUNT, &request, ret, sizeof(*ret), 0) == 0;
}

int mount_look_covers(uint64_t id)
{
	struct answer upper, lower;

	if (!ask(id, WANT_MNT_BASIC | WANT_MNT_POINT, &upper) ||
	    !ask(upper.parent_id, WANT_MNT_POINT, &lower) ||
	    !(upper.told & lower.told & WANT_MNT_POINT))
		return -1;
	return strcmp(upper.text + upper.target, lower.text + lower.target) == 0;
}

bool mount_look(uint64_t id, struct mount_entry *ret)
{
	char source[PATH_MAX];
	struct answer answer;

	if (!ask(id, NEEDED | WANT_MNT_OPTS | WANT_SB_SOURCE, &answer) ||
	    (answer.told & NEEDED) != NEEDED)
		return false;
	/* Without a device of its own, as a btrfs, whose number is another in the table. */
	if (!answer.major || !find_source(&answer, source, sizeof(source)))
		return false;
	fill(&answer, source, ret);
	return true;
}
