/* SPDX-License-Identifier: Apache-2.0 */
/* What a handler sees of its call, and the lookup of methods by their full name. */
#include "rpc_fixture.h"

static void test_find(void **state)
{
	const struct rpc_service *service = NULL;
	struct rpc_service services[2];
	struct fixture f;

	(void)state;
	fixture_services(&f, services);
	assert_ptr_equal(rpc_method_find(services, 2, STAGE, &service), &fixture_node[0]);
	assert_ptr_equal(service, &services[0]);
	assert_ptr_equal(rpc_method_find(services, 2, PROBE, &service), &fixture_identity[0]);
	assert_ptr_equal(service, &services[1]);
}

static void test_find_nothing(void **state)
{
	static const char *const names[] = { "",
					     "/",
					     "//",
					     "csi.v1.Identity/Probe",
					     "/csi.v1.Identity",
					     "/csi.v1.Identity/",
					     "/csi.v1.Identity/Prob",
					     "/csi.v1.Identity/Probe2",
					     "/csi.v1.Identity2/Probe",
					     "/csi.v1.Node/Probe" };
	const struct rpc_service *service = NULL;
	struct rpc_service services[2];
	struct fixture f;

	(void)state;
	fixture_services(&f, services);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_null(rpc_method_find(services, 2, names[i], &service));
	assert_null(service);
}

static void test_memory(void **state)
{
	struct rpc_call call;
	char *text, *number;

	(void)state;
	rpc_call_init(&call, deadline_none(), 0);
	text = rpc_strdup(&call, "abc");
	number = rpc_printf(&call, "%s-%05d", "n", 42);
	assert_string_equal(text, "abc");
	assert_string_equal(number, "n-00042");
	assert_string_equal(rpc_printf(&call, "%s", ""), "");
	rpc_call_fini(&call);
}

static void test_cancelled(void **state)
{
	struct rpc_call call;

	(void)state;
	rpc_call_init(&call, deadline_none(), 0);
	assert_false(rpc_call_cancelled(&call));
	atomic_store(&call.cancelled, true);
	assert_true(rpc_call_cancelled(&call));
	rpc_call_fini(&call);
	rpc_call_init(&call, deadline_after_ms(0), 0);
	assert_true(rpc_call_cancelled(&call));
	rpc_call_fini(&call);
}

static void note(void *context)
{
	++*(int *)context;
}

static void test_watch(void **state)
{
	struct rpc_call call;
	int noted = 0;

	(void)state;
	rpc_call_init(&call, deadline_none(), 0);
	rpc_call_watch(&call, note, &noted);
	assert_int_equal(noted, 0);
	rpc_call_cancel(&call);
	assert_int_equal(noted, 1);
	assert_true(rpc_call_cancelled(&call));
	rpc_call_unwatch(&call);
	rpc_call_cancel(&call);
	assert_int_equal(noted, 1);
	rpc_call_fini(&call);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),   cmocka_unit_test(test_find_nothing),
		cmocka_unit_test(test_memory), cmocka_unit_test(test_cancelled),
		cmocka_unit_test(test_watch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
