/* SPDX-License-Identifier: Apache-2.0 */
/* Reading mountinfo, finding entries in it, resolving paths and taking mount options apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "csi/volume/mount.h"
#include "tests/unit/own_mounts.h"

static char dir[] = "/tmp/test_volume_mount.XXXXXX";

static int setup(void **state)
{
	(void)state;
	return own_tmpfs(dir, "size=1m");
}

static int teardown(void **state)
{
	(void)state;
	return own_tmpfs_remove(dir);
}

static char *make_dir(const char *name)
{
	char *path = xasprintf("%s/%s", dir, name);

	assert_int_equal(mkdir(path, 0755), 0);
	return path;
}

static void read_table(struct mount_table *table)
{
	struct err err = ERR_INIT;

	if (mount_table_read(table, &err) < 0)
		fail_msg("%s", err.msg);
}

static void test_table_of_plain_mount(void **state)
{
	struct mount_table table cleanup_mount_table = { 0 };
	const struct mount_entry *entry;
	struct stat st;

	(void)state;
	NEEDS_MOUNT();
	read_table(&table);
	entry = mount_table_find(&table, dir);
	assert_non_null(entry);
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(entry->major, st.st_dev >> 8);
	assert_int_equal(entry->minor, st.st_dev & 0xff);
	assert_string_equal(entry->fs_type, "tmpfs");
	assert_string_equal(entry->source, "test");
	assert_string_equal(entry->fs_root, "/");
	assert_false(entry->readonly);
	assert_false(entry->sb_readonly);
	assert_null(mount_table_find(&table, "/tmp/test_volume_mount"));
}

static void test_table_unescapes(void **state)
{
	struct mount_table table cleanup_mount_table = { 0 };
	cleanup_free char *path = NULL;

	(void)state;
	NEEDS_MOUNT();
	path = make_dir("a b\tc\nd\\040e#f");
	assert_int_equal(mount("odd source", path, "tmpfs", MS_RDONLY, NULL), 0);
	read_table(&table);
	assert_non_null(mount_table_find(&table, path));
	assert_string_equal(mount_table_find(&table, path)->source, "odd source");
	assert_true(mount_table_find(&table, path)->readonly);
	assert_true(mount_table_find(&table, path)->sb_readonly);
	assert_int_equal(umount(path), 0);
}

static void test_table_tells_mount_from_superblock(void **state)
{
	struct mount_table table cleanup_mount_table = { 0 };
	cleanup_free char *path = NULL;

	(void)state;
	NEEDS_MOUNT();
	path = make_dir("robind");
	assert_int_equal(mount(path, path, NULL, MS_BIND, NULL), 0);
	assert_int_equal(mount(NULL, path, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL), 0);
	read_table(&table);
	assert_true(mount_table_find(&table, path)->readonly);
	assert_false(mount_table_find(&table, path)->sb_readonly);
	assert_string_equal(mount_table_find(&table, path)->fs_root, "/robind");
	assert_int_equal(umount(path), 0);
}

/* A tree cloned first but attached last is topmost, yet listed first by newer kernels. */
static void test_find_topmost(void **state)
{
	struct mount_table table cleanup_mount_table = { 0 };
	cleanup_free char *path = NULL;
	int early;

	(void)state;
	NEEDS_MOUNT();
	path = make_dir("stack");
	early = open_tree(AT_FDCWD, dir, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	assert_true(early >= 0);
	assert_int_equal(mount("lower", path, "tmpfs", 0, NULL), 0);
	assert_int_equal(move_mount(early, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH), 0);
	close(early);
	read_table(&table);
	assert_string_equal(mount_table_find(&table, path)->source, "test");
	mount_table_fini(&table);
	assert_int_equal(umount(path), 0);
	read_table(&table);
	assert_string_equal(mount_table_find(&table, path)->source, "lower");
	assert_int_equal(umount(path), 0);
}

#define LINE(rest) "36 35 98:0 / /mnt rw,noatime master:1 propagate_from:2 " rest "\n"

static int parse_table(const char *text, struct mount_table *ret, struct err *err)
{
	return mount_table_parse(xstrdup(text), ret, err);
}

static void test_parse_takes_lines_apart(void **state)
{
	struct mount_table table cleanup_mount_table = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(
		parse_table(
			LINE("- ext3 /dev/root rw,errors=continue") "40 36 0:50 /a\\040b "
								    "/mnt/c\\134d ro - x  "
								    "ro,shutdown\n"
								    "41 36 8:1 / /e rw - ext4 none "
								    "rw,xro,emergency_ro\n"
								    "42 36 8:1 / /f rw - ext4 none "
								    "rw,abort\n",
			&table, &err),
		0);
	assert_int_equal(table.count, 4);
	assert_int_equal(table.entries[0].id, 36);
	assert_int_equal(table.entries[0].parent_id, 35);
	assert_int_equal(table.entries[0].major, 98);
	assert_string_equal(table.entries[0].source, "/dev/root");
	assert_false(table.entries[0].readonly || table.entries[0].sb_stopped);
	assert_string_equal(table.entries[1].fs_root, "/a b");
	assert_string_equal(table.entries[1].target, "/mnt/c\\d");
	assert_string_equal(table.entries[1].source, "");
	assert_true(table.entries[1].readonly && table.entries[1].sb_readonly);
	assert_true(table.entries[1].sb_stopped);
	assert_false(table.entries[2].readonly || table.entries[2].sb_readonly);
	assert_true(table.entries[2].sb_stopped);
	assert_true(table.entries[3].sb_stopped);
}

/* A mount that was passed over would seem to be gone. */
static void test_parse_refuses_what_it_does_not_understand(void **state)
{
	static const char *const bad[] = {
		LINE("ext3 /dev/root rw"),
		LINE("- ext3 /dev/root"),
		"36 35 98 / /mnt rw - ext3 /dev/root rw\n",
		"36 35 98:0x / /mnt rw - ext3 /dev/root rw\n",
		"x 35 98:0 / /mnt rw - ext3 /dev/root rw\n",
		"36 -1 98:0 / /mnt rw - ext3 /dev/root rw\n",
		"36 35 98:0 / mnt rw - ext3 /dev/root rw\n",
		"36 35 98:0 / /mnt\n",
		"\n" LINE("- ext3 /dev/root rw"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct mount_table table = { 0 };
		struct err err = ERR_INIT;

		assert_int_equal(parse_table(bad[i], &table, &err), -1);
		assert_non_null(strstr(err.msg, "line 1 of /proc/self/mountinfo"));
	}
}

static void assert_same_entry(const struct mount_entry *a, const struct mount_entry *b)
{
	assert_non_null(a);
	assert_non_null(b);
	assert_int_equal(a->id, b->id);
	assert_int_equal(a->parent_id, b->parent_id);
	assert_int_equal(a->major, b->major);
	assert_int_equal(a->minor, b->minor);
	assert_string_equal(a->target, b->target);
	assert_string_equal(a->fs_root, b->fs_root);
	assert_string_equal(a->fs_type, b->fs_type);
	assert_string_equal(strrchr(a->source, '/'), strrchr(b->source, '/'));
	assert_int_equal(a->readonly, b->readonly);
	assert_int_equal(a->sb_readonly, b->sb_readonly);
	assert_int_equal(a->sb_stopped, b->sb_stopped);
}

/* A few paths say what the whole table says of them, of whatever kind the mounts are. */
static void test_read_at(void **state)
{
	struct mount_table whole cleanup_mount_table = { 0 }, at cleanup_mount_table = { 0 };
	cleanup_free char *bind = NULL, *other = NULL, *none = NULL, *absent = NULL;
	const char *paths[4];
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	paths[0] = bind = make_dir("bi nd");
	paths[1] = other = make_dir("at other");
	paths[2] = none = make_dir("at none");
	paths[3] = absent = xasprintf("%s/absent", none);
	/* Of what usually is a file system with a block device. */
	assert_int_equal(mount("/usr", bind, NULL, MS_BIND, NULL), 0);
	assert_int_equal(mount(NULL, bind, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL), 0);
	read_table(&whole);
	assert_int_equal(mount_table_read_at(paths, 1, &at, &err), 0);
	assert_same_entry(mount_table_find(&at, bind), mount_table_find(&whole, bind));
	mount_table_fini(&at);
	assert_int_equal(mount("dev/o", other, "tmpfs", 0, NULL), 0);
	mount_table_fini(&whole);
	read_table(&whole);
	assert_int_equal(mount_table_read_at(paths, 4, &at, &err), 0);
	assert_same_entry(mount_table_find(&at, bind), mount_table_find(&whole, bind));
	assert_same_entry(mount_table_find(&at, other), mount_table_find(&whole, other));
	assert_null(mount_table_find(&at, none));
	assert_null(mount_table_find(&at, absent));
	assert_int_equal(umount(bind) | umount(other), 0);
}

/* Mounted over, and gone from below: what is topmost counts. */
static void test_read_at_finds_the_topmost(void **state)
{
	cleanup_free char *path = NULL;
	const char *at_path;
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	at_path = path = make_dir("at over");
	assert_int_equal(mount("/usr", path, NULL, MS_BIND, NULL), 0);
	assert_int_equal(mount("/etc", path, NULL, MS_BIND, NULL), 0);
	for (int i = 0; i < 3; i++) {
		struct mount_table whole cleanup_mount_table = { 0 };
		struct mount_table at cleanup_mount_table = { 0 };

		read_table(&whole);
		assert_int_equal(mount_table_read_at(&at_path, 1, &at, &err), 0);
		if (i < 2)
			assert_same_entry(mount_table_find(&at, path),
					  mount_table_find(&whole, path));
		else
			assert_null(mount_table_find(&at, path));
		umount(path);
	}
}

static void test_next_of_device(void **state)
{
	struct mount_table table cleanup_mount_table = { 0 };
	const struct mount_entry *entry, *first, *second;
	cleanup_free char *path = NULL;

	(void)state;
	NEEDS_MOUNT();
	path = make_dir("again");
	assert_int_equal(mount(dir, path, NULL, MS_BIND, NULL), 0);
	read_table(&table);
	entry = mount_table_find(&table, dir);
	first = mount_table_next(&table, NULL, entry->major, entry->minor);
	second = mount_table_next(&table, first, entry->major, entry->minor);
	assert_non_null(second);
	assert_string_not_equal(first->target, second->target);
	assert_null(mount_table_next(&table, second, entry->major, entry->minor));
	assert_null(mount_table_next(&table, NULL, 4095, 1));
	assert_int_equal(umount(path), 0);
}

static void test_resolve(void **state)
{
	cleanup_free char *real = xasprintf("%s/real", dir);
	cleanup_free char *link = xasprintf("%s/link", dir);
	cleanup_free char *through = xasprintf("%s/link//x/", dir);
	cleanup_free char *dangling = xasprintf("%s/none/x", dir);
	cleanup_free char *expect = NULL;
	char got[PATH_MAX], base[PATH_MAX];
	struct err err = ERR_INIT;

	(void)state;
	assert_non_null(realpath(dir, base));
	assert_int_equal(mkdir(real, 0755), 0);
	assert_int_equal(symlink("real", link), 0);
	assert_int_equal(mount_path_resolve(through, got, &err), 1);
	expect = xasprintf("%s/real/x", base);
	assert_string_equal(got, expect);
	/* The last component is not followed. */
	assert_int_equal(mount_path_resolve(link, got, &err), 1);
	assert_string_equal(got + strlen(base), "/link");
	assert_int_equal(mount_path_resolve(dangling, got, &err), 0);
	assert_int_equal(mount_path_resolve("/x", got, &err), 1);
	assert_string_equal(got, "/x");
	assert_int_equal(unlink(link), 0);
	assert_int_equal(rmdir(real), 0);
}

static void test_resolve_refuses(void **state)
{
	static const char *const bad[] = { "", "/", "a/b", "/a/..", "/a/." };
	char got[PATH_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err err = ERR_INIT;

		assert_int_equal(mount_path_resolve(bad[i], got, &err), -1);
		assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
	}
}

static void parse(const char *text, struct mount_options *options)
{
	struct err err = ERR_INIT;

	if (mount_options_parse(text, options, &err) < 0)
		fail_msg("%s: %s", text, err.msg);
}

static void test_options_split(void **state)
{
	struct mount_options o;
	const char *p;

	(void)state;
	parse("nosuid,discard,noatime,,x-note=1,x-systemd.automount,_netdev,defaults,commit=30",
	      &o);
	assert_false(o.readonly);
	assert_int_equal(o.attr_set, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOATIME);
	assert_int_equal(o.attr_clr, MOUNT_ATTR__ATIME);
	p = o.fs;
	assert_string_equal(p, "discard");
	p += strlen(p) + 1;
	assert_string_equal(p, "commit=30");
	p += strlen(p) + 1;
	assert_string_equal(p, "");
	parse("noatime,strictatime,nodev,noexec,nodiratime,nosymfollow", &o);
	assert_int_equal(o.attr_set, MOUNT_ATTR_STRICTATIME | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |
					     MOUNT_ATTR_NODIRATIME | MOUNT_ATTR_NOSYMFOLLOW);
}

static void test_options_readonly_sticks(void **state)
{
	struct mount_options o;

	(void)state;
	parse("ro,rw", &o);
	assert_true(o.readonly);
	parse("rw,nosuid", &o);
	assert_false(o.readonly);
	parse(NULL, &o);
	assert_false(o.readonly);
	assert_string_equal(o.fs, "");
	/* Not "ro", only beginning with it. */
	parse("rootcontext=a", &o);
	assert_false(o.readonly);
	assert_string_equal(o.fs, "rootcontext=a");
}

static void test_options_quoted(void **state)
{
	struct mount_options o;

	(void)state;
	parse("context=\"system_u:object_r:x:s0:c1,c2\",ro", &o);
	assert_true(o.readonly);
	assert_string_equal(o.fs, "context=system_u:object_r:x:s0:c1,c2");
}

static void test_options_refused(void **state)
{
	char text[MOUNT_OPTIONS_SIZE + 1];
	struct mount_options o = { .attr_set = 77 };
	struct err err = ERR_INIT;

	(void)state;
	memset(text, 'a', sizeof(text));
	text[MOUNT_OPTIONS_SIZE - 1] = '\0';
	assert_int_equal(mount_options_parse(text, &o, &err), -1);
	assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
	assert_int_equal(mount_options_parse("discard,=5", &o, &err), -1);
	assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
	assert_int_equal(mount_options_parse("context=\"open", &o, &err), -1);
	assert_int_equal(o.attr_set, 77);
	/* The longest that fits still has its end. */
	text[MOUNT_OPTIONS_SIZE - 2] = '\0';
	parse(text, &o);
	assert_int_equal(strlen(o.fs), MOUNT_OPTIONS_SIZE - 2);
	assert_int_equal(o.fs[MOUNT_OPTIONS_SIZE - 1], '\0');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_of_plain_mount),
		cmocka_unit_test(test_table_unescapes),
		cmocka_unit_test(test_table_tells_mount_from_superblock),
		cmocka_unit_test(test_find_topmost),
		cmocka_unit_test(test_parse_takes_lines_apart),
		cmocka_unit_test(test_parse_refuses_what_it_does_not_understand),
		cmocka_unit_test(test_read_at),
		cmocka_unit_test(test_read_at_finds_the_topmost),
		cmocka_unit_test(test_next_of_device),
		cmocka_unit_test(test_resolve),
		cmocka_unit_test(test_resolve_refuses),
		cmocka_unit_test(test_options_split),
		cmocka_unit_test(test_options_readonly_sticks),
		cmocka_unit_test(test_options_quoted),
		cmocka_unit_test(test_options_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
