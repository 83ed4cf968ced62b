/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that are answered with a stream: all answers in order and then the status; clients that
 * read slowly, stop reading, leave or are out of time; a server that drains; many streams at once.
 */
#include "rpc_fixture.h"

#define ALLOCATED "/csi.v1.SnapshotMetadata/GetMetadataAllocated"
#define MANY 2000
#define ENDLESS INT64_MAX
#define ENTRIES 4000	      /* about 48 KiB */
#define SOCKETFUL (24U << 20) /* more than all buffers between two processes take */

/* What the handler of the fixture's call saw; under its lock. */
static struct {
	size_t sent;
	struct err err;
} seen;

static Csi__V1__GetMetadataAllocatedResponse *answer_new(struct rpc_call *call, int32_t entries)
{
	Csi__V1__GetMetadataAllocatedResponse *answer =
		RPC_NEW(call, Csi__V1__GetMetadataAllocatedResponse,
			csi__v1__get_metadata_allocated_response__init);

	answer->block_metadata = rpc_alloc(call, (size_t)entries * sizeof(void *));
	for (int32_t i = 0; i < entries; i++) {
		answer->block_metadata[i] =
			RPC_NEW(call, Csi__V1__BlockMetadata, csi__v1__block_metadata__init);
		answer->block_metadata[i]->byte_offset = INT64_MAX - i;
	}
	answer->n_block_metadata = (size_t)entries;
	return answer;
}

/* starting_offset answers of max_results entries each, numbered; "bad" fails after them. */
static int stream(struct rpc_call *call, const void *request, struct err *err)
{
	const Csi__V1__GetMetadataAllocatedRequest *in = request;
	Csi__V1__GetMetadataAllocatedResponse *answer = answer_new(call, in->max_results);
	struct fixture *f = call->context;
	int rc = 0;

	for (int64_t i = 0; rc == 0 && i < in->starting_offset; i++) {
		answer->volume_capacity_bytes = i;
		rc = rpc_send(call, answer, err);
		pthread_mutex_lock(&f->lock);
		seen.sent++;
		f->held++;
		pthread_cond_broadcast(&f->changed);
		pthread_mutex_unlock(&f->lock);
	}
	if (rc == 0 && strcmp(in->snapshot_id, "bad") == 0)
		rc = err_set(err, ERR_DATA_LOSS, "no more of %s", in->snapshot_id);
	pthread_mutex_lock(&f->lock);
	seen.err = *err;
	f->finished++;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
	return rc;
}

static const struct rpc_method methods[] = {
	{
		.name = "GetMetadataAllocated",
		.request = &csi__v1__get_metadata_allocated_request__descriptor,
		.response = &csi__v1__get_metadata_allocated_response__descriptor,
		.stream = stream,
	},
};

static void begin_as(struct fixture *f, struct rpc_server_config config)
{
	memset(&seen, 0, sizeof(seen));
	fixture_init(f);
	f->services[0] = (struct rpc_service) { "csi.v1.SnapshotMetadata", methods, 1, f, NULL };
	f->server = fixture_serve(f, config);
	f->client = fixture_client(f->endpoint, NULL);
}

static void begin(struct fixture *f)
{
	begin_as(f, (struct rpc_server_config) { 0 });
}

static struct rpc_pending *open_stream(struct rpc_client *client, const char *id, int64_t count,
				       int32_t entries, struct deadline deadline)
{
	Csi__V1__GetMetadataAllocatedRequest request =
		CSI__V1__GET_METADATA_ALLOCATED_REQUEST__INIT;
	struct rpc_pending *pending = NULL;
	struct err err = ERR_INIT;

	request.snapshot_id = (char *)id;
	request.starting_offset = count;
	request.max_results = entries;
	if (rpc_client_open(client, ALLOCATED, &request.base, deadline, &pending, &err) < 0)
		fail_msg("%s", err.msg);
	return pending;
}

/* Reads up to max answers, which have to be numbered from first on; *ret_count: how many came. */
static int read_answers(struct rpc_pending *pending, size_t first, size_t max, size_t *ret_count,
			struct err *err)
{
	ProtobufCMessage *message = NULL;
	int rc = 1;

	for (*ret_count = 0; *ret_count < max; ++*ret_count) {
		rc = rpc_pending_next(pending,
				      &csi__v1__get_metadata_allocated_response__descriptor,
				      &message, err);
		if (rc <= 0)
			break;
		assert_int_equal(
			((Csi__V1__GetMetadataAllocatedResponse *)message)->volume_capacity_bytes,
			first + *ret_count);
		protobuf_c_message_free_unpacked(message, NULL);
	}
	return rc;
}

static int read_stream(struct rpc_client *client, const char *id, int64_t count, int32_t entries,
		       size_t *ret_count, struct err *err)
{
	struct rpc_pending *pending cleanup_rpc_pending =
		open_stream(client, id, count, entries, deadline_after_ms(CALL_MS));

	return read_answers(pending, 0, SIZE_MAX, ret_count, err);
}

static void test_all_in_order(void **state)
{
	static const struct {
		int64_t count;
		int32_t entries;
	} shapes[] = { { 0, 0 }, { 1, 0 }, { 1, 100 }, { MANY, 1 }, { 64, ENTRIES } };
	struct err err = ERR_INIT;
	struct fixture f;
	size_t count;

	(void)state;
	begin(&f);
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		assert_int_equal(read_stream(f.client, "good", shapes[i].count, shapes[i].entries,
					     &count, &err),
				 0);
		assert_int_equal(count, shapes[i].count);
		assert_int_equal(err.code, ERR_NONE);
	}
	assert_int_equal(fixture_call_probe(f.client, &err), 0);
	fixture_end(&f);
}

static void test_error_after_answers(void **state)
{
	struct err err = ERR_INIT;
	struct fixture f;
	size_t count;

	(void)state;
	begin(&f);
	for (int64_t sent = 0; sent < 4; sent++) {
		assert_int_equal(read_stream(f.client, "bad", sent, 2, &count, &err), -1);
		assert_int_equal(count, sent);
		assert_int_equal(err.code, ERR_DATA_LOSS);
		assert_string_equal(err.msg, "no more of bad");
		assert_false(rpc_unanswered(&err));
	}
	fixture_end(&f);
}

static void test_refused(void **state)
{
	Google__Protobuf__Int64Value request = GOOGLE__PROTOBUF__INT64_VALUE__INIT;
	struct rpc_pending *pending cleanup_rpc_pending = NULL;
	struct err err = ERR_INIT;
	struct fixture f;
	size_t count;

	(void)state;
	begin(&f);
	request.value = 77;
	assert_int_equal(rpc_client_open(f.client, ALLOCATED, &request.base,
					 deadline_after_ms(CALL_MS), &pending, &err),
			 0);
	assert_int_equal(read_answers(pending, 0, 1, &count, &err), -1);
	assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
	rpc_pending_cancel(steal_ptr(&pending));
	rpc_server_free(f.server);
	assert_int_equal(read_stream(f.client, "good", 1, 1, &count, &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_true(rpc_unanswered(&err));
	rpc_client_free(f.client);
	fixture_fini(&f);
}

/* A client that reads nothing: the handler is stopped by it, and after a while the call is ended. */
static void test_stalled(void **state)
{
	struct err err = ERR_INIT;
	struct fixture f;
	size_t count;

	(void)state;
	begin_as(&f, (struct rpc_server_config) { .stall_ms = 300 });
	struct rpc_pending *pending cleanup_rpc_pending =
		open_stream(f.client, "endless", ENDLESS, ENTRIES, deadline_after_ms(CALL_MS));
	fixture_await_finished(&f, 1);
	assert_int_equal(seen.err.code, ERR_CANCELLED);
	assert_string_equal(seen.err.msg, "the client took no answer of " ALLOCATED " for 300 ms");
	assert_in_range(seen.sent, 2, SOCKETFUL / (ENTRIES * 11));
	assert_int_equal(read_answers(pending, 0, SIZE_MAX, &count, &err), -1);
	assert_true(count < seen.sent);
	assert_int_equal(err.code, ERR_CANCELLED);
	rpc_pending_cancel(steal_ptr(&pending));
	fixture_end(&f);
}

/* A client that takes its time, though less than that each time, gets everything. */
static void test_slow(void **state)
{
	struct err err = ERR_INIT;
	struct fixture f;
	size_t count;

	(void)state;
	begin(&f);
	struct rpc_pending *pending cleanup_rpc_pending =
		open_stream(f.client, "good", 600, ENTRIES, deadline_after_ms(CALL_MS));
	for (size_t i = 0; i < 600; i++) {
		assert_int_equal(read_answers(pending, i, 1, &count, &err), 1);
		assert_int_equal(fixture_call_probe(f.client, &err), 0);
		/* Not far ahead of its reader. */
		pthread_mutex_lock(&f.lock);
		assert_true(seen.sent < i + SOCKETFUL / (ENTRIES * 11));
		pthread_mutex_unlock(&f.lock);
	}
	assert_int_equal(read_answers(pending, 600, 1, &count, &err), 0);
	rpc_pending_cancel(steal_ptr(&pending));
	fixture_end(&f);
}

static void test_leaving(void **state)
{
	struct err err = ERR_INIT;
	struct fixture f;
	size_t count;

	(void)state;
	begin(&f);
	for (size_t read = 0; read < 4; read++) {
		struct rpc_pending *pending =
			open_stream(f.client, "endless", ENDLESS, 10, deadline_none());

		assert_int_equal(read_answers(pending, 0, read, &count, &err), 1);
		fixture_await_held(&f, 1);
		rpc_pending_cancel(pending);
		fixture_await_finished(&f, read + 1);
		assert_int_equal(seen.err.code, ERR_CANCELLED);
		assert_string_equal(seen.err.msg, "the client left before the last answer of "
						  "" ALLOCATED);
	}
	fixture_end(&f);
}

static void test_deadline(void **state)
{
	struct err err = ERR_INIT;
	struct fixture f;
	size_t count;

	(void)state;
	begin(&f);
	struct rpc_pending *pending cleanup_rpc_pending =
		open_stream(f.client, "endless", ENDLESS, 10, deadline_after_ms(300));
	assert_int_equal(read_answers(pending, 0, SIZE_MAX, &count, &err), -1);
	/* Whichever side sees it first. */
	assert_true(err.code == ERR_DEADLINE_EXCEEDED || err.code == ERR_CANCELLED);
	assert_true(count > 0);
	fixture_await_finished(&f, 1);
	assert_true(seen.err.code == ERR_DEADLINE_EXCEEDED || seen.err.code == ERR_CANCELLED);
	rpc_pending_cancel(steal_ptr(&pending));
	/* The server's own look at it: this client reads nothing, so only time ends the call. */
	pending = open_stream(f.client, "endless", ENDLESS, ENTRIES, deadline_after_ms(300));
	fixture_await_finished(&f, 2);
	assert_true(seen.err.code == ERR_DEADLINE_EXCEEDED || seen.err.code == ERR_CANCELLED);
	rpc_pending_cancel(steal_ptr(&pending));
	fixture_end(&f);
}

static void *drain(void *data)
{
	struct err err = ERR_INIT;

	if (rpc_server_drain(data, deadline_after_ms(CALL_MS), &err) < 0)
		fail_msg("%s", err.msg);
	return NULL;
}

/* A stream that runs ends at its next answer, however long it would be; no other begins. */
static void test_drain(void **state)
{
	struct err err = ERR_INIT;
	struct fixture f;
	pthread_t thread;
	size_t count, late;

	(void)state;
	begin(&f);
	struct rpc_pending *pending cleanup_rpc_pending =
		open_stream(f.client, "endless", ENDLESS, ENTRIES, deadline_after_ms(CALL_MS));
	assert_int_equal(read_answers(pending, 0, 1, &count, &err), 1);
	assert_int_equal(pthread_create(&thread, NULL, drain, f.server), 0);
	/* What was sent arrives, and then the reason. */
	assert_int_equal(read_answers(pending, 1, SIZE_MAX, &count, &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(err.msg, "shutting down; go on with another"));
	/* Or the server has stopped before its request came, which gRPC calls cancelled. */
	assert_int_equal(read_stream(f.client, "good", 1, 1, &late, &err), -1);
	assert_true(err.code == ERR_UNAVAILABLE || err.code == ERR_CANCELLED);
	pthread_join(thread, NULL);
	assert_int_equal(seen.err.code, ERR_UNAVAILABLE);
	assert_int_equal(seen.sent, 1 + count + 1); /* the last one was refused */
	rpc_pending_cancel(steal_ptr(&pending));
	fixture_end(&f);
}

/* Streams that last hold some of the workers, and all else goes on; the place of one is free with
 * it. */
static void test_crowd(void **state)
{
	struct rpc_pending *held[2];
	struct err err = ERR_INIT;
	struct fixture f;
	size_t count;

	(void)state;
	begin_as(&f, (struct rpc_server_config) { .max_workers = 8 });
	for (size_t i = 0; i < ARRAY_SIZE(held); i++) {
		held[i] = open_stream(f.client, "endless", ENDLESS, ENTRIES, deadline_none());
		assert_int_equal(read_answers(held[i], 0, 1, &count, &err), 1);
	}
	for (size_t i = 0; i < 16; i++) {
		assert_int_equal(read_stream(f.client, "good", 1, 1, &count, &err), -1);
		assert_int_equal(err.code, ERR_UNAVAILABLE);
		assert_non_null(strstr(err.msg, "2 streams are running, which is the most"));
		assert_int_equal(fixture_call_probe(f.client, &err), 0);
	}
	rpc_pending_cancel(held[0]);
	fixture_await_finished(&f, 1);
	do
		err = ERR_INIT;
	while (read_stream(f.client, "good", 1, 1, &count, &err) < 0 &&
	       err.code == ERR_UNAVAILABLE);
	/* The next begins when the one before has ended. */
	for (size_t i = 0; i < 50; i++)
		assert_int_equal(read_stream(f.client, "good", 1, 1, &count, &err), 0);
	rpc_pending_cancel(held[1]);
	fixture_end(&f);
}

/* Streams that were counted apart take no worker, and calls none of theirs. */
static void test_apart(void **state)
{
	struct rpc_server_config config = { .max_workers = 2, .max_streams = 3 };
	struct rpc_pending *held[3];
	struct fixture_call calls[3];
	struct err err = ERR_INIT;
	struct fixture f;
	size_t count;

	(void)state;
	begin_as(&f, config);
	rpc_server_free(f.server);
	f.services[1] = (struct rpc_service) { "csi.v1.Node", fixture_node, 1, &f, NULL };
	f.server = fixture_serve(&f, config);
	for (size_t i = 0; i < ARRAY_SIZE(held); i++) {
		held[i] = open_stream(f.client, "endless", ENDLESS, ENTRIES,
				      deadline_after_ms(CALL_MS));
		assert_int_equal(read_answers(held[i], 0, 1, &count, &err), 1);
	}
	assert_int_equal(read_stream(f.client, "good", 1, 1, &count, &err), -1);
	assert_non_null(strstr(err.msg, "3 streams are running, which is the most"));
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		char id[16];

		snprintf(id, sizeof(id), "hold-%zu", i);
		fixture_call_begin(&calls[i], f.client, id);
	}
	fixture_await(&f, &f.begun, 2);
	while (rpc_server_check(f.server, 10, &err) == 0)
		;
	assert_non_null(strstr(err.msg, "for one of 2 workers"));
	assert_int_equal(f.begun, 2);
	fixture_let_go(&f);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		fixture_call_end(&calls[i]);
	for (size_t i = 0; i < ARRAY_SIZE(held); i++)
		rpc_pending_cancel(held[i]);
	fixture_end(&f);
}

struct reader {
	pthread_t thread;
	struct rpc_client *client;
	size_t number;
};

static void *read_many(void *data)
{
	struct reader *reader = data;
	struct err err = ERR_INIT;
	size_t count;

	for (size_t i = 0; i < 8; i++) {
		struct rpc_pending *pending = open_stream(reader->client, i % 2 ? "good" : "bad",
							  100 + (int64_t)i * 10, 50,
							  deadline_after_ms(CALL_MS));

		/* Every third one leaves half-way. */
		read_answers(pending, 0, (reader->number + i) % 3 ? SIZE_MAX : 50, &count, &err);
		assert_int_equal(count, (reader->number + i) % 3 ? 100 + i * 10 : 50);
		rpc_pending_cancel(pending);
	}
	return NULL;
}

static void test_many_at_once(void **state)
{
	struct reader readers[24];
	struct err err = ERR_INIT;
	struct fixture f;

	(void)state;
	begin(&f);
	for (size_t i = 0; i < ARRAY_SIZE(readers); i++) {
		readers[i] = (struct reader) { .client = f.client, .number = i };
		assert_int_equal(pthread_create(&readers[i].thread, NULL, read_many, &readers[i]),
				 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(readers); i++)
		pthread_join(readers[i].thread, NULL);
	assert_int_equal(fixture_call_probe(f.client, &err), 0);
	fixture_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_in_order), cmocka_unit_test(test_error_after_answers),
		cmocka_unit_test(test_refused),	     cmocka_unit_test(test_stalled),
		cmocka_unit_test(test_slow),	     cmocka_unit_test(test_leaving),
		cmocka_unit_test(test_deadline),     cmocka_unit_test(test_drain),
		cmocka_unit_test(test_crowd),	     cmocka_unit_test(test_apart),
		cmocka_unit_test(test_many_at_once),
	};
	struct err err = ERR_INIT;

	if (log_init("text", "error", &err) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
