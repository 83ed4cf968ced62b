/* SPDX-License-Identifier: Apache-2.0 */
/* e2fsck and xfs_repair, and what their exit statuses mean. */
#include "csi/volume/check.h"

#include <endian.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "nvme/base/cleanup.h"
#include "nvme/base/log.h"
#include "nvme/base/proc.h"

#define TAIL_SHOWN 500

/* e2fsck -p and tune2fs outlive the call that began them, but not for ever. */
#define CHECK_MAX_MS (10 * 60 * 1000)

#define WAY_OUT                                                                                    \
	"; to have it repaired, which may lose files, set the parameter fsRepair to \"true\" and " \
	"stage the volume again"

/* e2fsck(8), EXIT CODE: bits. */
enum {
	E2FSCK_CORRECTED = 1,
	E2FSCK_REBOOT = 2,
	E2FSCK_UNCORRECTED = 4,
	E2FSCK_OPERATIONAL = 8,
	E2FSCK_USAGE = 16,
	E2FSCK_CANCELLED = 32,
	E2FSCK_LIBRARY = 128,
};

/* The end of what a program said, without the newlines around it. */
struct tail {
	char text[TAIL_SHOWN + 1];
};

static struct tail tail_of(const char *said)
{
	struct tail tail;
	size_t len = strlen(said);

	while (len && said[len - 1] == '\n')
		len--;
	if (len > TAIL_SHOWN) {
		said += len - TAIL_SHOWN;
		len = TAIL_SHOWN;
	}
	memcpy(tail.text, said, len);
	tail.text[len] = '\0';
	for (char *p = tail.text; *p; p++)
		if (*p == '\n')
			*p = ' ';
	return tail;
}

static bool is(const struct fs *fs, const char *name)
{
	return strcmp(fs_name(fs), name) == 0;
}

/* --- ext4 --- */

#define EXT4_SUPER_OFFSET 1024
#define EXT4_SUPER_SIZE 256 /* what is looked at */
#define EXT4_STATE 0x3a	    /* its low byte has both bits */
#define EXT4_STATE_VALID 0x1
#define EXT4_STATE_ERROR 0x2
#define EXT4_NEEDS_RECOVERY 0x4	    /* incompatible feature */
#define EXT4_ORPHAN_PRESENT 0x10000 /* read-only compatible feature */

static uint32_t le32_at(const unsigned char *data, size_t offset)
{
	uint32_t value;

	memcpy(&value, data + offset, sizeof(value));
	return le32toh(value);
}

/* The head of the superblock; false: it cannot be read, or is none. */
static bool ext4_read_super(const char *device, unsigned char ret[EXT4_SUPER_SIZE])
{
	cleanup_close int fd = open(device, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	return pread(fd, ret, EXT4_SUPER_SIZE, EXT4_SUPER_OFFSET) == EXT4_SUPER_SIZE &&
	       ret[0x38] == 0x53 && ret[0x39] == 0xef;
}

/* Whether e2fsck -p would find nothing to do. What cannot be read or understood is not clean. */
static bool ext4_is_clean(const char *device)
{
	unsigned char super[EXT4_SUPER_SIZE];

	return ext4_read_super(device, super) && (super[EXT4_STATE] & EXT4_STATE_VALID) &&
	       !(super[EXT4_STATE] & EXT4_STATE_ERROR) &&
	       !(le32_at(super, 0x60) & EXT4_NEEDS_RECOVERY) &&
	       !(le32_at(super, 0x64) & EXT4_ORPHAN_PRESENT) && !le32_at(super, 0xe8);
}

static bool ext4_has_error(const char *device)
{
	unsigned char super[EXT4_SUPER_SIZE];

	return ext4_read_super(device, super) && (super[EXT4_STATE] & EXT4_STATE_ERROR);
}

static int may_begin(const char *what, const char *device, struct deadline deadline,
		     struct err *err)
{
	if (deadline_passed(deadline))
		return err_set(err, ERR_DEADLINE_EXCEEDED,
			       "the %s of %s was not begun: no time is left", what, device);
	return 0;
}

static int raise_e2fsck(int status, const char *device, const char *option, const char *said,
			struct err *err)
{
	if (status & (E2FSCK_LIBRARY | E2FSCK_USAGE))
		return err_set(err, ERR_INTERNAL,
			       "e2fsck %s %s: exit status %d: the program does not fit: %s", option,
			       device, status, said);
	if (status & E2FSCK_CANCELLED)
		return err_set(err, ERR_INTERNAL, "e2fsck %s %s: cancelled by a signal: %s", option,
			       device, said);
	if (status & E2FSCK_OPERATIONAL)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "e2fsck %s %s: exit status %d: it cannot work on the device: %s",
			       option, device, status, said);
	return err_set(err, ERR_FAILED_PRECONDITION,
		       "e2fsck %s %s: exit status %d: the file system has errors: %s", option,
		       device, status, said);
}

/* Runs it; *ret_status is its exit status if that tells of anything but an end in good order. */
static int e2fsck(const char *option, const char *device, struct deadline deadline, int *ret_status,
		  struct err *err)
{
	const char *const argv[] = { "e2fsck", option, device, NULL };
	cleanup_free struct proc_result *result = xcalloc(1, sizeof(*result));
	struct tail tail;

	if (proc_run(argv, deadline, result, err) < 0)
		return err_wrap(err, "check %s", device);
	tail = tail_of(result->out[0] ? result->out : result->err);
	if (result->term_signal)
		return err_set(err, ERR_INTERNAL, "e2fsck %s %s: ended by signal %d: %s", option,
			       device, result->term_signal, tail.text);
	*ret_status = result->exit_code;
	if (result->exit_code & ~(E2FSCK_CORRECTED | E2FSCK_REBOOT))
		return raise_e2fsck(result->exit_code, device, option, tail.text, err);
	if (result->exit_code)
		log_warning("file system corrected", KV("device", device), KV("by", "e2fsck"),
			    KV("option", option), KV("said", tail.text));
	else
		log_info("file system checked", KV("device", device), KV("by", "e2fsck"),
			 KV("option", option), KV("said", tail.text));
	return 0;
}

/* --- repairs, which nothing ends but themselves --- */

/* Its exit status. */
static int tune2fs(const char *const argv[], struct proc_result *result, struct err *err)
{
	if (proc_run(argv, deadline_after_ms(CHECK_MAX_MS), result, err) < 0)
		return -1;
	if (result->term_signal)
		return err_set(err, ERR_INTERNAL, "tune2fs: ended by signal %d",
			       result->term_signal);
	return result->exit_code;
}

/*
 * e2fsck leaves a superblock that says "clean" as it is until it is done, unless -p gave up. One
 * that tune2fs cannot read needs no mark: the kernel refuses it, too, and e2fsck puts it in order
 * last of all.
 */
static int ext4_mark_unclean(const char *device, struct err *err)
{
	const char *const mark[] = { "tune2fs", "-E", "force_fsck", device, NULL };
	const char *const list[] = { "tune2fs", "-l", device, NULL };
	cleanup_free struct proc_result *result = xcalloc(1, sizeof(*result));
	struct tail tail;
	int status;

	if (ext4_has_error(device))
		return 0;
	status = tune2fs(mark, result, err);
	if (status > 0) {
		tail = tail_of(result->err);
		status = tune2fs(list, result, err);
		if (status == 0)
			return err_set(err, ERR_FAILED_PRECONDITION,
				       "the repair of %s was not begun: tune2fs cannot mark it as "
				       "not clean: %s",
				       device, tail.text);
	}
	return status < 0 ? err_wrap(err, "mark %s as not clean", device) : 0;
}

static int ext4_repair(const char *device, struct err *err)
{
	int status;

	if (ext4_mark_unclean(device, err) < 0)
		return -1;
	log_warning("repairing file system", KV("device", device));
	return e2fsck("-fy", device, deadline_none(), &status, err);
}

/* xfs_repair(8), EXIT STATUS. */
#define XFS_REPAIR_DIRTY_LOG 2

static int xfs_repair(const char *device, struct err *err)
{
	const char *const argv[] = { "xfs_repair", device, NULL };
	cleanup_free struct proc_result *result = xcalloc(1, sizeof(*result));
	struct tail tail;

	log_warning("repairing file system", KV("device", device));
	if (proc_run(argv, deadline_none(), result, err) < 0)
		return err_wrap(err, "repair %s", device);
	tail = tail_of(result->err[0] ? result->err : result->out);
	if (result->exit_code == XFS_REPAIR_DIRTY_LOG)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "xfs_repair %s: the log holds changes and cannot be replayed; only "
			       "xfs_repair -L, by hand, gives them up",
			       device);
	if (result->exit_code)
		return err_set(err, ERR_FAILED_PRECONDITION, "xfs_repair %s: exit status %d: %s",
			       device, result->exit_code, tail.text);
	log_warning("file system repaired", KV("device", device), KV("by", "xfs_repair"),
		    KV("said", tail.text));
	return 0;
}

int check_before_mount(const struct fs *fs, const char *device, bool repair,
		       struct deadline deadline, struct err *err)
{
	int status = 0;

	if (!is(fs, "ext4") || ext4_is_clean(device))
		return 0;
	if (may_begin("check", device, deadline, err) < 0)
		return -1;
	if (e2fsck("-p", device, deadline_after_ms(CHECK_MAX_MS), &status, err) == 0)
		return 0;
	if (status != E2FSCK_UNCORRECTED && status != (E2FSCK_UNCORRECTED | E2FSCK_CORRECTED))
		return -1;
	if (repair)
		return ext4_repair(device, err);
	return err_wrap(err, "e2fsck gave up" WAY_OUT);
}

int check_after_refusal(const struct fs *fs, const char *device, bool repair,
			struct deadline deadline, struct err *err)
{
	int rc;

	if (err->code != ERR_DATA_LOSS)
		return -1;
	err_recode(err, ERR_FAILED_PRECONDITION);
	if (is(fs, "btrfs"))
		return err_wrap(err, "corrupt, and a btrfs is not repaired (see btrfs-rescue(8))");
	if (!repair)
		return err_wrap(err, "corrupt" WAY_OUT);
	if (may_begin("repair", device, deadline, err) < 0)
		return -1;
	rc = is(fs, "xfs") ? xfs_repair(device, err) : ext4_repair(device, err);
	if (rc == 0)
		*err = ERR_INIT;
	return rc;
}
