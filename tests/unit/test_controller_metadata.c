/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SnapshotMetadata service against fake agents: answers of any size from lists of any size,
 * where they go on, what is refused, streams that break off; and once through a server, with a
 * client.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "csi/controller/metadata.h"
#include "csi/rpc/client.h"
#include "tests/unit/controller_fixture.h"

#define S1 "11111111-0000-5000-8000-000000000000"
#define S2 "22222222-0000-5000-8000-000000000000"
#define S3 "33333333-0000-5000-8000-000000000000"
#define OTHER "88888888-0000-5000-8000-000000000000"
#define ID(s) "a/fast/@" s
#define BLOCK UINT64_C(4096)
#define SIZE_BLOCKS 40000
#define EXTENTS 10000

static struct extent told[EXTENTS];

static int setup_snapshots(void **state)
{
	if (setup(state) < 0)
		return -1;
	fake_snapshot_add(&a.snapshots, S1, FAKE_UUID, "");
	fake_snapshot_add(&a.snapshots, S2, FAKE_UUID, "");
	fake_snapshot_add(&a.snapshots, S3, OTHER, "");
	for (size_t i = 0; i < a.snapshots.count; i++)
		a.snapshots.rows[i].size_bytes = SIZE_BLOCKS * (int64_t)BLOCK;
	for (size_t i = 0; i < EXTENTS; i++)
		told[i] = (struct extent) { i * 4 * BLOCK, (1 + i % 3) * BLOCK };
	a.extents.items = told;
	a.extents.count = EXTENTS;
	return 0;
}

/* What a stream sent; both kinds of answers look alike. */
static struct {
	struct extent items[EXTENTS];
	size_t count, answers, largest, fail_at;
	struct rpc_call *cancel; /* after its first answer */
} got;

static int take_answer(struct rpc_call *call, const ProtobufCMessage *message, struct err *err)
{
	const Csi__V1__GetMetadataAllocatedResponse *answer = (const void *)message;

	(void)call;
	if (++got.answers == got.fail_at)
		return err_set(err, ERR_CANCELLED, "the test's own words");
	assert_int_equal(answer->block_metadata_type,
			 CSI__V1__BLOCK_METADATA_TYPE__VARIABLE_LENGTH);
	assert_int_equal(answer->volume_capacity_bytes, SIZE_BLOCKS * BLOCK);
	if (answer->n_block_metadata > got.largest)
		got.largest = answer->n_block_metadata;
	for (size_t i = 0; i < answer->n_block_metadata; i++) {
		assert_true(got.count < EXTENTS);
		got.items[got.count++] =
			(struct extent) { (uint64_t)answer->block_metadata[i]->byte_offset,
					  (uint64_t)answer->block_metadata[i]->size_bytes };
	}
	if (got.cancel)
		rpc_call_cancel(got.cancel);
	return 0;
}

static int stream(const char *method, const void *request, struct err *err)
{
	const struct rpc_service service = metadata_service(&controller);
	const struct rpc_service *found;
	cleanup_free char *name = xasprintf("/csi.v1.SnapshotMetadata/%s", method);
	const struct rpc_method *row = rpc_method_find(&service, 1, name, &found);
	bool cancel = got.cancel, fails = got.fail_at;
	size_t fail_at = got.fail_at;
	struct rpc_call call;
	int rc;

	assert_non_null(row);
	memset(&got, 0, sizeof(got));
	rpc_call_init(&call, soon(), ARENA_BYTES);
	call.context = &controller;
	call.send = take_answer;
	got.cancel = cancel ? &call : NULL;
	got.fail_at = fails ? fail_at : 0;
	*err = ERR_INIT;
	rc = row->stream(&call, request, err);
	/* However long the stream, it takes no more. */
	assert_true(call.arena.total_bytes < 512 << 10);
	rpc_call_fini(&call);
	got.cancel = NULL;
	got.fail_at = 0;
	return rc;
}

static int allocated(const char *id, int64_t start, int32_t max, struct err *err)
{
	Csi__V1__GetMetadataAllocatedRequest request =
		CSI__V1__GET_METADATA_ALLOCATED_REQUEST__INIT;

	request.snapshot_id = (char *)id;
	request.starting_offset = start;
	request.max_results = max;
	return stream("GetMetadataAllocated", &request, err);
}

static int delta(const char *base, const char *id, int64_t start, int32_t max, struct err *err)
{
	Csi__V1__GetMetadataDeltaRequest request = CSI__V1__GET_METADATA_DELTA_REQUEST__INIT;

	request.base_snapshot_id = (char *)base;
	request.target_snapshot_id = (char *)id;
	request.starting_offset = start;
	request.max_results = max;
	return stream("GetMetadataDelta", &request, err);
}

static void check_all_from(size_t first)
{
	assert_int_equal(got.count, EXTENTS - first);
	assert_memory_equal(got.items, told + first, got.count * sizeof(*told));
}

static void test_allocated(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(allocated(ID(S2), 0, 0, &err), 0);
	check_all_from(0);
	assert_int_equal(got.largest, 4096);
	assert_int_equal(a.extents.calls, 3);
	assert_string_equal(a.extents.asked_uuid, S2);
	assert_string_equal(a.extents.asked_pool, "fast");
	assert_string_equal(a.extents.asked_base, "");
	assert_int_equal(b.extents.calls, 0);
}

static void test_delta(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(delta(ID(S1), ID(S2), 0, 0, &err), 0);
	check_all_from(0);
	assert_string_equal(a.extents.asked_uuid, S2);
	assert_string_equal(a.extents.asked_base, S1);
	/* Of itself, too: who asks so hears what the target says. */
	assert_int_equal(delta(ID(S1), ID(S1), 0, 0, &err), 0);
}

static void test_max_results(void **state)
{
	static const int32_t maxes[] = { 1, 7, 1000, 4095, 4096, 5000, INT32_MAX };
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(maxes); i++) {
		a.extents.calls = 0;
		assert_int_equal(allocated(ID(S2), 0, maxes[i], &err), 0);
		check_all_from(0);
		assert_in_range(got.largest, 1, maxes[i]);
		/* Small answers do not cost a question each. */
		assert_int_equal(a.extents.calls, 3);
	}
}

static void test_starting_offset(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(allocated(ID(S2), 5000 * 4 * BLOCK, 0, &err), 0);
	check_all_from(5000);
	assert_int_equal(delta(ID(S1), ID(S2), 5000 * 4 * BLOCK + 1, 3, &err), 0);
	check_all_from(5000);
	/* Behind the last byte of a range: the next one. */
	assert_int_equal(delta(ID(S1), ID(S2),
			       (int64_t)(told[77].offset_bytes + told[77].length_bytes), 0, &err),
			 0);
	check_all_from(78);
	assert_int_equal(allocated(ID(S2), SIZE_BLOCKS * BLOCK, 0, &err), 0);
	assert_int_equal(got.answers, 1);
	assert_int_equal(got.count, 0);
}

/* Long parts without anything: questions without extents, and no empty answers for them. */
static void test_nothing_for_long(void **state)
{
	struct err err;

	(void)state;
	a.extents.count = 10;
	a.extents.looks_at = 100 * BLOCK;
	assert_int_equal(allocated(ID(S2), 0, 0, &err), 0);
	assert_int_equal(got.count, 10);
	assert_int_equal(got.answers, 1);
	assert_int_equal(a.extents.calls, SIZE_BLOCKS / 100);
	a.extents.count = 0;
	assert_int_equal(allocated(ID(S2), 0, 0, &err), 0);
	assert_int_equal(got.count, 0);
	assert_int_equal(got.answers, 1);
}

#define FAILS(call, wanted, says)                                                                  \
	do {                                                                                       \
		assert_int_equal(call, -1);                                                        \
		if (err.code != (wanted) || !strstr(err.msg, says))                                \
			fail_msg("%s \"%s\" does not say \"%s\"", err_code_name(err.code),         \
				 err.msg, says);                                                   \
		assert_int_equal(got.answers, 0);                                                  \
	} while (0)

static void test_refused(void **state)
{
	struct err err;

	(void)state;
	FAILS(allocated("", 0, 0, &err), ERR_INVALID_ARGUMENT, "snapshot_id");
	FAILS(delta("", ID(S2), 0, 0, &err), ERR_INVALID_ARGUMENT, "base_snapshot_id");
	FAILS(delta(ID(S1), "", 0, 0, &err), ERR_INVALID_ARGUMENT, "target_snapshot_id");
	FAILS(allocated(ID(S2), -1, 0, &err), ERR_OUT_OF_RANGE, "starting_offset -1");
	FAILS(delta(ID(S1), ID(S2), INT64_MIN, 0, &err), ERR_OUT_OF_RANGE, "starting_offset -9");
	FAILS(delta(ID(S1), ID(S2), 0, -5, &err), ERR_INVALID_ARGUMENT, "max_results -5");
	FAILS(allocated("nonsense", 0, 0, &err), ERR_NOT_FOUND, "nonsense");
	FAILS(allocated("a/fast/" S2, 0, 0, &err), ERR_NOT_FOUND, S2);
	FAILS(allocated("c/fast/@" S2, 0, 0, &err), ERR_NOT_FOUND, "\"c\"");
	FAILS(delta("nonsense", ID(S2), 0, 0, &err), ERR_NOT_FOUND, "nonsense");
	FAILS(allocated(ID(OTHER), 0, 0, &err), ERR_NOT_FOUND, OTHER);
	FAILS(delta(ID(OTHER), ID(S2), 0, 0, &err), ERR_NOT_FOUND, OTHER);
	FAILS(delta(ID(S3), ID(S2), 0, 0, &err), ERR_INVALID_ARGUMENT, "different volumes");
	FAILS(delta("b/fast/@" S1, ID(S2), 0, 0, &err), ERR_INVALID_ARGUMENT, "different volumes");
	FAILS(delta("a/slow/@" S1, ID(S2), 0, 0, &err), ERR_INVALID_ARGUMENT, "different volumes");
	FAILS(allocated(ID(S2), SIZE_BLOCKS * BLOCK + 1, 0, &err), ERR_OUT_OF_RANGE, "beyond");
}

static void test_breaks_off(void **state)
{
	struct err err;

	(void)state;
	/* The target fails half-way: what it told before was sent, and one can go on there. */
	a.extents.failure = ERR_UNAVAILABLE;
	a.extents.failure_at = 2;
	assert_int_equal(allocated(ID(S2), 0, 0, &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_int_equal(got.count, 4096);
	a.extents.failure = ERR_NONE;
	assert_int_equal(allocated(ID(S2),
				   (int64_t)(told[4095].offset_bytes + told[4095].length_bytes), 0,
				   &err),
			 0);
	check_all_from(4096);
	/* The client leaves while there is nothing to tell it. */
	a.extents.count = 1;
	a.extents.looks_at = BLOCK;
	a.extents.calls = 0;
	got.cancel = (void *)&got;
	assert_int_equal(allocated(ID(S2), 0, 0, &err), -1);
	assert_int_equal(err.code, ERR_CANCELLED);
	assert_int_equal(a.extents.calls, 2);
	/* It takes no more. */
	a.extents.count = EXTENTS;
	a.extents.looks_at = 0;
	got.fail_at = 2;
	assert_int_equal(allocated(ID(S2), 0, 100, &err), -1);
	assert_string_equal(err.msg, "the test's own words");
	assert_int_equal(got.answers, 2);
}

/* The whole way, with the messages that a client gets. */
static void test_served(void **state)
{
	static const char path[] = "/csi.v1.SnapshotMetadata/GetMetadataDelta";
	const struct rpc_service service = metadata_service(&controller);
	cleanup_free char *endpoint = xasprintf("unix://%s/metadata.sock", a.dir);
	const struct rpc_server_config config = { .endpoint = endpoint,
						  .services = &service,
						  .service_count = 1 };
	Csi__V1__GetMetadataDeltaRequest request = CSI__V1__GET_METADATA_DELTA_REQUEST__INIT;
	struct rpc_server *server = NULL;
	struct rpc_client *client = NULL;
	struct rpc_pending *pending = NULL;
	ProtobufCMessage *message;
	struct err err = ERR_INIT;
	size_t count = 0;
	int rc;

	(void)state;
	assert_int_equal(rpc_server_new(&config, &server, &err), 0);
	assert_int_equal(rpc_server_start(server, &err), 0);
	assert_int_equal(rpc_client_new(endpoint, NULL, &client, &err), 0);
	request.base_snapshot_id = (char *)ID(S1);
	request.target_snapshot_id = (char *)ID(S2);
	request.max_results = 256;
	assert_int_equal(rpc_client_open(client, path, &request.base, soon(), &pending, &err), 0);
	while ((rc = rpc_pending_next(pending, &csi__v1__get_metadata_delta_response__descriptor,
				      &message, &err)) > 0) {
		const Csi__V1__GetMetadataDeltaResponse *answer = (const void *)message;

		assert_int_equal(answer->volume_capacity_bytes, SIZE_BLOCKS * BLOCK);
		for (size_t i = 0; i < answer->n_block_metadata; i++, count++) {
			assert_int_equal(answer->block_metadata[i]->byte_offset,
					 told[count].offset_bytes);
			assert_int_equal(answer->block_metadata[i]->size_bytes,
					 told[count].length_bytes);
		}
		protobuf_c_message_free_unpacked(message, NULL);
	}
	assert_int_equal(rc, 0);
	assert_int_equal(count, EXTENTS);
	rpc_pending_cancel(pending);
	rpc_client_free(client);
	rpc_server_free(server);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_snapshots, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_allocated),	     TEST(test_delta),
		TEST(test_max_results),	     TEST(test_starting_offset),
		TEST(test_nothing_for_long), TEST(test_refused),
		TEST(test_breaks_off),	     TEST(test_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
