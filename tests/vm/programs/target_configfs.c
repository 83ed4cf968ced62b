/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target against a real nvmet, with hosts that connect over loopback: identity, restart under
 * I/O, both kinds of fence, and respect for what belongs to others.
 *
 *	target_configfs POOL-DIRECTORY
 */
#include "nvme/target/spare.h"
#include "tests/vm/programs/target_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nvme/base/clock.h"

#define HOSTID_A "aaaaaaaa-0000-4000-8000-000000000001"
#define HOSTID_B "bbbbbbbb-0000-4000-8000-000000000002"
#define FOREIGN_NQN "nqn.2020-01.org.example:theirs"
#define BLOCK 4096

/* --- the host's side -------------------------------------------------------------------------- */

/* The instance N of the new controller nvmeN, or -1 with errno. */
static int try_connect(const char *host_nqn, const char *host_id, int reconnect_delay)
{
	cleanup_free char *options =
		xasprintf("nqn=" NQN ",transport=tcp,traddr=127.0.0.1,trsvcid=4420,hostnqn=%s,"
			  "hostid=%s,nr_io_queues=1,reconnect_delay=%d,ctrl_loss_tmo=-1",
			  host_nqn, host_id, reconnect_delay);
	cleanup_close int fd = open("/dev/nvme-fabrics", O_RDWR | O_CLOEXEC);
	char answer[128] = "";
	int instance;

	assert_true(fd >= 0);
	if (write(fd, options, strlen(options)) < 0)
		return -1;
	assert_true(read(fd, answer, sizeof(answer) - 1) > 0);
	assert_int_equal(sscanf(answer, "instance=%d", &instance), 1);
	return instance;
}

static int connect_host(const char *host_nqn, const char *host_id, int reconnect_delay)
{
	int instance = try_connect(host_nqn, host_id, reconnect_delay);

	assert_true(instance >= 0);
	return instance;
}

/* The volume's only host. */
static int connect_a(int reconnect_delay)
{
	struct err err = ERR_INIT;

	must(do_export(HOST_A, VOLUME_SINGLE_NODE, &err), &err);
	return connect_host(HOST_A, HOSTID_A, reconnect_delay);
}

/* An attribute of a controller; empty when the controller is gone. */
static const char *controller(int instance, const char *attr)
{
	static char value[ROOT_VALUE_SIZE];
	struct root sys = ROOT_INIT;
	struct err err = ERR_INIT;

	must(root_open(&sys, "/sys/class/nvme", &err), &err);
	if (root_read(&sys, value, &err, "nvme%d/%s", instance, attr) <= 0)
		value[0] = '\0';
	root_close(&sys);
	return value;
}

static bool is_live(int instance)
{
	return strcmp(controller(instance, "state"), "live") == 0;
}

/* The state of a controller has no event to wait for. */
static bool becomes(int instance, bool live, uint64_t ms)
{
	struct deadline deadline = deadline_after_ms(ms);

	while (is_live(instance) != live) {
		if (deadline_passed(deadline))
			return false;
		usleep(5000);
	}
	return true;
}

static void disconnect(int instance)
{
	cleanup_free char *path = xasprintf("/sys/class/nvme/nvme%d/delete_controller", instance);
	cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0)
		assert_true(write(fd, "1", 1) == 1 || errno == ENODEV);
}

static bool uuid_file_matches(const char *path)
{
	char text[UUID_TEXT_SIZE] = "";
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd >= 0 && read(fd, text, UUID_TEXT_SIZE - 1) > 0 && strcmp(text, UUID) == 0;
}

/* Opens the block device with the volume's UUID, for direct writes, once it is there. */
static int open_device(void)
{
	struct deadline deadline = deadline_after_ms(20000);
	int fd = -1;

	while (fd < 0 && !deadline_passed(deadline)) {
		glob_t found;

		if (glob("/sys/class/nvme-subsystem/*/nvme*n*/uuid", 0, NULL, &found) == 0) {
			for (size_t i = 0; i < found.gl_pathc && fd < 0; i++) {
				cleanup_free char *dir = NULL, *node = NULL;

				if (!uuid_file_matches(found.gl_pathv[i]))
					continue;
				dir = xstrdup(found.gl_pathv[i]);
				*strrchr(dir, '/') = '\0';
				node = xasprintf("/dev%s", strrchr(dir, '/'));
				fd = open(node, O_RDWR | O_DIRECT | O_CLOEXEC);
			}
		}
		globfree(&found);
		if (fd < 0)
			usleep(5000);
	}
	assert_true(fd >= 0);
	return fd;
}

static void write_block(int fd, char byte, off_t at)
{
	void *block = aligned_alloc(BLOCK, BLOCK);

	memset(block, byte, BLOCK);
	assert_int_equal(pwrite(fd, block, BLOCK, at), BLOCK);
	free(block);
}

static char backing_byte(off_t at)
{
	cleanup_free char *path = xasprintf("%s/" UUID ".img", pool_path);
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	char byte = 0;

	assert_int_equal(pread(fd, &byte, 1, at), 1);
	return byte;
}

/* --- tests ------------------------------------------------------------------------------------ */

static int setup(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	must(start(&err), &err);
	must(do_create(&err), &err);
	return 0;
}

static int teardown(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	must(target_unexport(target, UUID, "", &err), &err);
	must(target_delete(target, UUID, "", &err), &err);
	stop();
	assert_nothing_left();
	return 0;
}

static bool is_blank(void)
{
	cleanup_volume struct volume volume = { 0 };
	struct err err = ERR_INIT;

	must(target_get(target, UUID, "", &volume, &err), &err);
	return volume.blank;
}

static void test_identity_and_io(void **state)
{
	struct err err = ERR_INIT;
	int instance, fd;

	(void)state;
	must(do_export(HOST_A, VOLUME_SINGLE_NODE, &err), &err);
	must(do_export(HOST_A, VOLUME_SINGLE_NODE, &err), &err);
	assert_true(complete());
	assert_int_equal(links(), 1);
	assert_int_equal(try_connect(HOST_B, HOSTID_B, 1), -1);
	instance = connect_host(HOST_A, HOSTID_A, 1);
	assert_string_equal(controller(instance, "serial"), "5d5f4a536f0c4f0e9f0a");
	assert_string_equal(controller(instance, "model"), "nvmeot");
	fd = open_device();
	assert_int_equal(lseek(fd, 0, SEEK_END), (off_t)SIZE_BYTES);
	assert_true(is_blank());
	write_block(fd, 'x', BLOCK);
	assert_false(is_blank());
	assert_int_equal(backing_byte(BLOCK), 'x');
	close(fd);
	disconnect(instance);
}

/* The reconnect delay is long, so that a write that had to wait for one would be noticed. */
static void test_restart_does_not_touch_sessions(void **state)
{
	struct deadline deadline;
	struct err err = ERR_INIT;
	int instance, fd;

	(void)state;
	instance = connect_a(30);
	fd = open_device();
	write_block(fd, 'a', 0);
	stop();
	write_block(fd, 'b', 0);
	must(start(&err), &err);
	deadline = deadline_after_ms(10000);
	write_block(fd, 'c', 0);
	assert_false(deadline_passed(deadline));
	assert_true(is_live(instance));
	assert_int_equal(backing_byte(0), 'c');
	close(fd);
	disconnect(instance);
}

static void test_unexport_of_the_last_host_fences(void **state)
{
	struct err err = ERR_INIT;
	int instance;

	(void)state;
	instance = connect_a(1);
	assert_int_equal(do_export(HOST_B, VOLUME_SINGLE_NODE, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	must(target_unexport(target, UUID, HOST_A, &err), &err);
	assert_nothing_left();
	assert_true(becomes(instance, false, 5000));
	must(do_export(HOST_B, VOLUME_SINGLE_NODE, &err), &err);
	/* It goes on asking, and must never be let in again. */
	assert_false(becomes(instance, true, 4000));
	disconnect(instance);
}

static void test_unexport_of_one_of_two_hosts(void **state)
{
	struct err err = ERR_INIT;
	int a, b;

	(void)state;
	must(do_export(HOST_A, VOLUME_MULTI_WRITER, &err), &err);
	must(do_export(HOST_B, VOLUME_MULTI_WRITER, &err), &err);
	a = connect_host(HOST_A, HOSTID_A, 1);
	b = connect_host(HOST_B, HOSTID_B, 1);
	must(target_unexport(target, UUID, HOST_A, &err), &err);
	assert_true(allowed(HOST_B) && !allowed(HOST_A));
	assert_false(root_exists(&tree, "hosts/" HOST_A));
	assert_int_equal(links(), 1);
	assert_true(becomes(a, false, 5000));
	assert_true(becomes(b, false, 5000));
	assert_true(becomes(b, true, 20000));
	assert_false(becomes(a, true, 4000));
	disconnect(a);
	disconnect(b);
}

/* A machine that starts again: records, and nothing in configfs. */
static void test_rebuild(void **state)
{
	struct err err = ERR_INIT;
	int instance, fd;

	(void)state;
	instance = connect_a(2);
	fd = open_device();
	write_block(fd, 'a', 0);
	stop();
	must(forget_configfs(&err), &err);
	assert_nothing_left();
	must(start(&err), &err);
	assert_true(complete());
	/* The host comes back by itself, with the same device. */
	write_block(fd, 'b', 0);
	assert_int_equal(backing_byte(0), 'b');
	close(fd);
	disconnect(instance);
}

static void test_wrong_namespace(void **state)
{
	cleanup_free char *other = xasprintf("%s/" UUID ".json", pool_path);
	struct err err = ERR_INIT;

	(void)state;
	must(root_mkdir(&tree, &err, "subsystems/" NQN), &err);
	must(root_mkdir(&tree, &err, "subsystems/" NQN "/namespaces/1"), &err);
	must(root_write(&tree, other, &err, "subsystems/" NQN "/namespaces/1/device_path"), &err);
	must(root_write(&tree, "1", &err, "subsystems/" NQN "/namespaces/1/enable"), &err);
	assert_int_equal(do_export(HOST_A, VOLUME_SINGLE_NODE, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_int_equal(links(), 0);

	/* Not enabled, it is put right. */
	must(root_write(&tree, "0", &err, "subsystems/" NQN "/namespaces/1/enable"), &err);
	must(do_export(HOST_A, VOLUME_SINGLE_NODE, &err), &err);
	assert_true(complete());
}

static void make_port(const char *id, const char *port)
{
	struct err err = ERR_INIT;

	must(root_mkdir(&tree, &err, "ports/%s", id), &err);
	must(root_write(&tree, "tcp", &err, "ports/%s/addr_trtype", id), &err);
	must(root_write(&tree, "ipv4", &err, "ports/%s/addr_adrfam", id), &err);
	must(root_write(&tree, "127.0.0.1", &err, "ports/%s/addr_traddr", id), &err);
	must(root_write(&tree, port, &err, "ports/%s/addr_trsvcid", id), &err);
}

static void make_link(const char *to, const char *link)
{
	cleanup_free char *path = xasprintf(NVMET_PATH "/%s", to);
	struct err err = ERR_INIT;

	must(root_symlink(&tree, path, &err, "%s", link), &err);
}

/* Their subsystem stays linked at the port that we share, their port and their host stay. */
static void test_foreign_objects_stay(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	make_port("1", "4421");
	make_port("2", "4420");
	must(root_mkdir(&tree, &err, "subsystems/" FOREIGN_NQN), &err);
	must(root_mkdir(&tree, &err, "hosts/" HOST_A), &err);
	make_link("hosts/" HOST_A, "subsystems/" FOREIGN_NQN "/allowed_hosts/" HOST_A);
	make_link("subsystems/" FOREIGN_NQN, "ports/2/subsystems/" FOREIGN_NQN);

	must(do_export(HOST_A, VOLUME_SINGLE_NODE, &err), &err);
	assert_true(root_exists(&tree, "ports/2/subsystems/" NQN));
	assert_int_equal(count_in("ports"), 2);
	stop();
	must(start(&err), &err);
	must(target_unexport(target, UUID, HOST_A, &err), &err);
	assert_int_equal(count_in("ports"), 2);
	assert_true(root_exists(&tree, "ports/2/subsystems/" FOREIGN_NQN));
	assert_true(root_exists(&tree, "hosts/" HOST_A));
	assert_true(root_exists(&tree, "subsystems/" FOREIGN_NQN "/allowed_hosts/" HOST_A));

	must(root_unlink(&tree, &err, "ports/2/subsystems/" FOREIGN_NQN), &err);
	must(root_unlink(&tree, &err, "subsystems/" FOREIGN_NQN "/allowed_hosts/" HOST_A), &err);
	must(root_rmdir(&tree, &err, "subsystems/" FOREIGN_NQN), &err);
	must(root_rmdir(&tree, &err, "hosts/" HOST_A), &err);
	must(root_rmdir(&tree, &err, "ports/1"), &err);
	must(root_rmdir(&tree, &err, "ports/2"), &err);
}

/* Empty, with nothing of ours on them, and with what would be ours by its looks. */
static void test_foreign_empty_objects_stay(void **state)
{
	char key[] = "DHHC-1:00:ia6zGodOr4SEG0Zzaw398rpY0wqipUWj4jWjUh4HWUz6aQ2n:";
	struct err err = ERR_INIT;
	bool keyed;

	(void)state;
	make_port("28170", "4999");
	must(root_mkdir(&tree, &err, "ports/28171"), &err);
	must(root_mkdir(&tree, &err, "hosts/" HOST_A), &err);
	must(do_export(HOST_A, VOLUME_MULTI_WRITER, &err), &err);
	must(do_export(HOST_B, VOLUME_MULTI_WRITER, &err), &err);
	/* Made by us, but it holds somebody's key, on kernels that have keys. */
	keyed = root_exists(&tree, "hosts/" HOST_B "/dhchap_key");
	if (keyed)
		must(root_write(&tree, key, &err, "hosts/" HOST_B "/dhchap_key"), &err);
	stop();
	must(start(&err), &err);
	must(target_unexport(target, UUID, HOST_B, &err), &err);
	must(target_unexport(target, UUID, HOST_A, &err), &err);
	assert_int_equal(links(), 0);
	assert_true(root_exists(&tree, "hosts/" HOST_A));
	assert_int_equal(root_exists(&tree, "hosts/" HOST_B), keyed);
	assert_true(root_exists(&tree, "ports/28170"));
	must(root_rmdir(&tree, &err, "ports/28170"), &err);
	must(root_rmdir(&tree, &err, "ports/28171"), &err);
	must(root_rmdir(&tree, &err, "hosts/" HOST_A), &err);
	must(root_rmdir(&tree, &err, "hosts/" HOST_B), &err);
}

/* Takes away what a pool keeps in its directory without any volume. */
static void give_spares(const char *path)
{
	cleanup_root struct root at = ROOT_INIT;
	struct err err;

	must(root_open(&at, path, &err), &err);
	while (spare_give(&at))
		;
}

/*
 * The agent comes up with an empty directory in the place of its pool: it has no record, and the
 * host goes on writing. Only the kernel knows.
 */
static void test_kernel_decides(void **state)
{
	cleanup_free char *empty = xasprintf("%s/empty", pool_path);
	const char *full = pool_path;
	struct err err = ERR_INIT;
	int instance;

	(void)state;
	instance = connect_a(1);
	stop();
	assert_int_equal(mkdir(empty, 0755), 0);
	pool_path = empty;
	must(start(&err), &err);
	assert_true(is_live(instance));
	assert_int_equal(target_delete(target, UUID, "p", &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	must(target_unexport(target, UUID, HOST_B, &err), &err);
	assert_true(becomes(instance, true, 15000)); /* cut with the others, but let in again */
	must(target_unexport(target, UUID, HOST_A, &err), &err);
	assert_true(becomes(instance, false, 5000));
	assert_int_equal(count_in("subsystems") + count_in("ports"), 0);
	disconnect(instance);
	stop();
	pool_path = full;
	must(start(&err), &err);
	give_spares(empty);
	assert_int_equal(rmdir(empty), 0);
}

/* One whose links have names of somebody else's. */
static void test_links_of_any_name_are_cut(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	must(do_export(HOST_A, VOLUME_SINGLE_NODE, &err), &err);
	make_port("3", "4421");
	make_link("subsystems/" NQN, "ports/3/subsystems/by-hand");
	must(target_unexport(target, UUID, HOST_A, &err), &err);
	assert_int_equal(count_in("ports/3/subsystems"), 0);
	must(root_rmdir(&tree, &err, "ports/3"), &err);
	assert_nothing_left();
}

/* 192.0.2.1 is for documentation: no machine has it. */
static void test_portal_that_cannot_be_served(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	stop();
	extra_portal = "tcp://192.0.2.1:4420";
	must(start(&err), &err);
	must(do_export(HOST_A, VOLUME_MULTI_WRITER, &err), &err);
	must(do_export(HOST_B, VOLUME_MULTI_WRITER, &err), &err);
	assert_int_equal(links(), 1);
	stop();
	must(start(&err), &err);
	must(target_unexport(target, UUID, HOST_B, &err), &err);
	must(target_unexport(target, UUID, HOST_A, &err), &err);
	assert_nothing_left();
	extra_portal = NULL;
}

/* An export that no record names: kept when it is of something else, removed when of our pool. */
static void test_orphans(void **state)
{
	cleanup_free char *image = xasprintf("%s/" UUID ".img", pool_path);
	cleanup_free char *record = xasprintf("%s/" UUID ".json", pool_path);
	cleanup_free char *aside = xasprintf("%s/aside", pool_path);
	struct target_orphans orphans = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	must(do_export(HOST_A, VOLUME_SINGLE_NODE, &err), &err);
	must(root_mkdir(&tree, &err, "subsystems/" VOLUME_NQN_PREFIX "theirs"), &err);
	stop();
	assert_int_equal(rename(record, aside), 0);
	must(start(&err), &err);
	assert_false(root_exists(&tree, "subsystems/" NQN));
	assert_true(root_exists(&tree, "subsystems/" VOLUME_NQN_PREFIX "theirs"));
	assert_int_equal(access(image, F_OK), 0);
	must(target_orphans(target, &orphans, &err), &err);
	assert_int_equal(orphans.count, 2);
	assert_string_equal(orphans.items[0].kind, "backing");
	assert_string_equal(orphans.items[0].path, image);
	assert_string_equal(orphans.items[1].kind, "export");
	target_orphans_fini(&orphans);
	must(root_rmdir(&tree, &err, "subsystems/" VOLUME_NQN_PREFIX "theirs"), &err);

	stop();
	assert_int_equal(rename(aside, record), 0);
	must(start(&err), &err);
	assert_true(complete() && allowed(HOST_A));
}

/* --- growing, reading only, looking ----------------------------------------------------------- */

/* As with a controller's state, there is no event in this program's reach. */
static bool device_becomes(int fd, uint64_t bytes, uint64_t ms)
{
	struct deadline deadline = deadline_after_ms(ms);

	while (lseek(fd, 0, SEEK_END) != (off_t)bytes) {
		if (deadline_passed(deadline))
			return false;
		usleep(5000);
	}
	return true;
}

static void do_expand(uint64_t bytes)
{
	cleanup_volume struct volume grown = { 0 };
	struct err err = ERR_INIT;

	must(target_expand(target, UUID, "", bytes, &grown, &err), &err);
	assert_int_equal(grown.size_bytes, bytes);
}

static void test_expand_is_seen_by_the_host(void **state)
{
	struct err err = ERR_INIT;
	int instance, fd;

	(void)state;
	instance = connect_a(1);
	fd = open_device();
	write_block(fd, 'a', 0);
	do_expand(2 * SIZE_BYTES);
	assert_true(device_becomes(fd, 2 * SIZE_BYTES, 10000));
	write_block(fd, 'z', 2 * SIZE_BYTES - BLOCK);
	assert_int_equal(backing_byte(0), 'a');
	assert_int_equal(backing_byte(2 * SIZE_BYTES - BLOCK), 'z');
	assert_true(is_live(instance));
	/* Less is no shrinking. */
	do_expand(2 * SIZE_BYTES);
	assert_int_equal(lseek(fd, 0, SEEK_END), (off_t)(2 * SIZE_BYTES));
	close(fd);
	disconnect(instance);

	/* Without a host. */
	must(target_unexport(target, UUID, "", &err), &err);
	do_expand(3 * SIZE_BYTES);
	instance = connect_a(1);
	fd = open_device();
	assert_true(device_becomes(fd, 3 * SIZE_BYTES, 10000));
	close(fd);
	disconnect(instance);
}

static bool can_write(int fd, char byte, off_t at)
{
	void *block = aligned_alloc(BLOCK, BLOCK);
	bool done;

	memset(block, byte, BLOCK);
	done = pwrite(fd, block, BLOCK, at) == BLOCK;
	free(block);
	return done;
}

/* Many readers, none of them can write, no writer beside them; a writer again after them. */
static void test_readers(void **state)
{
	struct err err = ERR_INIT;
	int a, b, fd;

	(void)state;
	a = connect_a(1);
	fd = open_device();
	write_block(fd, 'w', 0);
	close(fd);
	disconnect(a);
	assert_int_equal(do_export(HOST_B, VOLUME_MULTI_READER, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	must(target_unexport(target, UUID, HOST_A, &err), &err);

	must(do_export(HOST_A, VOLUME_MULTI_READER, &err), &err);
	must(do_export(HOST_B, VOLUME_MULTI_READER, &err), &err);
	assert_int_equal(do_export(HOST_B, VOLUME_MULTI_WRITER, &err), -1);
	assert_true(complete());
	a = connect_host(HOST_A, HOSTID_A, 1);
	b = connect_host(HOST_B, HOSTID_B, 1);
	fd = open_device();
	assert_false(can_write(fd, 'r', 0));
	assert_int_equal(backing_byte(0), 'w');
	/* The same after the machine has started again. */
	stop();
	must(forget_configfs(&err), &err);
	must(start(&err), &err);
	assert_true(becomes(a, true, 20000) && becomes(b, true, 20000));
	assert_false(can_write(fd, 'r', 0));
	assert_int_equal(backing_byte(0), 'w');
	close(fd);
	disconnect(a);
	disconnect(b);

	must(target_unexport(target, UUID, HOST_B, &err), &err);
	must(target_unexport(target, UUID, HOST_A, &err), &err);
	must(do_export(HOST_B, VOLUME_SINGLE_NODE, &err), &err);
	b = connect_host(HOST_B, HOSTID_B, 1);
	fd = open_device();
	write_block(fd, 'n', 0);
	assert_int_equal(backing_byte(0), 'n');
	close(fd);
	disconnect(b);
}

/* Each condition that configfs shows, by its reason; "": all is well. */
static void assert_condition(const char *reason)
{
	struct uuid uuid = { UUID };
	struct volume_conditions found;

	target_conditions(target, &uuid, &found);
	if (reason[0] ? found.count != 1 || strcmp(found.items[0].reason, reason) != 0 :
			found.count != 0)
		fail_msg("%zu conditions, %s instead of %s", found.count,
			 found.count ? found.items[0].message : "none", reason);
}

static void test_conditions(void **state)
{
	struct root_names ports = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	assert_condition("");
	must(do_export(HOST_A, VOLUME_SINGLE_NODE, &err), &err);
	assert_condition("");
	must(root_write(&tree, "0", &err, "subsystems/" NQN "/namespaces/1/enable"), &err);
	assert_condition("ExportMissing");
	must(root_write(&tree, "1", &err, "subsystems/" NQN "/namespaces/1/enable"), &err);
	assert_condition("");
	must(root_unlink(&tree, &err, "subsystems/" NQN "/allowed_hosts/" HOST_A), &err);
	assert_condition("ExportMissing");
	must(do_export(HOST_A, VOLUME_SINGLE_NODE, &err), &err);
	must(root_list(&tree, &ports, &err, "ports"), &err);
	must(root_unlink(&tree, &err, "ports/%s/subsystems/" NQN, ports.names[0]), &err);
	root_names_fini(&ports);
	assert_condition("ExportMissing");
	must(do_export(HOST_A, VOLUME_SINGLE_NODE, &err), &err);
	assert_condition("");

	stop();
	extra_portal = "tcp://192.0.2.1:4420";
	must(start(&err), &err);
	assert_condition("PortalMissing");
	must(target_unexport(target, UUID, "", &err), &err);
	assert_condition("");
	stop();
	extra_portal = NULL;
	must(start(&err), &err);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(test_identity_and_io),
		CASE(test_restart_does_not_touch_sessions),
		CASE(test_unexport_of_the_last_host_fences),
		CASE(test_unexport_of_one_of_two_hosts),
		CASE(test_rebuild),
		CASE(test_wrong_namespace),
		CASE(test_foreign_objects_stay),
		CASE(test_foreign_empty_objects_stay),
		CASE(test_kernel_decides),
		CASE(test_links_of_any_name_are_cut),
		CASE(test_portal_that_cannot_be_served),
		CASE(test_orphans),
		CASE(test_expand_is_seen_by_the_host),
		CASE(test_readers),
		CASE(test_conditions),
	};

	if (parse_arguments(argc, argv) < 0)
		return 2;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
