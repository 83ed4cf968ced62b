/* SPDX-License-Identifier: Apache-2.0 */
/* StorageClass parameters: each one's good and bad values, and the list that an unknown one gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "csi/request/parameters.h"
#include "tests/unit/request_fixture.h"

static struct map none;

static int parse(const char *key, const char *value, struct parameters *ret, struct err *err)
{
	struct fixture_map m = { 0 };

	*err = ERR_INIT;
	if (key)
		fixture_map_set(&m, key, value);
	return parameters_parse(fixture_map_of(&m), ret, err);
}

static void test_defaults(void **state)
{
	struct host_connect_options connect = host_connect_options_default();
	struct parameters p;
	struct err err;

	(void)state;
	assert_int_equal(parse(NULL, NULL, &p, &err), 0);
	assert_string_equal(p.target, "");
	assert_string_equal(p.pool, "");
	assert_false(p.volatile_cache);
	assert_false(p.fs_repair);
	assert_null(p.fs_type);
	assert_string_equal(p.mkfs_options, "");
	assert_memory_equal(&p.connect, &connect, sizeof(connect));
}

static void test_words(void **state)
{
	struct parameters p;
	struct err err;

	(void)state;
	assert_int_equal(parse("target", "box-1", &p, &err), 0);
	assert_string_equal(p.target, "box-1");
	assert_int_equal(parse("pool", "fast", &p, &err), 0);
	assert_string_equal(p.pool, "fast");
	assert_int_equal(parse("writeCache", "volatile", &p, &err), 0);
	assert_true(p.volatile_cache);
	assert_int_equal(parse("writeCache", "none", &p, &err), 0);
	assert_false(p.volatile_cache);
	assert_int_equal(parse("csi.storage.k8s.io/fstype", "xfs", &p, &err), 0);
	assert_string_equal(p.fs_type, "xfs");
	assert_int_equal(parse("csi.storage.k8s.io/fstype", "btrfs", &p, &err), 0);
	assert_string_equal(p.fs_type, "btrfs");
	assert_int_equal(parse("mkfsOptions", "-m 1", &p, &err), 0);
	assert_string_equal(p.mkfs_options, "-m 1");
	assert_int_equal(parse("fsRepair", "true", &p, &err), 0);
	assert_true(p.fs_repair);
	assert_int_equal(parse("fsRepair", "false", &p, &err), 0);
	assert_false(p.fs_repair);
}

static void test_bad_words(void **state)
{
	static const char *const rows[][2] = {
		{ "target", "" },
		{ "target", "Box" },
		{ "target", "a/b" },
		{ "target", "abcdefghijklmnopqrstuvwxyz-0123456" },
		{ "pool", "" },
		{ "pool", "fast pool" },
		{ "writeCache", "" },
		{ "writeCache", "None" },
		{ "writeCache", "yes" },
		{ "csi.storage.k8s.io/fstype", "" },
		{ "csi.storage.k8s.io/fstype", "ntfs" },
		{ "fsRepair", "" },
		{ "fsRepair", "yes" },
		{ "fsRepair", "True" },
	};
	struct parameters p = { .target = "untouched" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err err;

		assert_int_equal(parse(rows[i][0], rows[i][1], &p, &err), -1);
		assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
		assert_non_null(strstr(err.msg, rows[i][0]));
		assert_non_null(strstr(err.msg, rows[i][1]));
	}
	assert_string_equal(p.target, "untouched");
}

static int number_of(const struct parameters *p, size_t row)
{
	const int numbers[] = { p->connect.nr_io_queues,       p->connect.queue_size,
				p->connect.ctrl_loss_tmo_s,    p->connect.reconnect_delay_s,
				p->connect.fast_io_fail_tmo_s, p->connect.keep_alive_tmo_s };

	return numbers[row];
}

static void test_numbers(void **state)
{
	static const struct {
		const char *key, *low, *high, *below, *above;
		int low_value, high_value;
	} rows[] = {
		{ "nrIoQueues", "1", "128", "0", "129", 1, 128 },
		{ "queueSize", "16", "1024", "15", "1025", 16, 1024 },
		{ "ctrlLossTmo", "-1", "86400", "-2", "86401", -1, 86400 },
		{ "reconnectDelay", "1", "3600", "0", "3601", 1, 3600 },
		{ "fastIoFailTmo", "1", "86400", "0", "86401", 1, 86400 },
		{ "keepAliveTmo", "1", "3600", "0", "3601", 1, 3600 },
	};
	static const char *const never[] = { "", "x", "5s", " 5", "5.0", "4294967297" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct parameters p;
		struct err err;

		assert_int_equal(parse(rows[i].key, rows[i].low, &p, &err), 0);
		assert_int_equal(number_of(&p, i), rows[i].low_value);
		assert_int_equal(parse(rows[i].key, rows[i].high, &p, &err), 0);
		assert_int_equal(number_of(&p, i), rows[i].high_value);
		assert_int_equal(parse(rows[i].key, rows[i].below, &p, &err), -1);
		assert_int_equal(parse(rows[i].key, rows[i].above, &p, &err), -1);
		assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
		assert_non_null(strstr(err.msg, rows[i].key));
		assert_non_null(strstr(err.msg, rows[i].high));
		for (size_t j = 0; j < ARRAY_SIZE(never); j++)
			assert_int_equal(parse(rows[i].key, never[j], &p, &err), -1);
	}
}

/* A misspelt parameter must not silently do nothing: the answer has all that there are. */
static void test_unknown(void **state)
{
	static const char *const known[] = {
		"target",	  "pool",	   "writeCache",   "csi.storage.k8s.io/fstype",
		"mkfsOptions",	  "nrIoQueues",	   "queueSize",	   "ctrlLossTmo",
		"reconnectDelay", "fastIoFailTmo", "keepAliveTmo", "fsRepair"
	};
	struct parameters p;
	struct err err;

	(void)state;
	assert_int_equal(parse("Pool", "fast", &p, &err), -1);
	assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
	assert_non_null(strstr(err.msg, "parameter \"Pool\" is unknown"));
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		assert_non_null(strstr(err.msg, known[i]));
	assert_null(strstr(err.msg, "pvc"));
	assert_int_equal(parse("csi.storage.k8s.io/pvc/other", "x", &p, &err), -1);
}

/* What the provisioner adds of its own is let through. */
static void test_metadata(void **state)
{
	struct parameters p;
	struct err err;

	(void)state;
	assert_int_equal(parse("csi.storage.k8s.io/pvc/name", "claim", &p, &err), 0);
	assert_int_equal(parse("csi.storage.k8s.io/pvc/namespace", "ns", &p, &err), 0);
	assert_int_equal(parse("csi.storage.k8s.io/pv/name", "pvc-1", &p, &err), 0);
}

static void test_oversize(void **state)
{
	char value[4097];
	struct parameters p;
	struct err err;

	(void)state;
	memset(value, '-', sizeof(value) - 1);
	value[4096] = '\0';
	assert_int_equal(parse("mkfsOptions", value, &p, &err), -1);
	assert_non_null(strstr(err.msg, "at most 4096"));
}

/* The node reads the same names, and skips what is not for it. */
static void test_context(void **state)
{
	struct fixture_map m = { 0 };
	struct parameters p;
	struct err err = ERR_INIT;

	(void)state;
	fixture_map_set(&m, "storage.kubernetes.io/csiProvisionerIdentity", "x");
	fixture_map_set(&m, "nqn", "not read here");
	fixture_map_set(&m, "pool", "NOT READ EITHER");
	fixture_map_set(&m, "mkfsOptions", "-m 1");
	fixture_map_set(&m, "queueSize", "64");
	assert_int_equal(parameters_parse_context(fixture_map_of(&m), none, &p, &err), 0);
	assert_string_equal(p.pool, "");
	assert_string_equal(p.mkfs_options, "-m 1");
	assert_int_equal(p.connect.queue_size, 64);
	fixture_map_set(&m, "queueSize", "many");
	assert_int_equal(parameters_parse_context(fixture_map_of(&m), none, &p, &err), -1);
	assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
	assert_non_null(strstr(err.msg, "volume_context: parameter queueSize \"many\""));
}

/* What the controller says at publish beats what was said at creation, key by key. */
static void test_publish_context_wins(void **state)
{
	struct fixture_map created = { 0 }, published = { 0 };
	struct parameters p;
	struct err err = ERR_INIT;

	(void)state;
	fixture_map_set(&created, "queueSize", "64");
	fixture_map_set(&created, "ctrlLossTmo", "600");
	fixture_map_set(&published, "queueSize", "32");
	fixture_map_set(&published, "nrIoQueues", "2");
	fixture_map_set(&published, "blank", "true");
	assert_int_equal(parameters_parse_context(fixture_map_of(&created),
						  fixture_map_of(&published), &p, &err),
			 0);
	assert_int_equal(p.connect.queue_size, 32);
	assert_int_equal(p.connect.ctrl_loss_tmo_s, 600);
	assert_int_equal(p.connect.nr_io_queues, 2);
	fixture_map_set(&published, "nrIoQueues", "0");
	assert_int_equal(parameters_parse_context(fixture_map_of(&created),
						  fixture_map_of(&published), &p, &err),
			 -1);
	assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
	assert_non_null(strstr(err.msg, "publish_context: parameter nrIoQueues \"0\""));
}

static void test_mutable(void **state)
{
	static const char *const mutables[] = { "nrIoQueues",	  "queueSize",	   "ctrlLossTmo",
						"reconnectDelay", "fastIoFailTmo", "keepAliveTmo" };
	static const struct {
		const char *key, *value, *says;
	} refused[] = {
		{ "pool", "fast",
		  "\"pool\" cannot be changed after creation; those that can are: "
		  "nrIoQueues, queueSize, ctrlLossTmo, reconnectDelay, "
		  "fastIoFailTmo, keepAliveTmo, fsRepair" },
		{ "mkfsOptions", "-m 1", "\"mkfsOptions\" cannot be changed" },
		{ "csi.storage.k8s.io/pvc/name", "x", "cannot be changed" },
		{ "iops", "5", "\"iops\" is unknown; known mutable ones are: nrIoQueues, " },
		{ "queueSize", "15", "mutable_parameters: parameter queueSize \"15\"" },
		{ "queueSize", "", "parameter queueSize \"\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(mutables); i++) {
		struct fixture_map m = { 0 };
		struct err err = ERR_INIT;

		fixture_map_set(&m, mutables[i], "16");
		assert_int_equal(parameters_check_mutable(fixture_map_of(&m), &err), 0);
		assert_true(parameters_is_mutable(mutables[i]));
	}
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		struct fixture_map m = { 0 };
		struct err err = ERR_INIT;

		fixture_map_set(&m, "nrIoQueues", "2");
		fixture_map_set(&m, refused[i].key, refused[i].value);
		assert_int_equal(parameters_check_mutable(fixture_map_of(&m), &err), -1);
		assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
		if (!strstr(err.msg, refused[i].says))
			fail_msg("\"%s\" does not say \"%s\"", err.msg, refused[i].says);
	}
	assert_true(parameters_is_mutable("fsRepair"));
	assert_false(parameters_is_mutable("pool"));
	assert_false(parameters_is_mutable("mkfsOptions"));
	assert_false(parameters_is_mutable("unknown"));
}

static void test_for_node(void **state)
{
	(void)state;
	assert_true(parameters_for_node("mkfsOptions"));
	assert_true(parameters_for_node("ctrlLossTmo"));
	assert_true(parameters_for_node("fsRepair"));
	assert_false(parameters_for_node("pool"));
	assert_false(parameters_for_node("writeCache"));
	assert_false(parameters_for_node("csi.storage.k8s.io/pv/name"));
	assert_false(parameters_for_node("unknown"));
}

static void expect_freeze(const char *value, bool freeze)
{
	struct fixture_map m = { 0 };
	struct err err = ERR_INIT;
	bool found = !freeze;

	fixture_map_set(&m, "csi.storage.k8s.io/volumesnapshot/name", "s");
	if (value)
		fixture_map_set(&m, "freeze", value);
	assert_int_equal(parameters_parse_snapshot(fixture_map_of(&m), &found, &err), 0);
	assert_int_equal(found, freeze);
}

static void refuse_snapshot(const char *key, const char *value, const char *message)
{
	struct fixture_map m = { 0 };
	struct err err = ERR_INIT;
	bool freeze = false;

	fixture_map_set(&m, key, value);
	assert_int_equal(parameters_parse_snapshot(fixture_map_of(&m), &freeze, &err), -1);
	assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
	assert_string_equal(err.msg, message);
}

/* A snapshot has one parameter, and what the snapshotter may add. */
static void test_snapshot(void **state)
{
	(void)state;
	expect_freeze(NULL, false);
	expect_freeze("false", false);
	expect_freeze("true", true);
	refuse_snapshot("pool", "p1", "parameter \"pool\" is unknown: snapshots take freeze");
	refuse_snapshot("freeze", "", "parameter freeze \"\" is not true or false");
	refuse_snapshot("freeze", "True", "parameter freeze \"True\" is not true or false");
	refuse_snapshot("freeze", "yes", "parameter freeze \"yes\" is not true or false");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),  cmocka_unit_test(test_words),
		cmocka_unit_test(test_bad_words), cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_unknown),	  cmocka_unit_test(test_metadata),
		cmocka_unit_test(test_oversize),  cmocka_unit_test(test_context),
		cmocka_unit_test(test_for_node),  cmocka_unit_test(test_publish_context_wins),
		cmocka_unit_test(test_mutable),	  cmocka_unit_test(test_snapshot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
