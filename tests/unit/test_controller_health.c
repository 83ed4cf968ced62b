/* SPDX-License-Identifier: Apache-2.0 */
/* The health of one volume and of all: what targets say, and what is said of silent ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "csi/controller/health.h"
#include "tests/unit/controller_fixture.h"

#define STATUS(name) NVMEOT__TARGET__V1__CONDITION_STATUS__CONDITION_##name

static Csi__V1__ControllerGetVolumeHealthRequest get;
static Csi__V1__ControllerGetVolumeHealthResponse got;

static void ask(const char *volume_id)
{
	csi__v1__controller_get_volume_health_request__init(&get);
	csi__v1__controller_get_volume_health_response__init(&got);
	get.volume_id = (char *)volume_id;
}

static void test_get(void **state)
{
	static const struct {
		Nvmeot__Target__V1__ConditionStatus said;
		Csi__V1__VolumeHealthErrorType status;
	} rows[] = {
		{ STATUS(DEGRADED), CSI__V1__VOLUME_HEALTH_ERROR_TYPE__DEGRADED },
		{ STATUS(INACCESSIBLE), CSI__V1__VOLUME_HEALTH_ERROR_TYPE__INACCESSIBLE },
		{ STATUS(DATA_LOSS), CSI__V1__VOLUME_HEALTH_ERROR_TYPE__DATA_LOSS },
	};
	struct rpc_call call;
	struct err err;

	(void)state;
	a.has_volume = true;
	ask(ID_A);
	assert_int_equal(CALL(&call, health_get, &get, &got, &err), 0);
	assert_string_equal(got.volume_health->volume_id, ID_A);
	assert_int_equal(got.volume_health->n_health_statuses, 0);
	assert_true(a.asked_conditions);
	rpc_call_fini(&call);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const Csi__V1__VolumeHealth__VolumeHealthEntry *entry;

		fake_sick(&a, rows[i].said, "BackingShort");
		ask(ID_A);
		assert_int_equal(CALL(&call, health_get, &get, &got, &err), 0);
		assert_int_equal(got.volume_health->n_health_statuses, 1);
		entry = got.volume_health->health_statuses[0];
		assert_int_equal(entry->status, rows[i].status);
		assert_string_equal(entry->reason, "BackingShort");
		assert_string_equal(entry->message, "in the fake's own words");
		rpc_call_fini(&call);
	}
}

static void test_get_fails(void **state)
{
	(void)state;
	ask("");
	CALL_FAILS(health_get, &get, &got, ERR_INVALID_ARGUMENT, "volume_id is required");
	ask("nonsense");
	CALL_FAILS(health_get, &get, &got, ERR_NOT_FOUND, "\"nonsense\"");
	ask(ID_A);
	CALL_FAILS(health_get, &get, &got, ERR_NOT_FOUND, "does not exist");
	a.id = "c";
	CALL_FAILS(health_get, &get, &got, ERR_FAILED_PRECONDITION, "calls itself");
}

static void inaccessible(const char *volume_id, const char *says)
{
	const Csi__V1__VolumeHealth__VolumeHealthEntry *entry;
	struct rpc_call call;
	struct err err = ERR_INIT;

	ask(volume_id);
	rpc_call_init(&call, deadline_after_ms(3000), ARENA_BYTES);
	call.context = &controller;
	if (health_get(&call, &get, &got, &err) < 0)
		fail_msg("%s", err.msg);
	assert_string_equal(got.volume_health->volume_id, volume_id);
	assert_int_equal(got.volume_health->n_health_statuses, 1);
	entry = got.volume_health->health_statuses[0];
	assert_int_equal(entry->status, CSI__V1__VOLUME_HEALTH_ERROR_TYPE__INACCESSIBLE);
	assert_string_equal(entry->reason, "TargetUnreachable");
	assert_non_null(strstr(entry->message, says));
	rpc_call_fini(&call);
}

/* A target that is down or silent: an answer about the one volume, an error of the list. */
static void test_unreachable(void **state)
{
	Csi__V1__ControllerListVolumeHealthRequest request =
		CSI__V1__CONTROLLER_LIST_VOLUME_HEALTH_REQUEST__INIT;
	Csi__V1__ControllerListVolumeHealthResponse response =
		CSI__V1__CONTROLLER_LIST_VOLUME_HEALTH_RESPONSE__INIT;
	struct silent silent;
	struct agent *agent = NULL;
	struct err err = ERR_INIT;

	(void)state;
	fake_stop(&b);
	inaccessible("b/fast/" FAKE_UUID, "target b");
	CALL_FAILS(health_list, &request, &response, ERR_UNAVAILABLE, "target b");
	silent_start(&silent);
	assert_int_equal(agent_new("silent", silent.address, NULL, &agent, &err), 0);
	assert_int_equal(controller_add_target(&controller, agent, &err), 0);
	inaccessible("silent/fast/" FAKE_UUID, "target silent");
	silent_stop(&silent);
}

/* One page; gives the number of entries, and the token of the next. */
static size_t page(int max, char token[VOLUME_ID_SIZE])
{
	Csi__V1__ControllerListVolumeHealthRequest request =
		CSI__V1__CONTROLLER_LIST_VOLUME_HEALTH_REQUEST__INIT;
	Csi__V1__ControllerListVolumeHealthResponse response =
		CSI__V1__CONTROLLER_LIST_VOLUME_HEALTH_RESPONSE__INIT;
	struct rpc_call call;
	struct err err;
	size_t count;

	request.max_entries = max;
	request.starting_token = token;
	if (CALL(&call, health_list, &request, &response, &err) < 0)
		fail_msg("%s", err.msg);
	count = response.n_entries;
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(response.entries[i]->n_health_statuses, 1);
		assert_string_equal(response.entries[i]->health_statuses[0]->reason, "PoolFull");
	}
	snprintf(token, VOLUME_ID_SIZE, "%s", response.next_token);
	rpc_call_fini(&call);
	return count;
}

/* Only those that something is wrong with, each once, whatever the size of the pages. */
static void test_list(void **state)
{
	char token[VOLUME_ID_SIZE] = "";

	(void)state;
	a.list_count = b.list_count = 450;
	assert_int_equal(page(0, token), 0);
	assert_string_equal(token, "");
	assert_true(a.asked_conditions);
	/* 450 are more than an agent is asked for at once. */
	assert_int_equal(a.lists, 2);
	fake_sick(&a, STATUS(DEGRADED), "PoolFull");
	fake_sick(&b, STATUS(DEGRADED), "PoolFull");
	a.sick_every = 100;
	b.sick_every = 300;
	for (int max = 0; max <= 9; max++) {
		size_t seen = 0;
		int pages = 0;

		token[0] = '\0';
		do {
			size_t count = page(max, token);

			assert_true(max == 0 || count <= (size_t)max);
			seen += count;
			assert_true(++pages <= 10);
		} while (token[0]);
		assert_int_equal(seen, 5 + 2);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_get),
		TEST(test_get_fails),
		TEST(test_unreachable),
		TEST(test_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
