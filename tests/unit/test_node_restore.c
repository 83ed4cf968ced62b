/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A publish puts back what a stage made, if there was one, and counts pods, not stages. No kernel
 * with NVMe is needed: a made-up sysfs says that the volume is connected, a tmpfs plays its file
 * system.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "csi/node/publish.h"
#include "tests/unit/host_tree.h"

#define ID "box/fast/" UUID

static struct host host;
static struct node node;
static struct publish_spec spec;
static struct node_record record;
static char private[PATH_MAX];
static bool may_mount;

static void make_directory(const char *path)
{
	struct err err = ERR_INIT;

	if (file_mkdirs(path, &err) < 0)
		fail_msg("%s", err.msg);
}

static int setup(void **state)
{
	cleanup_free char *dir = NULL;
	struct err err;

	if (tree_setup(state) < 0)
		return -1;
	dir = xasprintf("%s/state", tree.path);
	host = HOST_INIT;
	strcpy(host.identity.nqn, HOST_NQN);
	strcpy(host.identity.id.text, HOST_ID);
	host.dev = xasprintf("%s/dev", tree.path);
	if (root_open(&host.sysfs, tree.path, &err) < 0)
		return -1;
	return node_open(&node, &host, dir, &err);
}

static int teardown(void **state)
{
	node_close(&node);
	root_close(&host.sysfs);
	free(host.dev);
	return tree_teardown(state);
}

/* A staged volume whose pod only reads: that leaves out all that needs a block device. */
static void make_staged(void)
{
	char number[32], node_path[PATH_MAX];
	struct err err = ERR_INIT;
	struct stat st;

	if (!may_mount)
		skip();
	spec = (struct publish_spec) { .readonly = true };
	strcpy(spec.volume_id, ID);
	snprintf(spec.staging_path, PATH_MAX, "%.4000s/staging", tree.path);
	snprintf(spec.target_path, PATH_MAX, "%.4000s/pod", tree.path);
	spec.access = (struct access) { .mode_name = "MODE", .fs_type = "tmpfs", .reader = true };
	spec.attachment = (struct attachment) { .nqn = NQN, .has_uuid = true, .uuid = { UUID } };
	assert_int_equal(portal_parse("tcp://192.0.2.1:4420", &spec.attachment.portals[0], &err),
			 0);
	spec.attachment.portal_count = 1;
	record = node_record_make(ID, &spec.attachment, &spec.access, spec.staging_path);
	device_private_path(&node, &record, private);
	make_directory(private);
	make_directory(spec.staging_path);
	assert_int_equal(mount("/dev/nvme0n1", private, "tmpfs", 0, NULL), 0);
	assert_int_equal(mount(private, spec.staging_path, NULL, MS_BIND, NULL), 0);
	assert_int_equal(node_record_save(&node.state, &record, &err), 0);

	assert_int_equal(stat(private, &st), 0);
	snprintf(number, sizeof(number), "%u:%u", major(st.st_dev), minor(st.st_dev));
	tree_subsystem(SUBSYS0, NQN);
	tree_controller(SUBSYS0 "/nvme0", HOST_NQN, HOST_ID, "live", ADDRESS);
	tree_namespace(SUBSYS0 "/nvme0n1", UUID, "1", number);
	tree_put("dev/block", number, "");
	make_directory(host.dev);
	snprintf(node_path, sizeof(node_path), "%s/nvme0n1", host.dev);
	assert_int_equal(mknod(node_path, S_IFBLK | 0600, st.st_dev), 0);
}

static int publish(struct err *err)
{
	struct node_time time = { .work = deadline_after_ms(1000),
				  .wait = { .deadline = deadline_none() } };
	struct publish_spec *copy = xcalloc(1, sizeof(*copy));

	*copy = spec;
	*err = ERR_INIT;
	return publish_volume(&node, copy, &time, err);
}

static bool is_mounted(const char *path)
{
	struct mount_table table cleanup_mount_table = { 0 };
	struct err err = ERR_INIT;

	assert_int_equal(mount_table_read(&table, &err), 0);
	return mount_table_find(&table, path) != NULL;
}

static void must_publish(void)
{
	struct err err;

	if (publish(&err) < 0)
		fail_msg("%s", err.msg);
	assert_true(is_mounted(private) && is_mounted(spec.staging_path) &&
		    is_mounted(spec.target_path));
}

static void unmount_all(void)
{
	assert_int_equal(umount(spec.target_path), 0);
	assert_int_equal(umount(spec.staging_path), 0);
	assert_int_equal(umount(private), 0);
}

static void test_missing(void **state)
{
	(void)state;
	make_staged();
	must_publish();
	assert_int_equal(umount(spec.target_path), 0);
	assert_int_equal(umount(spec.staging_path), 0);
	must_publish();
	assert_int_equal(umount(private), 0);
	must_publish();
	unmount_all();
}

static void refused(const char *says)
{
	struct err err;

	assert_int_equal(publish(&err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	if (!strstr(err.msg, says))
		fail_msg("\"%s\" does not say \"%s\"", err.msg, says);
	assert_false(is_mounted(spec.target_path));
}

/* Without a record, or without any of its mounts, nobody says that it was staged. */
/* What takes keys is only connected with them, and a publish has none. */
static void test_missing_with_keys(void **state)
{
	(void)state;
	make_staged();
	spec.attachment.authentication = DHCHAP_ONE_WAY;
	must_publish();
	assert_int_equal(umount(spec.target_path), 0);
	assert_int_equal(umount(spec.staging_path), 0);
	must_publish();
	assert_int_equal(umount(spec.target_path), 0);
	assert_int_equal(umount(spec.staging_path), 0);
	tree_put(SUBSYS0, "subsysnqn", "nqn.other");
	refused("it has to be staged again");
	assert_int_equal(umount(private), 0);
}

static void test_not_staged(void **state)
{
	struct err err;

	(void)state;
	make_staged();
	assert_int_equal(umount(spec.staging_path), 0);
	assert_int_equal(node_record_remove(&node.state, ID, &err), 0);
	refused("is not staged at");
	assert_false(is_mounted(spec.staging_path));
	assert_int_equal(node_record_save(&node.state, &record, &err), 0);
	assert_int_equal(umount(private), 0);
	refused("is not staged at");
	/* Nor is it when the record is of another stage. */
	assert_int_equal(mount("/dev/nvme0n1", private, "tmpfs", 0, NULL), 0);
	strcpy(record.staging_path, "/elsewhere");
	assert_int_equal(node_record_save(&node.state, &record, &err), 0);
	refused("is not staged at");
	assert_int_equal(umount(private), 0);
}

static void test_covered(void **state)
{
	(void)state;
	make_staged();
	assert_int_equal(mount("foreign", spec.staging_path, "tmpfs", 0, NULL), 0);
	refused("is a mount of foreign (tmpfs)");
	assert_true(is_mounted(spec.staging_path));
	assert_int_equal(umount(spec.staging_path), 0);
	must_publish();
	unmount_all();
}

static void bind_at(const char *path)
{
	make_directory(path);
	assert_int_equal(mount(private, path, NULL, MS_BIND, NULL), 0);
}

/* One path: where another handle is staged is no path of a pod, where its pod is, is one. */
static void test_one_path(void **state)
{
	cleanup_free char *staged = xasprintf("%s/other", tree.path);
	cleanup_free char *pod = xasprintf("%s/another-pod", tree.path);
	struct node_record other;
	struct err err;

	(void)state;
	make_staged();
	spec.access.single_path = true;
	other = record;
	strcpy(other.volume_id, "other");
	strcpy(other.staging_path, staged);
	assert_int_equal(node_record_save(&node.state, &other, &err), 0);
	bind_at(staged);
	must_publish();
	assert_int_equal(umount(spec.target_path), 0);
	bind_at(pod);
	refused(pod);
	assert_int_equal(umount(pod), 0);
	must_publish();
	assert_int_equal(umount(staged), 0);
	unmount_all();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_missing), TEST(test_missing_with_keys), TEST(test_not_staged),
		TEST(test_covered), TEST(test_one_path),
	};

	may_mount = unshare(CLONE_NEWNS) == 0 &&
		    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
