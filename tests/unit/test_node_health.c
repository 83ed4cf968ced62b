/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is made of a volume's paths, of a file system that cannot be opened, and of an initiator
 * that is unfit or busy: in a made-up sysfs and a made-up /dev, with a tmpfs for the file system.
 * What the kernel shows: tests/vm/cases/stats.
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

#include "csi/node/device.h"
#include "csi/node/health.h"
#include "tests/unit/host_tree.h"

#define ID "box/fast/" UUID
/* What the kernel lists in /dev/nvme-fabrics, as far as it is needed. */
#define OPTIONS                                                                                    \
	"instance=-1,cntlid=-1,transport=%s,traddr=%s,trsvcid=%s,nqn=%s,queue_size=%d,"            \
	"nr_io_queues=%d,reconnect_delay=%d,ctrl_loss_tmo=%d,keep_alive_tmo=%d,hostnqn=%s,"        \
	"hostid=%s,fast_io_fail_tmo=%d"

static struct host_path made[3];
static Csi__V1__VolumeHealthErrorType status;
static const char *reason;

static struct host_path path(const char *state, const char *ana)
{
	struct host_path ret = { 0 };

	snprintf(ret.controller.state, sizeof(ret.controller.state), "%s", state);
	snprintf(ret.ana, sizeof(ret.ana), "%s", ana);
	return ret;
}

static int judge(size_t count)
{
	struct host_path_list paths = { .list = made, .count = count };

	return health_of_paths(&paths, &status, &reason);
}

static void expect(size_t count, Csi__V1__VolumeHealthErrorType wanted, const char *name)
{
	assert_int_equal(judge(count), 1);
	assert_int_equal(status, wanted);
	assert_string_equal(reason, name);
}

static void test_well(void **state)
{
	(void)state;
	made[0] = path("live", "");
	assert_int_equal(judge(1), 0);
	made[0] = path("live", "optimized");
	made[1] = path("live", "non-optimized");
	assert_int_equal(judge(2), 0);
	/* A standby. */
	made[1] = path("live", "inaccessible");
	assert_int_equal(judge(2), 0);
}

static void test_lost(void **state)
{
	(void)state;
	made[0] = path("live", "optimized");
	made[1] = path("connecting", "optimized");
	expect(2, CSI__V1__VOLUME_HEALTH_ERROR_TYPE__DEGRADED, "PathLost");
	made[1] = path("live", "persistent-loss");
	expect(2, CSI__V1__VOLUME_HEALTH_ERROR_TYPE__DEGRADED, "PathLost");
}

static void test_none(void **state)
{
	(void)state;
	expect(0, CSI__V1__VOLUME_HEALTH_ERROR_TYPE__INACCESSIBLE, "NoPath");
	made[0] = path("connecting", "optimized");
	made[1] = path("live", "inaccessible");
	made[2] = path("deleting", "");
	expect(3, CSI__V1__VOLUME_HEALTH_ERROR_TYPE__INACCESSIBLE, "NoPath");
}

/* --- calls --- */

static struct host host;
static struct node node;
static struct rpc_call call;
static bool may_mount;

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
	if (root_open(&host.sysfs, tree.path, &err) < 0)
		return -1;
	rpc_call_init(&call, deadline_none(), 1 << 16);
	call.context = &node;
	return node_open(&node, &host, dir, &err);
}

static int teardown(void **state)
{
	node_close(&node);
	rpc_call_fini(&call);
	root_close(&host.sysfs);
	return tree_teardown(state);
}

static void mount_tmpfs(const char *path)
{
	struct err err = ERR_INIT;

	if (!may_mount)
		skip();
	if (file_mkdirs(path, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(mount("none", path, "tmpfs", 0, NULL), 0);
}

static void expect_volume_as(const char *path, const char *expected,
			     Csi__V1__VolumeHealthErrorType wanted)
{
	Csi__V1__NodeGetVolumeHealthRequest request = CSI__V1__NODE_GET_VOLUME_HEALTH_REQUEST__INIT;
	Csi__V1__NodeGetVolumeHealthResponse response =
		CSI__V1__NODE_GET_VOLUME_HEALTH_RESPONSE__INIT;
	struct err err = ERR_INIT;

	request.volume_id = (char *)ID;
	request.staging_target_path = (char *)path;
	if (health_of_volume(&call, &request, &response, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(response.volume_health->n_health_statuses, expected ? 1 : 0);
	if (!expected)
		return;
	assert_string_equal(response.volume_health->health_statuses[0]->reason, expected);
	assert_int_equal(response.volume_health->health_statuses[0]->status, wanted);
}

static void expect_volume(const char *path, const char *expected)
{
	expect_volume_as(path, expected, CSI__V1__VOLUME_HEALTH_ERROR_TYPE__INACCESSIBLE);
}

/* Where the volume is staged, a tmpfs. */
struct staged {
	char staging[128], bind[160], mounts[128], private[192];
};

static void stage(struct staged *s)
{
	char number[32], by_number[64], device[80];
	struct stat st;

	snprintf(s->staging, sizeof(s->staging), "%.64s/staging", tree.path);
	snprintf(s->bind, sizeof(s->bind), "%s/volume", s->staging);
	snprintf(s->mounts, sizeof(s->mounts), "%.64s/state/mnt", tree.path);
	snprintf(s->private, sizeof(s->private), "%s/" UUID, s->mounts);
	mount_tmpfs(s->private);
	assert_int_equal(mkdir(s->staging, 0700), 0);
	assert_int_equal(mkdir(s->bind, 0700), 0);
	assert_int_equal(mount(s->private, s->bind, NULL, MS_BIND, NULL), 0);
	assert_int_equal(stat(s->private, &st), 0);
	snprintf(number, sizeof(number), "%u:%u", major(st.st_dev), minor(st.st_dev));
	snprintf(by_number, sizeof(by_number), "dev/block/%s", number);
	snprintf(device, sizeof(device), "%s/device", by_number);
	tree_subsystem(SUBSYS0, NQN);
	tree_controller(SUBSYS0 "/nvme0", HOST_NQN, HOST_ID, "live", ADDRESS);
	tree_namespace(SUBSYS0 "/nvme0n1", UUID, "1", number);
	tree_namespace(by_number, UUID, "1", number);
	tree_put(by_number, "uevent", "DEVNAME=nvme0n1");
	tree_put(device, "subsysnqn", NQN);
	tree_put("class/block/nvme0n1", "size", "2048");
}

static void unstage(const struct staged *s)
{
	assert_int_equal(umount(s->bind), 0);
	assert_int_equal(umount(s->private), 0);
}

/* Something covers the one mount: it is there, and cannot be opened. */
static void test_file_system_fails(void **state)
{
	struct staged s;

	(void)state;
	stage(&s);
	expect_volume(s.staging, NULL);
	mount_tmpfs(s.mounts);
	expect_volume(s.staging, "FileSystemFails");
	assert_int_equal(umount(s.mounts), 0);
	expect_volume(s.staging, NULL);
	unstage(&s);
}

/* One that the kernel gave up has no controller, and is known by the record. */
static void test_portal_without_controller(void **state)
{
	struct attachment a = { .nqn = NQN,
				.has_uuid = true,
				.uuid = { UUID },
				.portals = { { AF_INET, "192.0.2.1", 4420 },
					     { AF_INET, "192.0.2.2", 4420 } },
				.portal_count = 2 };
	const struct host_connect_options options = host_connect_options_default();
	struct node_record record;
	struct staged s;
	struct err err;

	(void)state;
	stage(&s);
	record = node_record_make(ID, &a, &(struct access) { 0 }, s.staging);
	node_record_set_connection(&record, &a, &options);
	assert_int_equal(node_record_save(&node.state, &record, &err), 0);
	tree_put("module/nvme_core/parameters", "multipath", "Y");
	expect_volume_as(s.staging, "PathLost", CSI__V1__VOLUME_HEALTH_ERROR_TYPE__DEGRADED);
	/* There is never more than one. */
	tree_put("module/nvme_core/parameters", "multipath", "N");
	expect_volume(s.staging, NULL);
	unstage(&s);
}

static void expect_storage(const char *expected, Csi__V1__StorageHealthErrorType wanted)
{
	Csi__V1__NodeGetStorageHealthRequest request =
		CSI__V1__NODE_GET_STORAGE_HEALTH_REQUEST__INIT;
	Csi__V1__NodeGetStorageHealthResponse response =
		CSI__V1__NODE_GET_STORAGE_HEALTH_RESPONSE__INIT;
	struct err err = ERR_INIT;

	if (health_of_storage(&call, &request, &response, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(response.n_backend_health, expected ? 1 : 0);
	if (!expected)
		return;
	assert_string_equal(response.backend_health[0]->reason, expected);
	assert_int_equal(response.backend_health[0]->status, wanted);
	assert_non_null(strstr(response.backend_health[0]->message, "initiator"));
}

static void put_options(const char *options)
{
	int fd = open("/dev/nvme-fabrics", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, options, strlen(options)), strlen(options));
	close(fd);
}

/* It answers, and has no use for what we would say. */
static void test_initiator_unfit(void **state)
{
	(void)state;
	mount_tmpfs("/dev");
	put_options(OPTIONS);
	expect_storage(NULL, 0);
	put_options("transport=%s,traddr=%s");
	expect_storage("InitiatorUnfit", CSI__V1__STORAGE_HEALTH_ERROR_TYPE__STORAGE_UNREACHABLE);
	assert_int_equal(umount("/dev"), 0);
}

/* It does not answer; a pipe does neither. */
static void test_initiator_busy(void **state)
{
	int fd;

	(void)state;
	mount_tmpfs("/dev");
	assert_int_equal(mkfifo("/dev/nvme-fabrics", 0600), 0);
	expect_storage("InitiatorBusy", CSI__V1__STORAGE_HEALTH_ERROR_TYPE__STORAGE_DEGRADED);
	fd = open("/dev/nvme-fabrics", O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, OPTIONS, strlen(OPTIONS)), strlen(OPTIONS));
	assert_int_equal(node_drain(&node, deadline_after_ms(10000)), 0);
	close(fd);
	assert_int_equal(umount("/dev"), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_well),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_none),
		TEST(test_file_system_fails),
		TEST(test_portal_without_controller),
		TEST(test_initiator_unfit),
		TEST(test_initiator_busy),
	};

	may_mount = unshare(CLONE_NEWNS) == 0 &&
		    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
