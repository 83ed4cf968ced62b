/* SPDX-License-Identifier: Apache-2.0 */
/* What bounds a page beside its entries: bytes, volumes looked at, agents that do not go on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "csi/controller/health.h"
#include "csi/controller/listing.h"
#include "tests/unit/controller_fixture.h"

#define PAGE_MAX_BYTES ((2U << 20) + 8192)
#define OPTIONS_BYTES 3000
#define PAGES_MAX 10

/* One page of volumes; the number of its entries, its size, and the token of the next. */
static size_t list(char token[VOLUME_ID_SIZE], size_t *ret_bytes)
{
	Csi__V1__ListVolumesRequest request = CSI__V1__LIST_VOLUMES_REQUEST__INIT;
	Csi__V1__ListVolumesResponse response = CSI__V1__LIST_VOLUMES_RESPONSE__INIT;
	struct rpc_call call;
	struct err err;
	size_t count;

	request.starting_token = token;
	if (CALL(&call, listing_list_volumes, &request, &response, &err) < 0)
		fail_msg("%s", err.msg);
	count = response.n_entries;
	*ret_bytes = protobuf_c_message_get_packed_size(&response.base);
	snprintf(token, VOLUME_ID_SIZE, "%s", response.next_token);
	rpc_call_fini(&call);
	return count;
}

/* Volumes with long parameters: fewer of them to a page, but all of them. */
static void test_bytes(void **state)
{
	char token[VOLUME_ID_SIZE] = "";
	char options[OPTIONS_BYTES + 1];
	size_t seen = 0, bytes;
	int pages = 0;

	(void)state;
	memset(options, 'x', OPTIONS_BYTES);
	options[OPTIONS_BYTES] = '\0';
	fake_parameter(&a, "mkfsOptions", options);
	fake_parameter(&b, "mkfsOptions", options);
	a.list_count = b.list_count = 600;
	do {
		seen += list(token, &bytes);
		assert_in_range(bytes, 1, PAGE_MAX_BYTES);
		assert_true(++pages <= PAGES_MAX);
	} while (token[0]);
	assert_int_equal(seen, 1200);
}

static size_t list_sick(char token[VOLUME_ID_SIZE])
{
	Csi__V1__ControllerListVolumeHealthRequest request =
		CSI__V1__CONTROLLER_LIST_VOLUME_HEALTH_REQUEST__INIT;
	Csi__V1__ControllerListVolumeHealthResponse response =
		CSI__V1__CONTROLLER_LIST_VOLUME_HEALTH_RESPONSE__INIT;
	struct rpc_call call;
	struct err err;
	size_t count;

	request.starting_token = token;
	if (CALL(&call, health_list, &request, &response, &err) < 0)
		fail_msg("%s", err.msg);
	count = response.n_entries;
	snprintf(token, VOLUME_ID_SIZE, "%s", response.next_token);
	rpc_call_fini(&call);
	return count;
}

/* When all are well no page has an entry, and still each call looks at so many and no more. */
static void test_volumes_looked_at(void **state)
{
	char token[VOLUME_ID_SIZE] = "";
	int pages = 0, lists = 0;

	(void)state;
	a.list_count = 1700;
	b.list_count = 900;
	do {
		assert_int_equal(list_sick(token), 0);
		assert_in_range(a.lists + b.lists - lists, 1, 6);
		lists = a.lists + b.lists;
		assert_true(++pages <= PAGES_MAX);
	} while (token[0]);
	assert_int_equal(pages, 3);
}

static void stuck(const char *says)
{
	Csi__V1__ListVolumesRequest volumes = CSI__V1__LIST_VOLUMES_REQUEST__INIT;
	Csi__V1__ListVolumesResponse volumes_response = CSI__V1__LIST_VOLUMES_RESPONSE__INIT;
	Csi__V1__ControllerListVolumeHealthRequest health =
		CSI__V1__CONTROLLER_LIST_VOLUME_HEALTH_REQUEST__INIT;
	Csi__V1__ControllerListVolumeHealthResponse health_response =
		CSI__V1__CONTROLLER_LIST_VOLUME_HEALTH_RESPONSE__INIT;

	CALL_FAILS(listing_list_volumes, &volumes, &volumes_response, ERR_INTERNAL, says);
	CALL_FAILS(health_list, &health, &health_response, ERR_INTERNAL, says);
	assert_in_range(b.lists, 1, 6);
}

/* Neither asked for ever, nor taken for the end of the list. */
static void test_stuck(void **state)
{
	(void)state;
	b.list_stuck = true;
	stuck("target b: its list does not go on after \"\"");
	b.list_count = 3;
	stuck("target b: its list does not go on after "
	      "\"00000002-0000-4000-8000-000000000000\"");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_bytes),
		TEST(test_volumes_looked_at),
		TEST(test_stuck),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
