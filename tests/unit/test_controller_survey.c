/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fifty targets, of which half answer, a quarter is down and a quarter accepts connections and
 * never says a word: creating, listing, capacity and readiness, how long each takes, and how many
 * threads the process has. Those that answer live in a process of their own, so that only the
 * controller's threads are counted here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>

#include "csi/controller/capacity.h"
#include "csi/controller/listing.h"
#include "csi/controller/survey.h"
#include "csi/controller/volumes.h"
#include "nvme/base/log.h"
#include "tests/unit/controller_fixture.h"

#define TARGETS 50
#define GOOD (TARGETS / 2)
#define GI (1LL << 30)
/* What a call may take here. Silent targets cost half of it, once. */
#define CALL_MS 3000
/* Far below what they would cost one after the other, far above it on a busy machine. */
#define ONCE_MS (silent_count * CALL_MS / 4)
/* Threads beyond those of two targets: gRPC keeps some for each processor, not for each target. */
#define MORE_THREADS 8

/* Shared with the process that serves them. */
static struct fake_agent *good;
static struct silent silent[TARGETS];
static size_t silent_count;

static void name_of(size_t i, char name[24])
{
	snprintf(name, 24, "t%zu", i);
}

/* Serves until the other end of the pipe is closed. */
static int serve_good(int ready, int until)
{
	static char names[GOOD][24];
	char byte = 'r';

	for (size_t i = 0; i < GOOD; i++) {
		name_of(2 * i, names[i]);
		fake_start(&good[i], names[i]);
		good[i].list_count = 3;
	}
	if (write(ready, &byte, 1) != 1)
		return 1;
	while (read(until, &byte, 1) > 0)
		;
	for (size_t i = 0; i < GOOD; i++)
		fake_stop(&good[i]);
	return 0;
}

/* The even ones answer; of the odd ones every other is silent, and the rest is not there. */
static void add_targets(struct controller *c, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct agent *agent = NULL;
		const char *address = "unix:///tmp/nvmeot-nobody-is-here.sock";
		struct err err = ERR_INIT;
		char name[24];

		name_of(i, name);
		if (i % 2 == 0) {
			address = good[i / 2].address;
		} else if (i % 4 == 1) {
			silent_start(&silent[silent_count]);
			address = silent[silent_count++].address;
		}
		if (agent_new(name, address, NULL, &agent, &err) < 0 ||
		    controller_add_target(c, agent, &err) < 0)
			fail_msg("%s", err.msg);
	}
}

static size_t threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	size_t count = 0;

	for (struct dirent *entry; (entry = readdir(tasks));)
		count += entry->d_name[0] != '.';
	closedir(tasks);
	return count;
}

static uint64_t now_ms(void)
{
	return clock_now_ns() / 1000000;
}

static int creates(void)
{
	int sum = 0;

	for (size_t i = 0; i < GOOD; i++)
		sum += good[i].creates;
	return sum;
}

static void create(struct controller *c, const char *name)
{
	struct create_spec spec = { .name = name,
				    .uuid = { FAKE_UUID },
				    .range = { .required_bytes = GI, .limit_bytes = 2 * GI },
				    .size_bytes = GI };
	struct agent_volume volume cleanup_agent_volume = { 0 };
	struct agent_info info cleanup_agent_info = { 0 };
	struct err err = ERR_INIT;

	if (volumes_ensure(c, &spec, deadline_after_ms(CALL_MS), &volume, &info, &err) < 0)
		fail_msg("%s", err.msg);
}

/* How many threads there are while questions to silent targets are under way. */
static size_t threads_while_asking(struct controller *c)
{
	struct agent_ask *asked[TARGETS];
	size_t count;

	for (size_t i = 0; i < c->target_count; i++)
		asked[i] = agent_info_begin(c->targets[i], deadline_after_ms(CALL_MS));
	for (size_t i = 0; i < c->target_count; i += 2) {
		struct agent_info info cleanup_agent_info = { 0 };
		struct err err = ERR_INIT;

		assert_int_equal(agent_info_finish(asked[i], &info, &err), 0);
	}
	count = threads();
	for (size_t i = 1; i < c->target_count; i += 2)
		agent_ask_cancel(asked[i]);
	return count;
}

static void test_threads(void **state)
{
	struct controller two = { 0 };
	size_t before = threads(), few, many;

	(void)state;
	add_targets(&two, 2);
	create(&two, "first");
	few = threads_while_asking(&two);
	controller_fini(&two);
	create(&controller, "second");
	many = threads_while_asking(&controller);
	print_message("threads: %zu before the first call, %zu with 2 targets, %zu with %d\n",
		      before, few, many, TARGETS);
	assert_true(many <= few + MORE_THREADS);
}

/* Half of the targets cannot be asked: the volume goes to one of the others, and only there. */
static void test_create(void **state)
{
	int made = creates();
	uint64_t started = now_ms(), took;

	(void)state;
	create(&controller, "third");
	took = now_ms() - started;
	print_message("creating: %u ms of %d\n", (unsigned)took, CALL_MS);
	assert_int_equal(creates(), made + 1);
	assert_true(took < ONCE_MS);
}

static void test_list(void **state)
{
	Csi__V1__ListVolumesRequest request = CSI__V1__LIST_VOLUMES_REQUEST__INIT;
	Csi__V1__ListVolumesResponse response = CSI__V1__LIST_VOLUMES_RESPONSE__INIT;
	uint64_t started = now_ms(), took;
	struct err err = ERR_INIT;
	struct rpc_call call;

	(void)state;
	rpc_call_init(&call, deadline_after_ms(CALL_MS), ARENA_BYTES);
	call.context = &controller;
	assert_int_equal(listing_list_volumes(&call, &request, &response, &err), -1);
	took = now_ms() - started;
	print_message("listing: refused after %u ms of %d: %s\n", (unsigned)took, CALL_MS, err.msg);
	assert_true(err.code == ERR_UNAVAILABLE || err.code == ERR_DEADLINE_EXCEEDED);
	assert_non_null(strstr(err.msg, "target t"));
	assert_true(took < ONCE_MS);
	rpc_call_fini(&call);
}

/* With all that answer the list is complete, in few rounds. */
static void test_list_good(void **state)
{
	Csi__V1__ListVolumesRequest request = CSI__V1__LIST_VOLUMES_REQUEST__INIT;
	Csi__V1__ListVolumesResponse response = CSI__V1__LIST_VOLUMES_RESPONSE__INIT;
	struct controller healthy = { 0 };
	struct err err = ERR_INIT;
	struct rpc_call call;

	(void)state;
	for (size_t i = 0; i < GOOD; i++) {
		struct agent *agent;
		char name[24];

		good[i].lists = 0;
		name_of(2 * i, name);
		agent = fake_client(&good[i], name);
		assert_int_equal(controller_add_target(&healthy, agent, &err), 0);
	}
	rpc_call_init(&call, deadline_after_ms(FAKE_MS), ARENA_BYTES);
	call.context = &healthy;
	assert_int_equal(listing_list_volumes(&call, &request, &response, &err), 0);
	assert_int_equal(response.n_entries, 3 * GOOD);
	assert_string_equal(response.next_token, "");
	for (size_t i = 0; i < GOOD; i++)
		assert_int_equal(good[i].lists, 1);
	rpc_call_fini(&call);
	controller_fini(&healthy);
}

static void test_capacity(void **state)
{
	Csi__V1__GetCapacityRequest request = CSI__V1__GET_CAPACITY_REQUEST__INIT;
	Csi__V1__GetCapacityResponse response = CSI__V1__GET_CAPACITY_RESPONSE__INIT;
	uint64_t started = now_ms(), took;
	struct err err = ERR_INIT;
	struct rpc_call call;

	(void)state;
	rpc_call_init(&call, deadline_after_ms(CALL_MS), ARENA_BYTES);
	call.context = &controller;
	assert_int_equal(capacity_get(&call, &request, &response, &err), 0);
	took = now_ms() - started;
	print_message("capacity: %u ms of %d\n", (unsigned)took, CALL_MS);
	assert_true(response.available_capacity == GOOD * 10 * GI);
	assert_true(response.maximum_volume_size->value == 10 * GI);
	assert_true(took < ONCE_MS);
	rpc_call_fini(&call);
}

static void test_ready(void **state)
{
	uint64_t started = now_ms(), took;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(controller_check(&controller, deadline_after_ms(CALL_MS), &err), 0);
	took = now_ms() - started;
	print_message("readiness: %u ms of %d\n", (unsigned)took, CALL_MS);
	assert_true(took < ONCE_MS);
}

/* Without a deadline of the caller's a call still has an end. */
static void test_deadlines(void **state)
{
	struct rpc_call call;

	(void)state;
	rpc_call_init(&call, deadline_none(), ARENA_BYTES);
	assert_in_range(deadline_poll_ms(controller_deadline(&call)), 59000, 60000);
	rpc_call_fini(&call);
	rpc_call_init(&call, deadline_after_ms(1000), ARENA_BYTES);
	assert_in_range(deadline_poll_ms(controller_deadline(&call)), 1, 1000);
	rpc_call_fini(&call);
	assert_in_range(deadline_poll_ms(controller_share(deadline_after_ms(1000))), 1, 500);
	assert_in_range(deadline_poll_ms(controller_share(deadline_none())), 4000, 5000);
}

static int setup_all(void **state)
{
	(void)state;
	add_targets(&controller, TARGETS);
	return 0;
}

static int teardown_all(void **state)
{
	(void)state;
	controller_fini(&controller);
	for (size_t i = 0; i < silent_count; i++)
		silent_stop(&silent[i]);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads),	  cmocka_unit_test(test_create),
		cmocka_unit_test(test_list),	  cmocka_unit_test(test_list_good),
		cmocka_unit_test(test_capacity),  cmocka_unit_test(test_ready),
		cmocka_unit_test(test_deadlines),
	};
	int ready[2], until[2], failed, status = 0;
	struct err err = ERR_INIT;
	char byte;
	pid_t pid;

	log_init("text", "error", &err);
	good = mmap(NULL, GOOD * sizeof(*good), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		    -1, 0);
	if (good == MAP_FAILED || pipe(ready) < 0 || pipe(until) < 0)
		return 1;
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(until[1]);
		return serve_good(ready[1], until[0]);
	}
	close(until[0]);
	if (pid < 0 || read(ready[0], &byte, 1) != 1)
		return 1;
	failed = cmocka_run_group_tests(tests, setup_all, teardown_all);
	close(until[1]);
	waitpid(pid, &status, 0);
	return failed || status;
}
