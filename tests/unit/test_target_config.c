/* SPDX-License-Identifier: Apache-2.0 */
/* Overcommit and topology as text: what is taken, and what the refusals say. */
#include "tests/unit/target_fixture.h"

/* Opens a target with these settings, which come in lists with a NULL at the end. */
static int open_with(const char *const *overcommit, const char *const *topology, struct err *err)
{
	cleanup_free char *fast = xasprintf("fast=dir:%s/fast", dir);
	cleanup_free char *slow = xasprintf("slow=dir:%s/slow", dir);
	cleanup_free char *nvmet = xasprintf("%s/nvmet", dir);
	const char *pools[] = { fast, slow };
	struct portal portal;
	struct target_config config = { .id = "box",
					.pools = pools,
					.pool_count = ARRAY_SIZE(pools),
					.portals = &portal,
					.portal_count = 1,
					.overcommit = overcommit,
					.topology = topology,
					.nvmet_path = nvmet };
	int r;

	while (overcommit && overcommit[config.overcommit_count])
		config.overcommit_count++;
	while (topology && topology[config.topology_count])
		config.topology_count++;
	assert_int_equal(portal_parse("tcp://127.0.0.1:4420", &portal, err), 0);
	target_free(target);
	r = target_new(&config, &target, err);
	/* For teardown, and for the next one. */
	if (r < 0) {
		struct err ignored;

		config.overcommit_count = config.topology_count = 0;
		assert_int_equal(target_new(&config, &target, &ignored), 0);
	}
	return r;
}

static void test_overcommit(void **state)
{
	static const char *const good[] = { "slow=2.5", "fast=100", NULL };
	struct err err = ERR_INIT;

	(void)state;
	assert_ok(open_with(NULL, NULL, &err), &err);
	assert_true(target->pools[0]->overcommit == 1);
	assert_ok(open_with(good, NULL, &err), &err);
	assert_true(target->pools[0]->overcommit == 100);
	assert_true(target->pools[1]->overcommit == 2.5);
}

static void test_bad_overcommit(void **state)
{
	static const struct {
		const char *item, *says;
	} bad[] = {
		{ "fast", "\"fast\" is not of the form POOL=RATIO" },
		{ "=2", "\"=2\" is not of the form POOL=RATIO" },
		{ "quick=2", "there is no pool \"quick\"" },
		{ "fast=", "\"\" is not a number from 1 to 100" },
		{ "fast=0.99", "\"0.99\" is not a number from 1 to 100" },
		{ "fast=100.01", "\"100.01\" is not" },
		{ "fast=-2", "\"-2\" is not" },
		{ "fast=1e1", "\"1e1\" is not" },
		{ "fast=0x2", "\"0x2\" is not" },
		{ "fast=nan", "\"nan\" is not" },
		{ "fast=1.2.3", "\"1.2.3\" is not" },
		{ "fast=.5", "\".5\" is not" },
		{ "fast=2 ", "\"2 \" is not" },
		{ "fast=1,5", "\"1,5\" is not" },
	};
	static const char *const twice[] = { "fast=2", "slow=2", "fast=2", NULL };
	struct err err = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const char *const items[] = { bad[i].item, NULL };

		assert_code(open_with(items, NULL, &err), &err, ERR_INVALID_ARGUMENT);
		assert_says(err.msg, bad[i].says);
	}
	assert_code(open_with(twice, NULL, &err), &err, ERR_INVALID_ARGUMENT);
	assert_says(err.msg, "overcommit of pool fast is given twice");
}

static void test_topology(void **state)
{
	static const char *const good[] = { "topology.kubernetes.io/zone=a", "rack=R_1.b-2", NULL };
	const struct target_label *labels;
	struct err err = ERR_INIT;
	size_t count = 9;

	(void)state;
	assert_ok(open_with(NULL, NULL, &err), &err);
	target_topology(target, &count);
	assert_int_equal(count, 0);
	assert_ok(open_with(NULL, good, &err), &err);
	labels = target_topology(target, &count);
	assert_int_equal(count, 2);
	assert_string_equal(labels[0].key, "topology.kubernetes.io/zone");
	assert_string_equal(labels[0].value, "a");
	assert_string_equal(labels[1].key, "rack");
	assert_string_equal(labels[1].value, "R_1.b-2");
}

static void test_bad_topology(void **state)
{
	char long_name[64 + sizeof("=v")], long_value[2 + 64 + 1],
		long_prefix[254 + sizeof("/n=v")];
	const char *const bad[] = { "zone",    "=a",	   "zone=",    "zone=a b", "zo ne=a",
				    "-zone=a", "zone-=a",  "zone=a-",  "a/b/c=d",  "/zone=a",
				    "io/=a",   "IO/z=a",   "-io/z=a",  "zone=a/b", "zöne=a",
				    long_name, long_value, long_prefix };
	static const char *const twice[] = { "Rack=a", "racks=a", "rack=b", NULL };
	const char *many[TARGET_TOPOLOGY_MAX + 2] = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	memset(long_name, 'n', 64);
	strcpy(long_name + 64, "=v");
	strcpy(long_value, "k=");
	memset(long_value + 2, 'v', 64);
	long_value[66] = '\0';
	memset(long_prefix, 'p', 254);
	strcpy(long_prefix + 254, "/n=v");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const char *const items[] = { bad[i], NULL };

		assert_code(open_with(NULL, items, &err), &err, ERR_INVALID_ARGUMENT);
		assert_says(err.msg, bad[i]);
	}
	/* The longest that are right. */
	long_name[63] = '=';
	long_name[64] = 'v';
	long_name[65] = '\0';
	long_value[65] = '\0';
	memmove(long_prefix, long_prefix + 1, strlen(long_prefix));
	many[0] = long_name;
	many[1] = long_value;
	many[2] = long_prefix;
	assert_ok(open_with(NULL, many, &err), &err);
	assert_code(open_with(NULL, twice, &err), &err, ERR_INVALID_ARGUMENT);
	assert_says(err.msg, "topology key rack is given twice");
	for (size_t i = 0; i <= TARGET_TOPOLOGY_MAX; i++)
		many[i] = "k=v";
	assert_code(open_with(NULL, many, &err), &err, ERR_INVALID_ARGUMENT);
	assert_says(err.msg, "17 topology labels are more than 16");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_overcommit),
		CASE(test_bad_overcommit),
		CASE(test_topology),
		CASE(test_bad_topology),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
