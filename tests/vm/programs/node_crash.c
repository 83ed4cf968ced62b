/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node killed at every step: an operation runs in a process that is killed just before its n-th
 * changing system call, for every n until it comes through. After each kill a new process, which
 * every other time has settled what the old one left, gets the same call and has to end it: with
 * exactly its mounts, its session and its record, with the data that was there, and after the way
 * back with nothing left.
 *
 *	node_crash POOL-DIRECTORY TYPE [inside|keys]	TYPE: ext4, xfs, btrfs, block
 *
 * inside: instead of that, mkfs is killed with the node before each of its own writes.
 * keys: the same with a node that authenticates itself.
 */
#include "tests/vm/programs/node_fixture.h" /* cmocka's needs first */

#include "tests/vm/programs/kill_points.h"

#include <sys/vfs.h>

#include "csi/node/startup.h"
#include "nvme/host/controller.h"

#define MARKER_BYTES 65536
#define MARKER_OFFSET (1 << 20) /* on a raw volume */
#define GROWTH_BYTES (16ULL << 20)
#define STARTUP_MS 15000

struct operation {
	const char *name;
	int (*act)(struct err *err);
	int (*back)(struct err *err);	/* to where the operation may begin again */
	int (*before)(struct err *err); /* once; NULL: nothing */
	bool blanks;			/* each time it begins with an empty volume */
	bool grows;			/* each time its volume has grown */
	bool readonly;			/* the pod must never be able to write */
	bool staged, published;		/* what there is after it */
};

static const struct operation *current;
static char marker[MARKER_BYTES];

/* --- operations ------------------------------------------------------------------------------- */

static int publish_rw(struct err *err)
{
	return call_publish(false, err);
}

static int publish_ro(struct err *err)
{
	return call_publish(true, err);
}

static void volume_file(char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s%s", STAGED, is_block() ? "" : "/marker");
}

static int write_marker(struct err *err)
{
	cleanup_close int fd = -1;
	char path[PATH_MAX];

	volume_file(path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || pwrite(fd, marker, MARKER_BYTES, is_block() ? MARKER_OFFSET : 0) < 0 ||
	    fsync(fd) < 0)
		return err_sys(err, errno, "write %s", path);
	return 0;
}

static int check_marker(struct err *err)
{
	cleanup_close int fd = -1;
	char path[PATH_MAX], found[MARKER_BYTES];

	volume_file(path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "open %s", path);
	if (pread(fd, found, MARKER_BYTES, is_block() ? MARKER_OFFSET : 0) != MARKER_BYTES ||
	    memcmp(found, marker, MARKER_BYTES) != 0)
		return err_set(err, ERR_DATA_LOSS, "%s is not what was written", path);
	return 0;
}

/* What was written after the retry is there at the next stage, whose context still says "blank". */
static int write_and_come_back(struct err *err)
{
	if (write_marker(err) < 0 || call_unstage(err) < 0 || call_stage(err) < 0 ||
	    check_marker(err) < 0)
		return -1;
	return call_unstage(err);
}

static int check_and_unstage(struct err *err)
{
	return check_marker(err) < 0 ? -1 : call_unstage(err);
}

static int stage_and_check(struct err *err)
{
	return call_stage(err) < 0 ? -1 : check_marker(err);
}

static int fill_and_unstage(struct err *err)
{
	if (write_marker(err) < 0)
		return -1;
	return call_unstage(err);
}

/* Each begins where the one before has ended, or where its own `before` leads from there. */
static const struct operation operations[] = {
	{ "stage of an empty volume", call_stage, write_and_come_back, .blanks = true,
	  .staged = true },
	{ "stage of a volume with data", call_stage, check_and_unstage, .before = fill_and_unstage,
	  .staged = true },
	{ "expansion", call_expand, check_marker, .grows = true, .staged = true },
	{ "stage of a volume that grew", call_stage, check_and_unstage, .before = call_unstage,
	  .grows = true, .staged = true },
	{ "publish", publish_rw, call_unpublish, .staged = true, .published = true },
	{ "publish read-only", publish_ro, call_unpublish, .before = call_unpublish,
	  .readonly = true, .staged = true, .published = true },
	{ "unpublish", call_unpublish, publish_rw, .staged = true },
	{ "unstage", call_unstage, stage_and_check, .staged = false },
};

/* --- processes -------------------------------------------------------------------------------- */

/* Whether it is killed or, if not, settles what was left first, as a real one does at its start. */
enum how { KILLED, SETTLED, UNSETTLED };

static void child_run(int (*act)(struct err *err), enum how how)
{
	struct err err = ERR_INIT;

	if (open_node(&err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		_exit(2);
	}
	if (how == SETTLED)
		startup_reconcile(&node, deadline_after_ms(STARTUP_MS));
	if (how == KILLED)
		kill_begin();
	if (act(&err) < 0) {
		fprintf(stderr, "%s: %s: %s\n", current->name, err_code_name(err.code), err.msg);
		_exit(1);
	}
	_exit(0);
}

/* As a node that was started anew. */
static void run_free(int (*act)(struct err *err), enum how how, const char *what, const char *point)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0)
		child_run(act, how);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("%s, killed before %s: %s failed", current->name, point, what);
}

/* Runs the operation up to its n-th point, whose name it returns; NULL: it has no such. */
static const char *run_killed(int n, enum kill_where where)
{
	static char point[300];
	struct kill_run run = { .where = where, .left = n };

	run.process = fork();
	assert_true(run.process >= 0);
	if (run.process == 0)
		child_run(current->act, KILLED);
	switch (kill_run_to_point(&run)) {
	case -1:
		snprintf(point, sizeof(point), "%s %s", run.point, run.file);
		return point;
	case 0:
		return NULL;
	}
	fail_msg("%s: failed without being killed", current->name);
	return NULL;
}

/* --- judging ---------------------------------------------------------------------------------- */

static size_t count_mounts(const char *prefix, bool *ret_writable)
{
	cleanup_mount_table struct mount_table table = { 0 };
	struct err err = ERR_INIT;
	size_t count = 0;

	must(mount_table_read(&table, &err), &err);
	*ret_writable = false;
	for (size_t i = 0; i < table.count; i++) {
		if (strncmp(table.entries[i].target, prefix, strlen(prefix)) != 0)
			continue;
		count++;
		*ret_writable |= !table.entries[i].readonly;
	}
	return count;
}

static size_t count_entries(const char *path)
{
	cleanup_root_names struct root_names names = { 0 };
	cleanup_root struct root root = ROOT_INIT;
	struct err err = ERR_INIT;

	must(root_open(&root, path, &err), &err);
	must(root_list(&root, &names, &err, "."), &err);
	return names.count;
}

static size_t count_controllers(void)
{
	cleanup_host_controllers struct host_controllers all = { 0 };
	cleanup_root struct root sysfs = ROOT_INIT;
	struct err err = ERR_INIT;

	must(root_open(&sysfs, "/sys", &err), &err);
	must(host_controllers_get(&sysfs, NULL, NULL, &all, &err), &err);
	return all.count;
}

/* Those whose session is authenticated, or would be when it is made anew. */
static size_t count_keyed(void)
{
	cleanup_host_controllers struct host_controllers all = { 0 };
	cleanup_root struct root sysfs = ROOT_INIT;
	char secret[ROOT_VALUE_SIZE];
	struct err err = ERR_INIT;
	size_t count = 0;

	must(root_open(&sysfs, "/sys", &err), &err);
	must(host_controllers_get(&sysfs, NULL, NULL, &all, &err), &err);
	for (size_t i = 0; i < all.count; i++)
		count += root_read(&sysfs, secret, &err, "class/nvme/%s/dhchap_secret",
				   all.list[i].name) == 1 &&
			 strcmp(secret, KEY_32) == 0;
	return count;
}

#define EXPECT(what, found, wanted)                                                                \
	do {                                                                                       \
		size_t found_ = (found), wanted_ = (wanted);                                       \
		if (found_ != wanted_)                                                             \
			fail_msg("%s, killed before %s: %s: %zu instead of %zu", current->name,    \
				 point, what, found_, wanted_);                                    \
	} while (0)

/* A reader's path is read-only whatever became of the call. */
static void assert_safe(const char *point)
{
	bool writable;

	count_mounts(POD, &writable);
	if (current->readonly)
		EXPECT("mounts at the reader's path that can be written to", writable, 0);
}

/* Each growth is followed by one look, which finds the file system larger by about as much. */
static void assert_grown(const char *point)
{
	static uint64_t last_bytes;
	struct statfs fs;
	uint64_t bytes;

	assert_int_equal(statfs(STAGED, &fs), 0);
	bytes = (uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize;
	if (bytes < last_bytes + GROWTH_BYTES / 2)
		fail_msg("%s, killed before %s: the file system had %" PRIu64
			 " bytes and now has %" PRIu64 ", its device %" PRIu64,
			 current->name, point, last_bytes, bytes, grown_bytes);
	last_bytes = bytes;
}

static void assert_done(const char *point)
{
	bool ignored;

	EXPECT("mounts at the staging path", count_mounts(STAGING, &ignored), current->staged);
	EXPECT("private mounts", count_mounts(STATE_DIR, &ignored), current->staged && !is_block());
	EXPECT("mounts at the pod's path", count_mounts(POD, &ignored), current->published);
	EXPECT("sessions", count_controllers(), current->staged);
	EXPECT("sessions that have the key", count_keyed(), current->staged && with_keys);
	EXPECT("records", count_entries(STATE_DIR "/volumes"), current->staged);
	EXPECT("private mount points", count_entries(STATE_DIR "/mnt"),
	       current->staged && !is_block());
	EXPECT("entries beside the pod's path", count_entries(WORK_DIR "/pod"), current->published);
	if (!current->staged)
		EXPECT("entries in the staging path", count_entries(STAGING), 0);
	if (current->grows && !is_block())
		assert_grown(point);
}

/* --- the suite -------------------------------------------------------------------------------- */

/* As the target gives out a new volume. */
static void make_blank(void)
{
	cleanup_free char *path = xasprintf("%s/" UUID ".img", pool_path);
	cleanup_close int fd = open(path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
				   (off_t)volume_bytes),
			 0);
}

static int kill_everywhere(const struct operation *operation, enum kill_where where)
{
	const char *point = "";
	int kills = 0;

	current = operation;
	if (operation->before)
		run_free(operation->before, UNSETTLED, "what comes before it", "");
	for (;; kills++) {
		if (operation->blanks)
			make_blank();
		if (operation->grows)
			grow_unannounced(GROWTH_BYTES);
		point = run_killed(kills, where);
		if (!point)
			break;
		print_message("# %s %d: %s\n", operation->name, kills + 1, point);
		assert_safe(point);
		run_free(operation->act, kills % 2 ? SETTLED : UNSETTLED, "the retry", point);
		assert_done(point);
		run_free(operation->back, UNSETTLED, "the way back", point);
	}
	assert_done("its end");
	/* An operation that was never killed has proved nothing. */
	assert_true(kills > 0);
	print_message("%s, %s: killed at %d points\n", fs_type, operation->name, kills);
	return kills;
}

static void test_killed_at_every_step(void **state)
{
	int points = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		points += kill_everywhere(&operations[i], KILL_IN_PROCESS);
	print_message("%s: killed at %d points in all\n", fs_type, points);
}

static void test_killed_inside_mkfs(void **state)
{
	(void)state;
	kill_everywhere(&operations[0], KILL_IN_PROGRAMS);
	run_free(call_unstage, UNSETTLED, "unstage", "");
}

static int set_up(void **state)
{
	(void)state;
	for (size_t i = 0; i < MARKER_BYTES; i++)
		marker[i] = (char)(i * 31 + (i >> 8));
	export_volume();
	make_work_dir();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	remove_volume();
	assert_nothing_left();
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_killed_at_every_step) };
	const struct CMUnitTest inside[] = { cmocka_unit_test(test_killed_inside_mkfs) };
	const char *how = argc == 4 ? argv[3] : "";
	bool is_inside = strcmp(how, "inside") == 0;

	with_keys = strcmp(how, "keys") == 0;
	if (argc < 3 || argc > 4 || (argc == 4 && !is_inside && !with_keys)) {
		fprintf(stderr, "usage: %s POOL-DIRECTORY TYPE [inside|keys]\n", argv[0]);
		return 2;
	}
	fs_type = argv[2];
	if (parse_arguments(2, argv) < 0)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0); /* its children must not print it once more */
	if (is_inside)
		return cmocka_run_group_tests(inside, set_up, tear_down);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
