/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes that attend, over the real rpc server: orders and reports, whatever a host does; and which
 * certificates open what.
 */
#include <pthread.h>
#include <semaphore.h>
#include <sys/resource.h>

#include "csi/agent/attend.h"
#include "csi/agent/attendance.h"
#include "csi/agent/service.h"
#include "csi/rpc/server.h"
#include "nvme/target/target_table.h"
#include "target.pb-c.h"
#include "tests/unit/rpc_certs.h"
#include "tests/unit/target_dirs.h"

#define HOST_A "nqn.2014-08.org.nvmexpress:uuid:aaaaaaaa-0000-4000-8000-000000000001"
#define HOST_B "nqn.2014-08.org.nvmexpress:uuid:bbbbbbbb-0000-4000-8000-000000000002"
#define VOLUME_ID "box/fast/" UUID
#define CALL_MS 60000
#define CROWD 200
#define VISITS 20

const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "ignore_noninstrumented_modules=1";
}

static struct attendance *attendance;
static struct rpc_service services[2];
static struct rpc_server *server;
static char address[128];

static void open_target(void)
{
	cleanup_free char *pool = xasprintf("fast=dir:%s/fast", dir);
	cleanup_free char *nvmet = xasprintf("%s/nvmet", dir);
	const char *pools[] = { pool };
	struct portal portal;
	struct target_config config = { .id = "box",
					.pools = pools,
					.pool_count = 1,
					.portals = &portal,
					.portal_count = 1,
					.nvmet_path = nvmet };
	struct err err;

	if (portal_parse("tcp://127.0.0.1:4420", &portal, &err) < 0 ||
	    target_new(&config, &target, &err) < 0)
		fail_msg("%s", err.msg);
}

static void serve(struct rpc_server_config config)
{
	struct err err;

	attendance = attendance_new(target);
	services[0] = agent_service(target);
	services[1] = attendance_service(attendance);
	config.services = services;
	config.service_count = 2;
	if (rpc_server_new(&config, &server, &err) < 0 || rpc_server_start(server, &err) < 0)
		fail_msg("%s", err.msg);
}

static int setup(void **state)
{
	struct rpc_server_config config = { .endpoint = address, .max_streams = CROWD + 4 };

	if (target_dirs_setup(state) < 0)
		return -1;
	open_target();
	snprintf(address, sizeof(address), "unix://%s/agent.sock", dir);
	serve(config);
	return 0;
}

static int teardown(void **state)
{
	if (server) {
		attendance_end(attendance);
		rpc_server_free(server);
	}
	attendance_free(attendance);
	target_free(target);
	return target_dirs_teardown(state);
}

static struct agent *client(const char *name)
{
	struct agent *agent;
	struct err err;

	if (agent_new(name, address, NULL, &agent, &err) < 0)
		fail_msg("%s", err.msg);
	return agent;
}

/* --- a host ----------------------------------------------------------------------------------- */

/* What it does with a freeze, and then with its thaw. */
enum habit {
	FREEZES,     /* and thaws, as it is told */
	HAS_NOTHING, /* of it mounted, until the thaw */
	MOUNTS,	     /* before it */
	FAILS,
	LETS_GO,      /* and says so when it is told to thaw */
	GIVES_UP,     /* it thaws by itself, and says so */
	LEAVES_EARLY, /* it leaves at the order */
	SILENT,
};

struct host {
	const char *nqn;
	enum habit habit;
	struct host *after; /* NULL, or one that has its order before this one does anything */
	struct agent *agent;
	struct rpc_pending *stream;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int arrived, freezes, thaws;
	struct agent_order order; /* the last freeze */
	struct err end;
};

static void say(struct host *host, enum agent_outcome outcome, bool still)
{
	struct err err;

	if (agent_report(host->agent, host->nqn, host->order.id, outcome, "in its own words", still,
			 deadline_after_ms(CALL_MS), &err) < 0)
		assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void await(struct host *host, const int *counter, int value)
{
	pthread_mutex_lock(&host->lock);
	while (*counter < value)
		pthread_cond_wait(&host->changed, &host->lock);
	pthread_mutex_unlock(&host->lock);
}

/* False: it leaves. */
static bool freeze(struct host *host)
{
	if (host->after)
		await(host->after, &host->after->freezes, 1);
	switch (host->habit) {
	case HAS_NOTHING:
	case MOUNTS:
		say(host, AGENT_NOT_MOUNTED, false);
		return true;
	case FAILS:
		say(host, AGENT_FAILED, false);
		return true;
	case LEAVES_EARLY:
		return false;
	case SILENT:
		return true;
	default:
		say(host, AGENT_FROZEN, false);
	}
	if (host->habit == GIVES_UP)
		say(host, AGENT_THAWED, false);
	return true;
}

static void count(struct host *host, int *counter)
{
	pthread_mutex_lock(&host->lock);
	++*counter;
	pthread_cond_broadcast(&host->changed);
	pthread_mutex_unlock(&host->lock);
}

static void *host_main(void *data)
{
	struct host *host = data;
	struct agent_order order;

	while (agent_attend_next(host->agent, host->stream, &order, &host->end) > 0) {
		if (order.kind == AGENT_ORDER_NONE) {
			count(host, &host->arrived);
		} else if (order.kind == AGENT_ORDER_FREEZE) {
			host->order = order;
			count(host, &host->freezes);
			if (!freeze(host))
				break;
		} else {
			assert_string_equal(order.id, host->order.id);
			if (host->habit == FREEZES || host->habit == HAS_NOTHING)
				say(host, AGENT_THAWED, true);
			else if (host->habit == LETS_GO || host->habit == MOUNTS)
				say(host, AGENT_THAWED, false);
			count(host, &host->thaws);
		}
	}
	if (host->habit == LEAVES_EARLY)
		rpc_pending_break(host->stream);
	return NULL;
}

static void host_come(struct host *host, const char *nqn, enum habit habit)
{
	struct err err;

	*host = (struct host) { .nqn = nqn, .habit = habit, .agent = client("box") };
	pthread_mutex_init(&host->lock, NULL);
	pthread_cond_init(&host->changed, NULL);
	if (agent_attend(host->agent, nqn, &host->stream, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(pthread_create(&host->thread, NULL, host_main, host), 0);
	await(host, &host->arrived, 1);
}

/* It has left, or is sent away. */
static void host_gone(struct host *host)
{
	pthread_join(host->thread, NULL);
	rpc_pending_cancel(host->stream);
	pthread_mutex_destroy(&host->lock);
	pthread_cond_destroy(&host->changed);
	agent_free(host->agent);
}

static void host_leave(struct host *host)
{
	rpc_pending_break(host->stream);
	host_gone(host);
	assert_int_equal(host->end.code, ERR_CANCELLED);
}

/* --- freezes ---------------------------------------------------------------------------------- */

/* A volume that is exported to these hosts. */
static struct volume volume_of(const char *a, const char *b, bool readonly)
{
	struct volume volume = { .pool = "fast" };
	const char *nqns[] = { a, b };

	strcpy(volume.uuid.text, UUID);
	for (size_t i = 0; i < 2 && nqns[i]; i++) {
		struct volume_export export = { .readonly = readonly };

		strcpy(export.host_nqn, nqns[i]);
		volume_add_export(&volume, &export);
	}
	return volume;
}

static int begin(const char *a, const char *b, bool readonly, void **ret, struct err *err)
{
	struct volume volume = volume_of(a, b, readonly);
	const struct volume *volumes[] = { &volume };
	int rc = target->quiesce.begin(target->quiesce.context, volumes, 1, ret, err);

	volume_fini(&volume);
	return rc;
}

static int end(void *begun, struct err *err)
{
	return target->quiesce.end(target->quiesce.context, begun, err);
}

/* Both hosts write to the volume; what becomes of the freeze, and of its end. */
static void expect(enum habit a, enum habit b, const char *beginning, const char *ending)
{
	struct host host_a, host_b;
	struct err err = ERR_INIT;
	void *begun = NULL;
	int rc;

	host_come(&host_a, HOST_A, a);
	host_come(&host_b, HOST_B, b);
	pthread_mutex_lock(&host_b.lock);
	host_b.after = &host_a;
	pthread_mutex_unlock(&host_b.lock);
	rc = begin(HOST_A, HOST_B, false, &begun, &err);
	if (beginning) {
		assert_int_equal(rc, -1);
		assert_int_equal(err.code, ERR_ABORTED);
		assert_string_equal(err.msg, beginning);
	} else {
		assert_int_equal(rc, 0);
		rc = end(begun, &err);
		assert_int_equal(rc, ending ? -1 : 0);
		if (ending) {
			assert_int_equal(err.code, ERR_ABORTED);
			assert_non_null(strstr(err.msg, ending));
		}
	}
	if (a == FREEZES)
		await(&host_a, &host_a.thaws, 1);
	host_leave(&host_a);
	assert_string_equal(host_a.order.volume_id, VOLUME_ID);
	assert_int_equal(host_a.order.for_ms, ATTENDANCE_FREEZE_MS);
	if (b == LEAVES_EARLY)
		host_gone(&host_b);
	else
		host_leave(&host_b);
}

static void test_freezes(void **state)
{
	(void)state;
	expect(FREEZES, FREEZES, NULL, NULL);
	expect(FREEZES, HAS_NOTHING, NULL, NULL);
	expect(FREEZES, LETS_GO, NULL,
	       "volume " VOLUME_ID " may have been written to by host " HOST_B);
	expect(FREEZES, MOUNTS, NULL,
	       "volume " VOLUME_ID " may have been written to by host " HOST_B);
	expect(FREEZES, FAILS,
	       "volume " VOLUME_ID " is not frozen by host " HOST_B ": in its own words", NULL);
	expect(FREEZES, LEAVES_EARLY,
	       "volume " VOLUME_ID ": host " HOST_B " left while it was to freeze it; try again",
	       NULL);
}

/* It leaves when it has frozen. */
static void test_leaves(void **state)
{
	struct host host;
	struct err err = ERR_INIT;
	void *begun = NULL;

	(void)state;
	host_come(&host, HOST_A, FREEZES);
	assert_int_equal(begin(HOST_A, NULL, false, &begun, &err), 0);
	host_leave(&host);
	assert_int_equal(end(begun, &err), -1);
	assert_int_equal(err.code, ERR_ABORTED);
	assert_non_null(strstr(err.msg, "may have been written to by host " HOST_A));
}

/* Which comes before, or after, the agent goes on. */
static void test_gives_up(void **state)
{
	struct host host;
	struct err err = ERR_INIT;
	void *begun = NULL;

	(void)state;
	host_come(&host, HOST_A, GIVES_UP);
	if (begin(HOST_A, NULL, false, &begun, &err) == 0)
		assert_int_equal(end(begun, &err), -1);
	assert_int_equal(err.code, ERR_ABORTED);
	host_leave(&host);
}

static void test_silent(void **state)
{
	struct host a, b;
	struct err err = ERR_INIT;
	void *begun = NULL;

	(void)state;
	host_come(&a, HOST_A, FREEZES);
	host_come(&b, HOST_B, SILENT);
	assert_int_equal(begin(HOST_A, HOST_B, false, &begun, &err), -1);
	assert_int_equal(err.code, ERR_ABORTED);
	assert_string_equal(err.msg,
			    "volume " VOLUME_ID " was not written out and frozen by host " HOST_B
			    " within 8000 ms; try again, best when it is written to less");
	await(&a, &a.thaws, 1);
	await(&b, &b.thaws, 1);
	host_leave(&a);
	host_leave(&b);
}

/* Nobody has to be there for what nobody writes to. */
static void test_nobody_writes(void **state)
{
	struct err err = ERR_INIT;
	void *begun = NULL;

	(void)state;
	assert_int_equal(begin(NULL, NULL, false, &begun, &err), 0);
	assert_int_equal(end(begun, &err), 0);
	assert_int_equal(begin(HOST_A, HOST_B, true, &begun, &err), 0);
	assert_int_equal(end(begun, &err), 0);
}

/* Before anybody is asked anything. */
static void test_absent(void **state)
{
	struct err err = ERR_INIT;
	void *begun = NULL;
	struct host host;

	(void)state;
	host_come(&host, HOST_A, FREEZES);
	assert_int_equal(begin(HOST_A, HOST_B, false, &begun, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_string_equal(err.msg,
			    "volume " VOLUME_ID " is exported to host " HOST_B ", which does not "
			    "attend: its node has no volume of this target staged now, is too old "
			    "for freeze, runs without --target=box=HOST:PORT, or does not get "
			    "through (its log says so: network, or certificate for nvmeot-node)");
	host_leave(&host);
	assert_int_equal(host.freezes, 0);
}

static void *begin_later(void *data)
{
	struct err err = ERR_INIT;
	void *begun = NULL;

	*(int *)data = begin(HOST_A, NULL, false, &begun, &err) < 0 ? -1 : end(begun, &err);
	return NULL;
}

/* One that is just coming is waited for. */
static void test_comes(void **state)
{
	pthread_t thread;
	struct host host;
	int rc = -1;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, begin_later, &rc), 0);
	host_come(&host, HOST_A, FREEZES);
	pthread_join(thread, NULL);
	assert_int_equal(rc, 0);
	host_leave(&host);
}

static void test_comes_anew(void **state)
{
	struct host old, new;
	struct err err = ERR_INIT;
	void *begun = NULL;

	(void)state;
	host_come(&old, HOST_A, FREEZES);
	host_come(&new, HOST_A, FREEZES);
	host_gone(&old);
	assert_int_equal(old.end.code, ERR_ABORTED);
	assert_int_equal(begin(HOST_A, NULL, false, &begun, &err), 0);
	assert_int_equal(end(begun, &err), 0);
	host_leave(&new);
	assert_int_equal(old.freezes, 0);
	assert_int_equal(new.freezes, 1);
}

/* A node at an address of its own, which the rpc server of this test could not give it. */
struct visit {
	struct rpc_call call;
	pthread_t thread;
	sem_t arrived;
	int rc;
	struct err err;
};

static int note_arrival(struct rpc_call *call, const ProtobufCMessage *answer, struct err *err)
{
	(void)answer, (void)err;
	sem_post(&((struct visit *)call)->arrived);
	return 0;
}

static void *visit_main(void *data)
{
	Nvmeot__Target__V1__AttendRequest request = NVMEOT__TARGET__V1__ATTEND_REQUEST__INIT;
	struct visit *visit = data;

	request.target_id = (char *)"box";
	request.host_nqn = (char *)HOST_A;
	visit->rc = services[1].methods[0].stream(&visit->call, &request, &visit->err);
	return NULL;
}

static void visit_begin(struct visit *visit, const char *peer)
{
	*visit = (struct visit) { .rc = 1 };
	rpc_call_init(&visit->call, deadline_none(), 1 << 20);
	visit->call.context = attendance;
	visit->call.peer = peer;
	visit->call.send = note_arrival;
	sem_init(&visit->arrived, 0, 0);
	assert_int_equal(pthread_create(&visit->thread, NULL, visit_main, visit), 0);
}

static void visit_end(struct visit *visit)
{
	pthread_join(visit->thread, NULL);
	sem_destroy(&visit->arrived);
	rpc_call_fini(&visit->call);
}

/* Two nodes with one host NQN: the later one is refused, and nothing passes for frozen. */
static void test_shared_nqn(void **state)
{
	struct visit first, again, other;
	struct err err = ERR_INIT;
	void *begun = NULL;

	(void)state;
	visit_begin(&first, "192.0.2.1:40000");
	sem_wait(&first.arrived);
	visit_begin(&again, "192.0.2.1:40001");
	sem_wait(&again.arrived);
	visit_end(&first);
	assert_int_equal(first.err.code, ERR_ABORTED);
	visit_begin(&other, "192.0.2.10:40001");
	visit_end(&other);
	assert_int_equal(other.rc, -1);
	assert_int_equal(other.err.code, ERR_ALREADY_EXISTS);
	assert_string_equal(
		other.err.msg,
		"host " HOST_A " attends from 192.0.2.1:40001 already, and this is "
		"192.0.2.10:40001: each node needs a host NQN of its own; a node with "
		"another address than before is taken when its old connection counts as "
		"lost, within 20 s");
	assert_int_equal(begin(HOST_A, NULL, false, &begun, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_string_equal(err.msg, "volume " VOLUME_ID " is exported to host " HOST_A
				     ", and which node that "
				     "is is not known: it attends from 192.0.2.1:40001 and from "
				     "192.0.2.10:40001; each node needs a host NQN of its own");
	rpc_call_cancel(&again.call);
	visit_end(&again);
	assert_int_equal(again.rc, 0);
	/* Whoever is left may come. */
	visit_begin(&other, "192.0.2.10:40002");
	sem_wait(&other.arrived);
	rpc_call_cancel(&other.call);
	visit_end(&other);
	assert_int_equal(other.rc, 0);
}

/* The agent ends: who attends is sent away at once, and what it waits for is over. */
static void test_end(void **state)
{
	struct host host;
	struct err err = ERR_INIT;
	void *begun = NULL;

	(void)state;
	host_come(&host, HOST_A, FREEZES);
	assert_int_equal(begin(HOST_A, NULL, false, &begun, &err), 0);
	attendance_end(attendance);
	host_gone(&host);
	assert_int_equal(host.end.code, ERR_UNAVAILABLE);
	assert_int_equal(end(begun, &err), -1);
	assert_int_equal(err.code, ERR_ABORTED);
	assert_int_equal(rpc_server_drain(server, deadline_after_ms(CALL_MS), &err), 0);
}

/* How often threads of this process were waited for while a host came and left. */
static long visits(void)
{
	struct rusage before, after;
	struct host host;

	getrusage(RUSAGE_SELF, &before);
	for (int i = 0; i < VISITS; i++) {
		host_come(&host, HOST_B, FREEZES);
		host_leave(&host);
	}
	getrusage(RUSAGE_SELF, &after);
	return after.ru_nvcsw - before.ru_nvcsw;
}

/* Those that are there sleep on while others come and leave. */
static void test_crowd(void **state)
{
	struct rpc_pending *streams[CROWD];
	struct agent *agent = client("box");
	long alone = visits(), among_many;
	char nqn[] = "nqn.2014-08.org.nvmexpress:uuid:cccccccc-0000-4000-8000-000000000000";
	struct err err;

	(void)state;
	for (int i = 0; i < CROWD; i++) {
		struct agent_order order;

		snprintf(strrchr(nqn, '-') + 1, 13, "%012d", i);
		if (agent_attend(agent, nqn, &streams[i], &err) < 0 ||
		    agent_attend_next(agent, streams[i], &order, &err) != 1)
			fail_msg("%s", err.msg);
	}
	among_many = visits();
	assert_true(among_many < 4 * alone);
	for (int i = 0; i < CROWD; i++)
		rpc_pending_cancel(streams[i]);
	agent_free(agent);
}

static enum err_code attend_as(const char *target_name, const char *nqn)
{
	struct agent *agent = client(target_name);
	struct agent_order order;
	struct rpc_pending *stream;
	struct err err = ERR_INIT;

	if (agent_attend(agent, nqn, &stream, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(agent_attend_next(agent, stream, &order, &err), -1);
	rpc_pending_cancel(stream);
	agent_free(agent);
	return err.code;
}

static void test_refusals(void **state)
{
	struct agent *agent = client("box"), *other = client("other");
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(attend_as("other", HOST_A), ERR_FAILED_PRECONDITION);
	assert_int_equal(attend_as("box", "nobody"), ERR_INVALID_ARGUMENT);
	assert_int_equal(agent_report(agent, HOST_A, "1", AGENT_FROZEN, "", false,
				      deadline_after_ms(CALL_MS), &err),
			 -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_int_equal(agent_report(other, HOST_A, "1", AGENT_FROZEN, "", false,
				      deadline_after_ms(CALL_MS), &err),
			 -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	agent_free(agent);
	agent_free(other);
}

/* --- certificates ----------------------------------------------------------------------------- */

static void call(struct rpc_client *caller, const struct rpc_service *service,
		 const struct rpc_method *method, bool refused)
{
	cleanup_free char *name = xasprintf("/%s/%s", service->name, method->name);
	cleanup_free ProtobufCMessage *request = xcalloc(1, method->request->sizeof_message);
	ProtobufCMessage *answer = NULL;
	struct err err = ERR_INIT;
	int rc;

	protobuf_c_message_init(method->request, request);
	rc = rpc_client_call(caller, name, request, method->response, deadline_after_ms(CALL_MS),
			     &answer, &err);
	if (rc == 0)
		protobuf_c_message_free_unpacked(answer, NULL);
	if ((err.code == ERR_PERMISSION_DENIED) != refused)
		fail_msg("%s: %s", name, err.msg);
	if (refused)
		assert_non_null(strstr(err.msg, "the client's certificate is for"));
}

/* Every method of one of the services is open to it, and none of the other one. */
static void expect_open(const char *name, size_t open)
{
	cleanup_free char *tls = xasprintf("%s/%s", dir, name);
	struct rpc_client *caller;
	struct err err;

	certs_client(dir, "good", name);
	if (rpc_client_new(address, tls, &caller, &err) < 0)
		fail_msg("%s", err.msg);
	for (size_t i = 0; i < ARRAY_SIZE(services); i++)
		for (size_t j = 0; j < services[i].count; j++)
			call(caller, &services[i], &services[i].methods[j], i != open);
	rpc_client_free(caller);
}

static int setup_tls(void **state)
{
	static const char *const names[] = { "nvmeot-controller", "nvmeotctl" };
	cleanup_free char *tls = NULL;
	struct rpc_server_config config = { .endpoint = "tcp://127.0.0.1:0",
					    .client_names = names,
					    .client_name_count = ARRAY_SIZE(names) };

	if (target_dirs_setup(state) < 0)
		return -1;
	tls = xasprintf("%s/server", dir);
	certs_authority(dir, "good");
	certs_agent(dir, "good", "server", "127.0.0.1");
	open_target();
	config.tls_dir = tls;
	serve(config);
	snprintf(address, sizeof(address), "127.0.0.1:%u", rpc_server_port(server));
	return 0;
}

static void test_certificates(void **state)
{
	(void)state;
	expect_open("nvmeot-node", 1);
	expect_open("nvmeot-controller", 0);
	expect_open("nvmeotctl", 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_freezes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_leaves, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gives_up, setup, teardown),
		cmocka_unit_test_setup_teardown(test_silent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nobody_writes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_absent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_comes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_comes_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shared_nqn, setup, teardown),
		cmocka_unit_test_setup_teardown(test_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_crowd, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_certificates, setup_tls, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
