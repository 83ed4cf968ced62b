/* SPDX-License-Identifier: Apache-2.0 */
/* Who may have a volume: the table of decisions, and the bounds of a volume's fields. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nvme/target/volume.h"

#define HOST_A "nqn.2014-08.org.nvmexpress:uuid:aaaaaaaa-0000-4000-8000-000000000001"
#define HOST_B "nqn.2014-08.org.nvmexpress:uuid:bbbbbbbb-0000-4000-8000-000000000002"
#define UUID "5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a11"

static struct volume_export entry(const char *host, enum volume_access access, bool readonly)
{
	struct volume_export e = { .access = access, .readonly = readonly };

	snprintf(e.host_nqn, sizeof(e.host_nqn), "%s", host);
	return e;
}

static struct volume sample(void)
{
	struct volume volume = { .uuid = { UUID }, .size_bytes = 8192, .name = xstrdup("pvc-1") };

	return volume;
}

struct row {
	const char *title;
	enum volume_access held;
	bool held_readonly;
	const char *host; /* who asks, while A holds */
	enum volume_access want;
	bool want_readonly;
	enum err_code code; /* ERR_NONE: allowed */
	enum export_decision decision;
	const char *names; /* must be in the message */
};

static const struct row rows[] = {
	{ "same again", VOLUME_SINGLE_NODE, false, HOST_A, VOLUME_SINGLE_NODE, false, ERR_NONE,
	  EXPORT_ALREADY, NULL },
	{ "same host, now read-only", VOLUME_SINGLE_NODE, false, HOST_A, VOLUME_SINGLE_NODE, true,
	  ERR_ALREADY_EXISTS, 0, "as single-node, asked for is single-node read-only" },
	{ "same host, other access", VOLUME_MULTI_WRITER, false, HOST_A, VOLUME_SINGLE_NODE, false,
	  ERR_ALREADY_EXISTS, 0, "as multi-writer, asked for is single-node" },
	{ "two single nodes", VOLUME_SINGLE_NODE, false, HOST_B, VOLUME_SINGLE_NODE, false,
	  ERR_FAILED_PRECONDITION, 0, "held by host " HOST_A },
	{ "single node held, writer asks", VOLUME_SINGLE_NODE, false, HOST_B, VOLUME_MULTI_WRITER,
	  false, ERR_FAILED_PRECONDITION, 0, "unpublish it from " HOST_A },
	{ "single node held read-only, reader asks", VOLUME_SINGLE_NODE, true, HOST_B,
	  VOLUME_MULTI_READER, true, ERR_FAILED_PRECONDITION, 0, HOST_A },
	{ "writers held, single node asks", VOLUME_MULTI_WRITER, false, HOST_B, VOLUME_SINGLE_NODE,
	  false, ERR_FAILED_PRECONDITION, 0, "held by host " HOST_A },
	{ "second writer", VOLUME_MULTI_WRITER, false, HOST_B, VOLUME_MULTI_WRITER, false, ERR_NONE,
	  EXPORT_ADD, NULL },
	{ "second reader", VOLUME_MULTI_READER, true, HOST_B, VOLUME_MULTI_READER, true, ERR_NONE,
	  EXPORT_ADD, NULL },
	{ "reader among writers of the same name", VOLUME_MULTI_WRITER, false, HOST_B,
	  VOLUME_MULTI_WRITER, true, ERR_FAILED_PRECONDITION, 0,
	  "host " HOST_A " holds it as multi-writer, host " HOST_B
	  " asks for multi-writer read-only; unpublish it from all hosts that hold it as "
	  "multi-writer first" },
	{ "writer among readers of the same name", VOLUME_MULTI_WRITER, true, HOST_B,
	  VOLUME_MULTI_WRITER, false, ERR_FAILED_PRECONDITION, 0,
	  "hosts that hold it as multi-writer read-only first" },
	{ "same host, now read-write", VOLUME_MULTI_WRITER, true, HOST_A, VOLUME_MULTI_WRITER,
	  false, ERR_ALREADY_EXISTS, 0, "as multi-writer read-only, asked for is multi-writer;" },
	{ "second host with a single node read-only", VOLUME_SINGLE_NODE, true, HOST_B,
	  VOLUME_SINGLE_NODE, true, ERR_FAILED_PRECONDITION, 0,
	  "held by host " HOST_A " (single-node read-only)" },
	{ "one of many readers that would write", VOLUME_MULTI_READER, true, HOST_B,
	  VOLUME_MULTI_READER, false, ERR_INVALID_ARGUMENT, 0, "one of many readers reads only" },
	{ "a reader, with another name than the readers that are there", VOLUME_MULTI_READER, true,
	  HOST_B, VOLUME_MULTI_WRITER, true, ERR_FAILED_PRECONDITION, 0, HOST_A },
	{ "writer among readers", VOLUME_MULTI_READER, true, HOST_B, VOLUME_MULTI_WRITER, false,
	  ERR_FAILED_PRECONDITION, 0, "mixing readers and writers" },
	{ "reader among writers", VOLUME_MULTI_WRITER, false, HOST_B, VOLUME_MULTI_READER, true,
	  ERR_FAILED_PRECONDITION, 0, "mixing readers and writers" },
};

static void test_decisions(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		struct volume_export held = entry(HOST_A, row->held, row->held_readonly);
		struct volume_export want = entry(row->host, row->want, row->want_readonly);
		cleanup_volume struct volume volume = sample();
		enum export_decision decision = (enum export_decision) - 1;
		struct err err = ERR_INIT;

		print_message("%s\n", row->title);
		volume_add_export(&volume, &held);
		assert_int_equal(export_decide(&volume, &want, &decision, &err),
				 row->code == ERR_NONE ? 0 : -1);
		assert_int_equal(err.code, row->code);
		if (row->code == ERR_NONE)
			assert_int_equal(decision, row->decision);
		else
			assert_non_null(strstr(err.msg, row->names));
		assert_int_equal(volume.export_count, 1);
	}
}

static void test_first_export_is_added(void **state)
{
	(void)state;
	for (int access = 0; access < VOLUME_ACCESS_COUNT; access++) {
		struct volume_export want =
			entry(HOST_A, (enum volume_access)access, access == VOLUME_MULTI_READER);
		cleanup_volume struct volume volume = sample();
		enum export_decision decision = EXPORT_ALREADY;
		struct err err;

		assert_int_equal(export_decide(&volume, &want, &decision, &err), 0);
		assert_int_equal(decision, EXPORT_ADD);
	}
}

static void test_host_count_is_bounded(void **state)
{
	cleanup_volume struct volume volume = sample();
	struct volume_export want = entry(HOST_A, VOLUME_MULTI_WRITER, false);
	enum export_decision decision;
	struct err err;
	char host[64];

	(void)state;
	for (int i = 0; i < VOLUME_EXPORTS_MAX; i++) {
		struct volume_export e;

		snprintf(host, sizeof(host), "nqn.2020-01.org.example:%d", i);
		e = entry(host, VOLUME_MULTI_WRITER, false);
		volume_add_export(&volume, &e);
	}
	assert_int_equal(export_decide(&volume, &want, &decision, &err), -1);
	assert_int_equal(err.code, ERR_RESOURCE_EXHAUSTED);
}

static void test_remove_export_keeps_the_others(void **state)
{
	cleanup_volume struct volume volume = sample();
	struct volume_export a = entry(HOST_A, VOLUME_MULTI_WRITER, false);
	struct volume_export b = entry(HOST_B, VOLUME_MULTI_WRITER, true);

	(void)state;
	volume_add_export(&volume, &a);
	volume_add_export(&volume, &b);
	volume_remove_export(&volume, HOST_A);
	volume_remove_export(&volume, "nqn.2020-01.org.example:nobody");
	assert_null(volume_find_export(&volume, HOST_A));
	assert_true(volume_find_export(&volume, HOST_B)->readonly);
	assert_int_equal(volume.export_count, 1);
}

/* Every pair of two hosts: never a reader beside a writer. */
static void test_no_mix_in_any_way(void **state)
{
	int allowed = 0;

	(void)state;
	for (int way = 0; way < 4 * VOLUME_ACCESS_COUNT * VOLUME_ACCESS_COUNT; way++) {
		struct volume_export held = entry(HOST_A, way / 4 % VOLUME_ACCESS_COUNT, way & 1);
		struct volume_export want = entry(HOST_B, way / 4 / VOLUME_ACCESS_COUNT, way & 2);
		cleanup_volume struct volume volume = sample();
		enum export_decision decision;
		struct err err;

		volume_add_export(&volume, &held);
		assert_int_equal(volume_is_readonly(&volume), held.readonly);
		if (export_decide(&volume, &want, &decision, &err) < 0)
			continue;
		assert_int_equal(held.readonly, want.readonly);
		assert_int_equal(held.access, want.access);
		allowed++;
	}
	assert_int_equal(allowed, 3);
}

static void test_mutables_are_set_and_replaced(void **state)
{
	cleanup_volume struct volume volume = sample(), copy = { 0 };
	struct err err;
	char key[16];

	(void)state;
	volume_set_mutable(&volume, "queueSize", "64");
	volume_set_mutable(&volume, "nrIoQueues", "2");
	volume_set_mutable(&volume, "queueSize", "128");
	copy = volume_copy(&volume);
	assert_int_equal(copy.mutable_count, 2);
	assert_string_equal(copy.mutables[0].key, "queueSize");
	assert_string_equal(copy.mutables[0].value, "128");
	for (int i = 0; i < VOLUME_PARAMETERS_MAX - 2; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		volume_set_mutable(&volume, key, "");
	}
	assert_int_equal(volume_check(&volume, &err), 0);
	volume_set_mutable(&volume, "one more", "");
	assert_int_equal(volume_check(&volume, &err), -1);
	assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
}

static void test_growing(void **state)
{
	cleanup_volume struct volume volume = sample();
	struct err err;

	(void)state;
	volume.state = VOLUME_READY;
	assert_int_equal(volume_promised_bytes(&volume), 8192);
	volume.growing_bytes = 12288;
	assert_int_equal(volume_check(&volume, &err), 0);
	assert_int_equal(volume_promised_bytes(&volume), 12288);
	volume.growing_bytes = 8192;
	assert_int_equal(volume_check(&volume, &err), -1);
	volume.growing_bytes = 12289;
	assert_int_equal(volume_check(&volume, &err), -1);
	volume.growing_bytes = 12288;
	volume.state = VOLUME_CREATING;
	assert_int_equal(volume_check(&volume, &err), -1);
}

static void assert_refused(struct volume *volume)
{
	struct err err = ERR_INIT;

	assert_int_equal(volume_check(volume, &err), -1);
	assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
}

static void test_check_bounds(void **state)
{
	char name[VOLUME_NAME_MAX + 2];
	struct err err;

	(void)state;
	for (int i = 0; i < 7; i++) {
		cleanup_volume struct volume volume = sample();

		assert_int_equal(volume_check(&volume, &err), 0);
		memset(name, 'n', sizeof(name));
		name[VOLUME_NAME_MAX + 1] = '\0';
		if (i == 0)
			volume.size_bytes = 0;
		if (i == 1)
			volume.size_bytes = 4097;
		if (i == 2)
			volume.size_bytes = 1ULL << 63;
		if (i == 3)
			volume.name[0] = '\0';
		if (i == 4) {
			free(volume.name);
			volume.name = xstrdup(name);
		}
		if (i == 5)
			volume_add_parameter(&volume, "", "value");
		if (i == 6)
			volume_set_mutable(&volume, "", "value");
		assert_refused(&volume);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decisions),
		cmocka_unit_test(test_first_export_is_added),
		cmocka_unit_test(test_host_count_is_bounded),
		cmocka_unit_test(test_remove_export_keeps_the_others),
		cmocka_unit_test(test_no_mix_in_any_way),
		cmocka_unit_test(test_mutables_are_set_and_replaced),
		cmocka_unit_test(test_growing),
		cmocka_unit_test(test_check_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
