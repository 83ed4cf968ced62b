/* SPDX-License-Identifier: Apache-2.0 */
/* The node's figures over a made-up sysfs: what counts, and what does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "csi/node/keeper.h"
#include "csi/node/record.h"
#include "csi/node/vitals.h"
#include "tests/unit/host_tree.h"

#define LONG_MS 20000

static struct host host = HOST_INIT;
static struct node node = { .state = ROOT_INIT };

static int setup(void **state)
{
	cleanup_free char *state_dir = NULL;
	struct err err;

	if (tree_setup(state) < 0)
		return -1;
	tree_put("module/nvme_core/parameters", "multipath", "Y");
	state_dir = xasprintf("%s/state", tree.path);
	return tree_open_host(&host) < 0 || node_open(&node, &host, state_dir, &err) < 0;
}

static int teardown(void **state)
{
	node_close(&node);
	host_close(&host);
	return tree_teardown(state);
}

static struct node_vitals vitals(void)
{
	struct node_vitals vitals;
	struct err err = ERR_INIT;

	if (node_vitals_get(&node, &vitals, &err) < 0)
		fail_msg("%s", err.msg);
	return vitals;
}

static size_t of_state(const struct node_vitals *v, const char *name)
{
	for (size_t i = 0; i < NODE_STATES; i++)
		if (strcmp(node_state_names[i], name) == 0)
			return v->controllers[i];
	fail_msg("no state %s", name);
	return 0;
}

static void put_record(const char *volume_id, struct portal portal)
{
	struct attachment a = { .nqn = NQN,
				.has_uuid = true,
				.uuid = { UUID },
				.portals = { portal },
				.portal_count = 1 };
	struct node_record record =
		node_record_make(volume_id, &a, &(struct access) { 0 }, "/nowhere/staging");
	struct host_connect_options options = host_connect_options_default();
	struct err err;

	node_record_set_connection(&record, &a, &options);
	assert_int_equal(node_record_save(&node.state, &record, &err), 0);
}

static void test_nothing(void **state)
{
	struct node_vitals none = { 0 }, v = vitals();

	(void)state;
	assert_memory_equal(&v, &none, sizeof(v));
}

static void test_records(void **state)
{
	(void)state;
	put_record("t1/p1/" UUID, (struct portal) { AF_INET, "192.0.2.1", 4420 });
	put_record("t1/p1/" OTHER_UUID, (struct portal) { AF_INET, "192.0.2.1", 4420 });
	tree_put("state/volumes", ".x.json.tmp", "half of a record");
	tree_put("state/volumes", "readme", "of an operator");
	assert_int_equal(vitals().staged, 2);
}

static void test_states(void **state)
{
	static const char *const states[] = { "live",	   "live", "connecting", "deleting (no IO)",
					      "deleting",  "dead", "new",	 "resetting",
					      "unheard of" };
	struct node_vitals v;

	(void)state;
	tree_subsystem(SUBSYS0, NQN);
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		cleanup_free char *path = xasprintf(SUBSYS0 "/nvme%zu", i);

		tree_controller(path, HOST_NQN, HOST_ID, states[i], ADDRESS);
	}
	/* Somebody else's. */
	tree_controller(SUBSYS0 "/nvme20", OTHER_HOST_NQN, OTHER_HOST_ID, "live", ADDRESS);
	v = vitals();
	assert_int_equal(of_state(&v, "live"), 2);
	assert_int_equal(of_state(&v, "connecting"), 1);
	assert_int_equal(of_state(&v, "deleting"), 2);
	assert_int_equal(of_state(&v, "dead"), 1);
	assert_int_equal(of_state(&v, "new"), 1);
	assert_int_equal(of_state(&v, "resetting"), 1);
	assert_int_equal(of_state(&v, "other"), 1);
}

static void test_missing_portals(void **state)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	cleanup_close int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct portal portal = { .family = AF_INET, .addr = "127.0.0.1" };
	struct pollfd pollfd = { .fd = listener, .events = POLLIN };
	socklen_t size = sizeof(address);
	struct err err;

	(void)state;
	assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(listen(listener, 8), 0);
	portal.port = ntohs(address.sin_port);
	put_record("t1/p1/" UUID, portal);
	tree_subsystem(SUBSYS0, NQN);
	tree_controller(SUBSYS0 "/nvme0", HOST_NQN, HOST_ID, "live", ADDRESS);
	tree_namespace(SUBSYS0 "/nvme0n1", UUID, "1", "259:1");
	assert_int_equal(keeper_start(&node, &err), 0);
	/* By the second attempt the first look is over. */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(poll(&pollfd, 1, LONG_MS), 1);
		close(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
	}
	assert_int_equal(vitals().wounded, 1);
}

static int wait_for_go(void *argument, struct err *err)
{
	char c;

	(void)err;
	job_doing("wait");
	return read(*(int *)argument, &c, 1) < 0 ? -1 : 0;
}

static void test_jobs(void **state)
{
	const struct job_wait wait = { .deadline = deadline_after_ms(1) };
	struct job_work work = { .key = "a", .request = "a", .run = wait_for_go };
	struct err err;
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	work.argument = &fds[0];
	assert_int_equal(job_run(node.jobs, &work, &wait, &err), -1);
	assert_int_equal(vitals().jobs, 1);
	assert_int_equal(vitals().stuck, 0);
	close(fds[1]);
	assert_int_equal(node_drain(&node, deadline_after_ms(LONG_MS)), 0);
	close(fds[0]);
	assert_int_equal(vitals().jobs, 0);
}

/* The kernel of this machine may be fit or not; a node that ends says neither. */
static void test_fitness(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	if (node_vitals_fit(&node, &err) < 0)
		assert_true(err.code == ERR_FAILED_PRECONDITION ||
			    err.code == ERR_DEADLINE_EXCEEDED);
	assert_int_equal(node_drain(&node, deadline_after_ms(LONG_MS)), 0);
	assert_int_equal(node_vitals_fit(&node, &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
}

/* It asks the kernel, which may be held by a connect, or has modprobe run: here one that hangs. */
static void test_check_ends_at_its_deadline(void **state)
{
	cleanup_free char *before = xstrdup(getenv("PATH") ?: "");
	cleanup_free char *path = xasprintf("%s/programs:%s", tree.path, before);
	uint64_t begun_ns = clock_now_ns();
	struct err err = ERR_INIT;

	(void)state;
	if (access("/dev/nvme-fabrics", F_OK) == 0)
		return; /* nothing is loaded then */
	tree_put("programs", "modprobe", "#!/bin/sh\nexec sleep 3");
	assert_int_equal(fchmodat(tree.fd, "programs/modprobe", 0755, 0), 0);
	assert_int_equal(setenv("PATH", path, 1), 0);
	assert_int_equal(node_check(&node, deadline_after_ms(200), &err), -1);
	assert_int_equal(err.code, ERR_DEADLINE_EXCEEDED);
	assert_true(clock_now_ns() - begun_ns < 2 * NS_PER_S);
	assert_int_equal(node_drain(&node, deadline_after_ms(LONG_MS)), 0);
	assert_int_equal(setenv("PATH", before, 1), 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_nothing),
		CASE(test_records),
		CASE(test_states),
		CASE(test_missing_portals),
		CASE(test_jobs),
		CASE(test_fitness),
		CASE(test_check_ends_at_its_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
