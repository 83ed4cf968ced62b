/* SPDX-License-Identifier: Apache-2.0 */
/* What is made and removed at paths from outside: only ever what is empty. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "csi/node/paths.h"
#include "nvme/base/file.h"
#include "nvme/base/root.h"
#include "tests/unit/own_mounts.h"

static char dir[64];
static struct root root;

static int setup(void **state)
{
	struct err err;

	(void)state;
	strcpy(dir, "/tmp/test_node_paths.XXXXXX");
	return mkdtemp(dir) ? root_open(&root, dir, &err) : -1;
}

static int teardown(void **state)
{
	(void)state;
	root_close(&root);
	return rmdir(dir);
}

/* The path of name in the directory of the test; static, for one use at a time. */
static const char *at(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void put(const char *name, const char *text)
{
	cleanup_close int fd = openat(root.fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void refused(int rc, struct err *err, const char *name)
{
	assert_int_equal(rc, -1);
	assert_int_equal(err->code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err->msg, at(name)));
	*err = ERR_INIT;
}

static void test_create_file(void **state)
{
	struct err err = ERR_INIT;
	struct stat st;

	(void)state;
	assert_int_equal(paths_create_file(at("f"), &err), 0);
	assert_int_equal(paths_create_file(at("f"), &err), 0);
	assert_int_equal(stat(at("f"), &st), 0);
	assert_true(S_ISREG(st.st_mode) && st.st_size == 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(paths_remove_file(at("f"), &err), 0);
	assert_int_equal(paths_create_file(at("no/f"), &err), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
}

static void test_create_file_in_the_way(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	put("full", "data");
	refused(paths_create_file(at("full"), &err), &err, "full");
	assert_int_equal(root_mkdir(&root, &err, "d"), 0);
	refused(paths_create_file(at("d"), &err), &err, "d");
	assert_int_equal(root_symlink(&root, "/tmp/test_node_paths.stolen", &err, "l"), 0);
	refused(paths_create_file(at("l"), &err), &err, "l");
	assert_int_equal(access("/tmp/test_node_paths.stolen", F_OK), -1);
	unlink(at("full"));
	unlink(at("l"));
	rmdir(at("d"));
}

static void test_create_directory(void **state)
{
	struct err err = ERR_INIT;
	struct stat st;

	(void)state;
	assert_int_equal(paths_create_directory(at("d"), &err), 0);
	assert_int_equal(paths_create_directory(at("d"), &err), 0);
	assert_int_equal(stat(at("d"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0750);
	put("f", "");
	refused(paths_create_directory(at("f"), &err), &err, "f");
	assert_int_equal(root_symlink(&root, dir, &err, "l"), 0);
	refused(paths_create_directory(at("l"), &err), &err, "l");
	unlink(at("f"));
	unlink(at("l"));
	rmdir(at("d"));
}

static void test_remove_file(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(paths_remove_file(at("absent"), &err), 0);
	put("f", "");
	assert_int_equal(paths_remove_file(at("f/below"), &err), 0);
	assert_int_equal(paths_remove_file(at("f"), &err), 0);
	assert_false(root_exists(&root, "f"));
	put("full", "data");
	refused(paths_remove_file(at("full"), &err), &err, "full");
	assert_int_equal(root_mkdir(&root, &err, "d"), 0);
	refused(paths_remove_file(at("d"), &err), &err, "d");
	assert_int_equal(root_symlink(&root, at("full"), &err, "l"), 0);
	refused(paths_remove_file(at("l"), &err), &err, "l");
	assert_true(root_exists(&root, "full"));
	assert_true(root_exists(&root, "l"));
	unlink(at("full"));
	unlink(at("l"));
	rmdir(at("d"));
}

static void test_remove_any(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(paths_remove_any(at("absent"), &err), 0);
	assert_int_equal(root_mkdir(&root, &err, "d"), 0);
	put("d/data", "");
	refused(paths_remove_any(at("d"), &err), &err, "d");
	assert_true(root_exists(&root, "d/data"));
	assert_int_equal(root_symlink(&root, at("d"), &err, "l"), 0);
	refused(paths_remove_any(at("l"), &err), &err, "l");
	put("full", "data");
	refused(paths_remove_any(at("full"), &err), &err, "full");
	unlink(at("full"));
	unlink(at("l"));
	assert_int_equal(paths_remove_any(at("d/data"), &err), 0);
	assert_int_equal(paths_remove_any(at("d"), &err), 0);
	assert_false(root_exists(&root, "d"));
}

static void test_check_staging(void **state)
{
	char canonical[PATH_MAX];
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(root_mkdir(&root, &err, "d"), 0);
	assert_int_equal(root_symlink(&root, dir, &err, "up"), 0);
	assert_int_equal(root_symlink(&root, at("d"), &err, "l"), 0);
	put("f", "");
	assert_int_equal(paths_check_staging(at("up/d/"), canonical, &err), 0);
	assert_string_equal(canonical, at("d"));
	assert_int_equal(paths_check_staging(at("l"), canonical, &err), -1);
	assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
	assert_non_null(strstr(err.msg, "symbolic link"));
	assert_int_equal(paths_check_staging(at("f"), canonical, &err), -1);
	assert_non_null(strstr(err.msg, "is a file, not a directory"));
	assert_int_equal(paths_check_staging(at("absent"), canonical, &err), -1);
	assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
	assert_int_equal(paths_check_staging(at("absent/below"), canonical, &err), -1);
	assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
	unlink(at("f"));
	unlink(at("l"));
	unlink(at("up"));
	rmdir(at("d"));
}

static struct mount_entry entry_of(const char *type, const char *fs_root, const char *source)
{
	return (struct mount_entry) { .major = 259,
				      .minor = 3,
				      .target = (char *)"/target",
				      .fs_root = (char *)fs_root,
				      .fs_type = (char *)type,
				      .source = (char *)source };
}

static void test_is_of(void **state)
{
	struct host_namespace ns = { .name = "nvme0n1", .major = 259, .minor = 3 };
	struct mount_entry whole = entry_of("ext4", "/", "/dev/nvme0n1");
	struct mount_entry part = entry_of("ext4", "/dir", "/dev/nvme0n1");
	struct mount_entry node = entry_of("devtmpfs", "/nvme0n1", "devtmpfs");
	struct mount_entry other_node = entry_of("devtmpfs", "/nvme0n10", "devtmpfs");

	(void)state;
	node.minor = other_node.minor = 6;
	assert_true(paths_is_of(&whole, &ns) && paths_is_of(&part, &ns) && paths_is_of(&node, &ns));
	assert_false(paths_is_of(&other_node, &ns));
	assert_true(paths_is_bind_of(&whole, &ns, false) && paths_is_bind_of(&node, &ns, true));
	assert_false(paths_is_bind_of(&part, &ns, false));
	assert_false(paths_is_bind_of(&whole, &ns, true) || paths_is_bind_of(&node, &ns, false));
	/* The same name, another device. */
	whole.minor = 4;
	assert_false(paths_is_of(&whole, &ns));
}

/* Only a namespace that sysfs no longer knows is dead: never a partition, never a live device. */
static void test_is_dead(void **state)
{
	struct mount_entry mount = entry_of("ext4", "/", "/dev/nvme0n1");
	struct mount_entry node = entry_of("devtmpfs", "/nvme0n1", "devtmpfs");
	struct err err = ERR_INIT;

	(void)state;
	assert_true(paths_is_dead(&root, &mount) && paths_is_dead(&root, &node));
	node.fs_root = (char *)"/nvme0n1//deleted";
	assert_true(paths_is_dead(&root, &node));
	mount.source = (char *)"/dev/nvme0n1p1";
	assert_false(paths_is_dead(&root, &mount));
	mount.source = (char *)"/dev/sda";
	assert_false(paths_is_dead(&root, &mount));
	mount.source = (char *)"tmpfs";
	assert_false(paths_is_dead(&root, &mount));
	node.fs_root = (char *)"/null";
	assert_false(paths_is_dead(&root, &node));

	assert_int_equal(file_mkdirs(at("dev/block/259:3"), &err), 0);
	assert_int_equal(file_mkdirs(at("class/block/nvme0n1"), &err), 0);
	mount.source = (char *)"/dev/nvme0n1";
	node.fs_root = (char *)"/nvme0n1";
	assert_false(paths_is_dead(&root, &mount) || paths_is_dead(&root, &node));
	rmdir(at("dev/block/259:3"));
	rmdir(at("dev/block"));
	rmdir(at("dev"));
	rmdir(at("class/block/nvme0n1"));
	rmdir(at("class/block"));
	rmdir(at("class"));
}

/* Nothing that is not certainly ours is ever unmounted. */
static void test_unmount_foreign(void **state)
{
	struct host_namespace ns = { .name = "nvme0n1", .major = 259, .minor = 3 };
	cleanup_free char *path = xstrdup(at("foreign"));
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(own_mounts(), 0);
	NEEDS_MOUNT();
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(paths_unmount_ours(&root, path, &ns, &err), 0);
	assert_int_equal(mount("none", path, "tmpfs", 0, NULL), 0);
	assert_int_equal(paths_unmount_ours(&root, path, &ns, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "mount of none (tmpfs)"));
	assert_int_equal(paths_unmount_ours(&root, path, NULL, &err), -1);
	assert_int_equal(umount(path), 0);
	rmdir(path);
}

enum { REFUSED, OTHERWISE, NOT_ALLOWED };

/* To a user namespace, the mounts that were there before are locked. */
static void unmount_locked(const char *path, const struct host_namespace *ns)
{
	struct err err = ERR_INIT;

	alarm(20);
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		_exit(NOT_ALLOWED);
	_exit(paths_unmount_ours(&root, path, ns, &err) < 0 && strstr(err.msg, "still mounted") ?
		      REFUSED :
		      OTHERWISE);
}

/* An unmount that does nothing is not tried for ever. */
static void test_unmount_in_vain(void **state)
{
	const char *path = at("locked");
	struct stat st;
	struct host_namespace ns;
	int status;
	pid_t child;

	(void)state;
	assert_int_equal(own_mounts(), 0);
	NEEDS_MOUNT();
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(mount("none", path, "tmpfs", 0, NULL), 0);
	assert_int_equal(stat(path, &st), 0);
	ns = (struct host_namespace) { .major = major(st.st_dev), .minor = minor(st.st_dev) };
	child = fork();
	if (child == 0)
		unmount_locked(path, &ns);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(umount(path), 0);
	rmdir(path);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == NOT_ALLOWED)
		skip();
	assert_int_equal(WEXITSTATUS(status), REFUSED);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_create_file),
		TEST(test_create_file_in_the_way),
		TEST(test_create_directory),
		TEST(test_remove_file),
		TEST(test_remove_any),
		TEST(test_check_staging),
		TEST(test_is_of),
		TEST(test_is_dead),
		TEST(test_unmount_foreign),
		TEST(test_unmount_in_vain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
