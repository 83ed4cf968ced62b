/* SPDX-License-Identifier: Apache-2.0 */
/* The table of file systems, mkfs and its options. */
#include "csi/volume/fs.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "nvme/base/cleanup.h"
#include "nvme/base/proc.h"

#define MKFS_OPTIONS_SIZE 1024
#define MKFS_OPTIONS_MAX 32
#define ARGV_MAX 96
#define STDERR_SHOWN 600

struct fs {
	const char *name;
	uint64_t min_bytes;
	const char *const *mkfs;   /* the program and options that others may follow and override */
	const char *const *pinned; /* "Xkey=value": option -X key=value unless mkfsOptions set it */
	const char *joined;  /* "Xlist": option -X list,… with those of mkfsOptions; or NULL */
	const char *letters; /* the options that mkfsOptions may use; each takes a value */
	const char *const *denied; /* keys in their values that may not be used */
	const char *overwrite;	   /* the option to write over what is there; NULL: not needed */
	const char *mount;
	const char *reader_mount;
};

/* 4 KiB blocks whatever the size: a small volume may grow, and the device's blocks may be 4 KiB. */
static const char *const ext4_mkfs[] = {
	"mkfs.ext4",
	"-q",
	"-b",
	"4096",
	"-I",
	"256",
	"-m",
	"0",
	"-O",
	"none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,"
	"sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum",
	NULL,
};
/* mkfs.ext4 forgets an -E when another one follows. */
static const char ext4_joined[] = "Elazy_itable_init=1,lazy_journal_init=1,nodiscard";
/* An offset would hide the file system from every probe. */
static const char *const ext4_denied[] = { "device", "offset", "journal_dev", NULL };

static const char *const xfs_mkfs[] = { "mkfs.xfs", "-q", "-K", NULL };
static const char *const xfs_pinned[] = {
	"mcrc=1",    "mfinobt=1", "minobtcount=1", "mbigtime=1", "mreflink=1",
	"mrmapbt=0", "isparse=1", "inrext64=0",	   NULL,
};
static const char *const xfs_denied[] = { "name", "file", "logdev", "uuid", NULL };

/*
 * Metadata twice: there is no safe repair of a btrfs, so that one bad block on the target's disk,
 * or one torn in a crash, would otherwise cost the volume. Data once, as every other file system.
 * free-space-tree is under -R alone in older programs. Sizes whatever the page size of the node.
 */
static const char *const btrfs_mkfs[] = {
	"mkfs.btrfs",
	"-q",
	"-K",
	"-m",
	"dup",
	"-d",
	"single",
	"-s",
	"4096",
	"-n",
	"16384",
	"-O",
	"^mixed-bg,extref,skinny-metadata,no-holes",
	"-R",
	"free-space-tree,^quota",
	NULL,
};
static const char *const none[] = { NULL };

static const struct fs table[] = {
	{
		.name = "ext4",
		.min_bytes = UINT64_C(16) << 20,
		.mkfs = ext4_mkfs,
		.pinned = none,
		.joined = ext4_joined,
		.letters = "bCEGIJNOTgim",
		.denied = ext4_denied,
		.mount = "",
		.reader_mount = "ro,noload",
	},
	{
		.name = "xfs",
		.min_bytes = UINT64_C(300) << 20,
		.mkfs = xfs_mkfs,
		.pinned = xfs_pinned,
		.letters = "bdilmns",
		.denied = xfs_denied,
		.overwrite = "-f",
		/* A clone or restored snapshot has its source's UUID, and both may be on a node. */
		.mount = "nouuid",
		.reader_mount = "ro,norecovery,nouuid",
	},
	{
		.name = "btrfs",
		.min_bytes = UINT64_C(256) << 20,
		.mkfs = btrfs_mkfs,
		.pinned = none,
		.letters = "ORdmns",
		.denied = none,
		.overwrite = "-f",
		/* Newer kernels discard by themselves; here as elsewhere it is the user's choice. */
		.mount = "nodiscard",
		.reader_mount = "ro,rescue=nologreplay",
	},
};

const struct fs *fs_find(const char *name)
{
	for (size_t i = 0; name && i < ARRAY_SIZE(table); i++)
		if (!strcmp(table[i].name, name))
			return &table[i];
	return NULL;
}

const char *fs_name(const struct fs *fs)
{
	return fs->name;
}

uint64_t fs_min_bytes(const struct fs *fs)
{
	return fs->min_bytes;
}

/* mkfsOptions, taken apart. The values point into text. */
struct extra {
	char text[MKFS_OPTIONS_SIZE];
	size_t count;
	struct {
		char flag[3];
		const char *value;
	} options[MKFS_OPTIONS_MAX];
};

/*
 * Whether a comma separated list has this key, with or without a value. mkfs.ext4 takes features in
 * letters of either case, and after a plus sign.
 */
static bool has_key(const char *list, const char *key, size_t key_len)
{
	while (*list) {
		size_t len = strcspn(list, ","), sign = *list == '+';

		if (len >= sign + key_len && !strncasecmp(list + sign, key, key_len) &&
		    (len == sign + key_len || list[sign + key_len] == '='))
			return true;
		list += len + (list[len] == ',');
	}
	return false;
}

static int check_value(const struct fs *fs, const char *flag, const char *value, struct err *err)
{
	if (!value || !*value || *value == '-')
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "mkfsOptions: option %s needs a value, as in '%s value'", flag,
			       flag);
	for (const char *p = value; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("_=,.:^+-", *p))
			return err_set(
				err, ERR_INVALID_ARGUMENT,
				"mkfsOptions: value '%.100s' of %s: only letters, digits and "
				"_ = , . : ^ + - are allowed",
				value, flag);
	for (size_t i = 0; fs->denied[i]; i++)
		if (has_key(value, fs->denied[i], strlen(fs->denied[i])))
			return err_set(err, ERR_INVALID_ARGUMENT,
				       "mkfsOptions: '%s' in '%s %.100s' is not allowed",
				       fs->denied[i], flag, value);
	return 0;
}

static int extra_add(const struct fs *fs, struct extra *extra, const char *word, char **rest,
		     struct err *err)
{
	char flag[3] = { '-', word[1], '\0' };
	const char *value = word[1] && word[2] ? word + 2 : NULL;

	if (word[0] != '-' || !word[1] || !strchr(fs->letters, word[1]))
		return err_set(
			err, ERR_INVALID_ARGUMENT,
			"mkfsOptions: '%.100s' is not allowed for %s; allowed are - followed "
			"by one of %s, each with a value",
			word, fs->name, fs->letters);
	if (extra->count == MKFS_OPTIONS_MAX)
		return err_set(err, ERR_INVALID_ARGUMENT, "mkfsOptions: more than %d options",
			       MKFS_OPTIONS_MAX);
	if (!value)
		value = strtok_r(NULL, " \t\r\n", rest);
	if (check_value(fs, flag, value, err) < 0)
		return -1;
	memcpy(extra->options[extra->count].flag, flag, sizeof(flag));
	extra->options[extra->count++].value = value;
	return 0;
}

static int extra_parse(const struct fs *fs, const char *text, struct extra *ret, struct err *err)
{
	struct strb copy = strb_over(ret->text, sizeof(ret->text));
	char *rest = NULL;

	ret->count = 0;
	strb_add(&copy, text ?: "");
	if (copy.overflow)
		return err_set(err, ERR_INVALID_ARGUMENT, "mkfsOptions: longer than %d bytes",
			       MKFS_OPTIONS_SIZE - 1);
	for (char *word = strtok_r(ret->text, " \t\r\n", &rest); word;
	     word = strtok_r(NULL, " \t\r\n", &rest))
		if (extra_add(fs, ret, word, &rest, err) < 0)
			return -1;
	return 0;
}

int fs_check_mkfs_options(const struct fs *fs, const char *options, struct err *err)
{
	struct extra extra;

	return extra_parse(fs, options, &extra, err);
}

/* Whether mkfsOptions decide a pinned "Xkey=value". mkfs.xfs refuses a key that is given twice. */
static bool extra_sets(const struct extra *extra, const char *pinned)
{
	for (size_t i = 0; i < extra->count; i++)
		if (extra->options[i].flag[1] == pinned[0] &&
		    has_key(extra->options[i].value, pinned + 1, strcspn(pinned + 1, "=")))
			return true;
	return false;
}

struct args {
	const char *argv[ARGV_MAX];
	size_t count;
	char flags[ARGV_MAX][3];
	char joined[2 * MKFS_OPTIONS_SIZE];
};

static void args_add(struct args *args, const char *word)
{
	if (args->count < ARGV_MAX - 1)
		args->argv[args->count++] = word;
}

/* The option whose values make one list, as one word: "-Xlist,more". */
static void add_joined(const char *joined, const struct extra *extra, struct args *args)
{
	struct strb word = strb_over(args->joined, sizeof(args->joined));

	strb_addf(&word, "-%s", joined);
	for (size_t i = 0; i < extra->count; i++)
		if (extra->options[i].flag[1] == joined[0])
			strb_addf(&word, ",%s", extra->options[i].value);
	args_add(args, args->joined);
}

static void build_argv(const struct fs *fs, const struct extra *extra, bool overwrite,
		       const char *device, struct args *args)
{
	for (size_t i = 0; fs->mkfs[i]; i++)
		args_add(args, fs->mkfs[i]);
	if (overwrite && fs->overwrite)
		args_add(args, fs->overwrite);
	for (size_t i = 0; fs->pinned[i]; i++) {
		if (extra_sets(extra, fs->pinned[i]))
			continue;
		args->flags[i][0] = '-';
		args->flags[i][1] = fs->pinned[i][0];
		args_add(args, args->flags[i]);
		args_add(args, fs->pinned[i] + 1);
	}
	if (fs->joined)
		add_joined(fs->joined, extra, args);
	for (size_t i = 0; i < extra->count; i++) {
		if (fs->joined && extra->options[i].flag[1] == fs->joined[0])
			continue;
		args_add(args, extra->options[i].flag);
		args_add(args, extra->options[i].value);
	}
	args_add(args, device);
}

static int check_exit(const struct proc_result *result, const char *program, const char *device,
		      struct err *err)
{
	size_t len = strlen(result->err);
	const char *tail = result->err + (len > STDERR_SHOWN ? len - STDERR_SHOWN : 0);

	if (result->term_signal)
		return err_set(err, ERR_INTERNAL, "%s %s: ended by signal %d: %s", program, device,
			       result->term_signal, tail);
	if (result->exit_code)
		return err_set(err, ERR_INTERNAL, "%s %s: exit status %d: %s", program, device,
			       result->exit_code, tail);
	return 0;
}

/* The programs flush by themselves, but do not all tell when that fails. */
static int flush(const char *device, struct err *err)
{
	cleanup_close int fd = open(device, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, errno, "open %s", device);
	if (fsync(fd) < 0)
		return err_sys(err, errno, "fsync %s", device);
	return 0;
}

int fs_make(const struct fs *fs, const char *device, const char *mkfs_options, bool overwrite,
	    struct deadline deadline, struct err *err)
{
	cleanup_free struct proc_result *result = xcalloc(1, sizeof(*result));
	struct args args = { 0 };
	struct extra extra;

	if (device[0] != '/')
		return err_set(err, ERR_INTERNAL, "device '%s' is not an absolute path", device);
	if (extra_parse(fs, mkfs_options, &extra, err) < 0)
		return -1;
	build_argv(fs, &extra, overwrite, device, &args);
	if (proc_run(args.argv, deadline, result, err) < 0)
		return err_wrap(err, "make %s on %s", fs->name, device);
	if (check_exit(result, fs->mkfs[0], device, err) < 0)
		return -1;
	return flush(device, err);
}

static void add_list(struct strb *out, const char *list)
{
	if (!list || !*list)
		return;
	if (out->len)
		strb_addc(out, ',');
	strb_add(out, list);
}

void fs_mount_options(const struct fs *fs, bool reader, const char *extra, struct strb *out)
{
	add_list(out, reader ? fs->reader_mount : fs->mount);
	add_list(out, extra);
}
