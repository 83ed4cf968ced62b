/* SPDX-License-Identifier: Apache-2.0 */
/* Calls begun by one thread: they run at the same time, cost no thread each, and can be given up. */
#include <dirent.h>

#include "rpc_fixture.h"

#define CLIENTS 50

static struct rpc_pending *begin(struct rpc_client *client, const char *volume_id,
				 struct deadline deadline)
{
	Csi__V1__NodeStageVolumeRequest request = CSI__V1__NODE_STAGE_VOLUME_REQUEST__INIT;
	struct rpc_pending *pending = NULL;
	struct err err = ERR_INIT;

	request.volume_id = (char *)volume_id;
	if (rpc_client_begin(client, STAGE, &request.base, deadline, &pending, &err) < 0)
		fail_msg("%s", err.msg);
	return pending;
}

static int finish(struct rpc_pending *pending, struct err *err)
{
	ProtobufCMessage *response = NULL;
	int rc = rpc_pending_finish(pending, &csi__v1__node_stage_volume_response__descriptor,
				    &response, err);

	assert_true((rc == 0) == (response != NULL));
	if (rc == 0)
		protobuf_c_message_free_unpacked(response, NULL);
	return rc;
}

/*
 * All handlers of many connections are inside at once while nobody waits for any call, so the
 * slowest alone counts.
 */
static void test_many_connections(void **state)
{
	struct rpc_pending *pending[CLIENTS];
	struct rpc_client *client[CLIENTS];
	struct err err = ERR_INIT;
	char volume_id[16];
	struct fixture f;

	(void)state;
	fixture_begin(&f);
	for (size_t i = 0; i < CLIENTS; i++) {
		snprintf(volume_id, sizeof(volume_id), "hold-%zu", i);
		client[i] = fixture_client(f.endpoint, NULL);
		pending[i] = begin(client[i], volume_id, deadline_after_ms(CALL_MS));
	}
	fixture_await_held(&f, CLIENTS);
	fixture_let_go(&f);
	for (size_t i = CLIENTS; i-- > 0;)
		assert_int_equal(finish(pending[i], &err), 0);
	for (size_t i = 0; i < CLIENTS; i++)
		rpc_client_free(client[i]);
	fixture_end(&f);
}

static size_t thread_count(void)
{
	DIR *dir = opendir("/proc/self/task");
	size_t count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 2;
}

/* Nobody answers: all deadlines pass at once, and no call has a thread of its own. */
static void test_silent_servers(void **state)
{
	struct rpc_pending *pending[CLIENTS];
	struct rpc_client *client[CLIENTS];
	struct err err = ERR_INIT;
	int listener[CLIENTS];
	uint64_t begun;
	size_t threads;
	char address[32];

	(void)state;
	for (size_t i = 0; i < CLIENTS; i++) {
		listener[i] = fixture_silence(address);
		client[i] = fixture_client(address, NULL);
	}
	threads = thread_count();
	begun = clock_now_ns();
	for (size_t i = 0; i < CLIENTS; i++)
		pending[i] = begin(client[i], "v", deadline_after_ms(1000));
	for (size_t i = 0; i < CLIENTS; i++) {
		assert_int_equal(finish(pending[i], &err), -1);
		assert_int_equal(err.code, ERR_DEADLINE_EXCEEDED);
	}
	/* One after the other would be 50 s; gRPC may start some threads of its own. */
	assert_true(clock_now_ns() - begun < 10000000000ULL);
	assert_true(thread_count() < threads + 12);
	for (size_t i = 0; i < CLIENTS; i++) {
		rpc_client_free(client[i]);
		close(listener[i]);
	}
}

/* A quick answer is there while slow ones are still under way, whatever their order. */
static void test_order_is_free(void **state)
{
	struct rpc_pending *slow, *quick;
	struct err err = ERR_INIT;
	struct fixture f;

	(void)state;
	fixture_begin(&f);
	slow = begin(f.client, "hold", deadline_after_ms(CALL_MS));
	quick = begin(f.client, "missing", deadline_after_ms(CALL_MS));
	assert_int_equal(finish(quick, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	fixture_await_held(&f, 1);
	fixture_let_go(&f);
	assert_int_equal(finish(slow, &err), 0);
	fixture_end(&f);
}

/* The handler, which waits for it, is told; a call that reached no server can be given up, too. */
static void test_cancel(void **state)
{
	struct rpc_pending *pending;
	struct rpc_client *client;
	char address[32];
	struct fixture f;
	int listener;

	(void)state;
	fixture_begin(&f);
	pending = begin(f.client, "leave", deadline_none());
	fixture_await_held(&f, 1);
	rpc_pending_cancel(pending);
	fixture_await_finished(&f, 1);
	listener = fixture_silence(address);
	client = fixture_client(address, NULL);
	rpc_pending_cancel(begin(client, "v", deadline_none()));
	rpc_client_free(client);
	close(listener);
	fixture_end(&f);
}

/* Begun in one thread and finished in another. */
static void *finish_main(void *pending)
{
	struct err err = ERR_INIT;

	return finish(pending, &err) < 0 ? pending : NULL;
}

static void test_finished_elsewhere(void **state)
{
	struct rpc_pending *pending[8];
	pthread_t thread[8];
	struct fixture f;
	void *failed;

	(void)state;
	fixture_begin(&f);
	for (size_t i = 0; i < ARRAY_SIZE(pending); i++) {
		char id[16];

		snprintf(id, sizeof(id), "v-%zu", i);
		pending[i] = begin(f.client, id, deadline_after_ms(CALL_MS));
		pthread_create(&thread[i], NULL, finish_main, pending[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(pending); i++) {
		pthread_join(thread[i], &failed);
		assert_null(failed);
	}
	fixture_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many_connections),   cmocka_unit_test(test_silent_servers),
		cmocka_unit_test(test_order_is_free),	   cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_finished_elsewhere),
	};
	struct err err = ERR_INIT;

	log_init("text", "error", &err);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
