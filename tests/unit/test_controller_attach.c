/* SPDX-License-Identifier: Apache-2.0 */
/* Publishing: what the target is asked, what the node is told, and what is refused before that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "csi/controller/attach.h"
#include "csi/request/attachment.h"
#include "tests/unit/controller_fixture.h"
#include "tests/unit/dhchap_keys.h"
#include "tests/unit/request_fixture.h"

/* A publish in which everything is right: do not move it. */
struct publish {
	struct fixture_capability capability;
	Csi__V1__ControllerPublishVolumeRequest request;
	Csi__V1__ControllerPublishVolumeResponse response;
};

static void make(struct publish *p, int mode, bool block)
{
	*p = (struct publish) { 0 };
	csi__v1__controller_publish_volume_request__init(&p->request);
	csi__v1__controller_publish_volume_response__init(&p->response);
	p->request.volume_id = (char *)ID_A;
	p->request.node_id = (char *)FAKE_HOST;
	p->request.volume_capability = block ? fixture_block(&p->capability, mode) :
					       fixture_mount(&p->capability, mode, "", NULL, 0);
}

static struct map context(const struct publish *p)
{
	return MAP_OF(&p->response, publish_context);
}

static void test_writer(void **state)
{
	struct publish p;
	struct rpc_call call;
	struct attachment attachment;
	struct err err;

	(void)state;
	make(&p, MODE(SINGLE_NODE_WRITER), false);
	a.has_volume = true;
	a.volume.blank = true;
	fake_exported(&a, false);
	assert_int_equal(CALL(&call, attach_publish, &p.request, &p.response, &err), 0);
	assert_string_equal(a.asked_host, FAKE_HOST);
	assert_false(a.asked_readonly);
	assert_null(map_get(context(&p), ATTACHMENT_READONLY));
	assert_int_equal(context(&p).count, 5);
	assert_int_equal(attachment_parse((struct map) { 0 }, context(&p), &attachment, &err), 0);
	assert_true(attachment.blank);
	assert_false(attachment.readonly);
	rpc_call_fini(&call);
}

/* The target gets the keys; the node is told only that there are some. */
static void test_secrets(void **state)
{
	struct fixture_map secrets = { 0 };
	struct attachment attachment;
	struct publish p;
	struct rpc_call call;
	struct err err;

	(void)state;
	make(&p, MODE(SINGLE_NODE_WRITER), false);
	a.has_volume = true;
	fake_exported(&a, false);
	a.export.authentication = NVMEOT__TARGET__V1__AUTHENTICATION__AUTHENTICATION_BOTH_WAYS;
	fixture_map_set(&secrets, "dhchapCtrlSecret", KEY_64);
	p.request.secrets = (void *)fixture_map_of(&secrets).entries;
	p.request.n_secrets = 1;
	assert_int_equal(CALL(&call, attach_publish, &p.request, &p.response, &err), -1);
	assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
	rpc_call_fini(&call);
	assert_int_equal(a.exports, 0);
	fixture_map_set(&secrets, "dhchapSecret", KEY_32);
	p.request.secrets = (void *)fixture_map_of(&secrets).entries;
	p.request.n_secrets = 2;
	assert_int_equal(CALL(&call, attach_publish, &p.request, &p.response, &err), 0);
	assert_string_equal(a.asked_keys.host, KEY_32);
	assert_string_equal(a.asked_keys.ctrl, KEY_64);
	assert_int_equal(attachment_parse((struct map) { 0 }, context(&p), &attachment, &err), 0);
	assert_int_equal(attachment.authentication, DHCHAP_BOTH_WAYS);
	for (size_t i = 0; i < context(&p).count; i++)
		assert_null(strstr(context(&p).entries[i]->value, "DHHC"));
	rpc_call_fini(&call);
}

/* What was set later beats what was said at creation; what is no connect parameter stays at home. */
static void test_connect_parameters(void **state)
{
	struct publish p;
	struct rpc_call call;
	struct err err;

	(void)state;
	make(&p, MODE(SINGLE_NODE_WRITER), false);
	a.has_volume = true;
	fake_exported(&a, false);
	fake_parameter(&a, "queueSize", "64");
	fake_parameter(&a, "ctrlLossTmo", "600");
	fake_parameter(&a, "mkfsOptions", "-m 1");
	fake_mutable(&a, "queueSize", "32");
	fake_mutable(&a, "nrIoQueues", "2");
	assert_int_equal(CALL(&call, attach_publish, &p.request, &p.response, &err), 0);
	assert_string_equal(map_get(context(&p), "queueSize"), "32");
	assert_string_equal(map_get(context(&p), "ctrlLossTmo"), "600");
	assert_string_equal(map_get(context(&p), "nrIoQueues"), "2");
	assert_null(map_get(context(&p), "mkfsOptions"));
	assert_int_equal(context(&p).count, 5 + 3);
	rpc_call_fini(&call);
}

/* Reader modes and readonly publishes of every mode: exported read-only, and the node is told. */
static void test_readers(void **state)
{
	static const struct {
		int mode;
		bool readonly;
	} rows[] = {
		{ MODE(SINGLE_NODE_READER_ONLY), false }, { MODE(MULTI_NODE_READER_ONLY), false },
		{ MODE(SINGLE_NODE_WRITER), true },	  { MODE(SINGLE_NODE_SINGLE_WRITER), true },
		{ MODE(SINGLE_NODE_MULTI_WRITER), true }, { MODE(MULTI_NODE_MULTI_WRITER), true },
		{ MODE(MULTI_NODE_SINGLE_WRITER), true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct attachment attachment;
		struct publish p;
		struct rpc_call call;
		struct err err;

		make(&p, rows[i].mode, false);
		p.request.readonly = rows[i].readonly;
		a.has_volume = true;
		a.volume.blank = false;
		fake_exported(&a, true);
		assert_int_equal(CALL(&call, attach_publish, &p.request, &p.response, &err), 0);
		assert_true(a.asked_readonly);
		assert_string_equal(map_get(context(&p), ATTACHMENT_READONLY), "true");
		assert_int_equal(
			attachment_parse((struct map) { 0 }, context(&p), &attachment, &err), 0);
		assert_true(attachment.readonly);
		rpc_call_fini(&call);
		/* Blank: a file system would have to be made; zeros of a raw device do no harm. */
		a.exports = 0;
		a.volume.blank = true;
		CALL_FAILS(attach_publish, &p.request, &p.response, ERR_FAILED_PRECONDITION,
			   "is blank, and published read-only");
		a.volume.n_exports = 0;
		CALL_FAILS(attach_publish, &p.request, &p.response, ERR_FAILED_PRECONDITION,
			   "is blank, and published read-only");
		assert_int_equal(a.exports, 0);
		make(&p, rows[i].mode, true);
		p.request.readonly = rows[i].readonly;
		fake_exported(&a, true);
		assert_int_equal(CALL(&call, attach_publish, &p.request, &p.response, &err), 0);
		rpc_call_fini(&call);
	}
}

/* While writers hold the volume it is for the target to say so, whether it is blank or not. */
static void test_reader_beside_writer(void **state)
{
	struct publish p;

	(void)state;
	make(&p, MODE(SINGLE_NODE_WRITER), false);
	p.request.readonly = true;
	a.has_volume = true;
	a.volume.blank = true;
	a.failure = ERR_ALREADY_EXISTS;
	fake_exported(&a, false);
	CALL_FAILS(attach_publish, &p.request, &p.response, ERR_ALREADY_EXISTS,
		   "target a: the fake's own words");
}

static void test_refusals(void **state)
{
	struct publish p;

	(void)state;
	make(&p, MODE(SINGLE_NODE_WRITER), false);
	CALL_FAILS(attach_publish, &p.request, &p.response, ERR_NOT_FOUND, "does not exist");
	p.request.volume_id = (char *)"c/fast/" FAKE_UUID;
	CALL_FAILS(attach_publish, &p.request, &p.response, ERR_NOT_FOUND, "on target \"c\"");
	a.has_volume = true;
	make(&p, MODE(SINGLE_NODE_WRITER), false);
	p.request.node_id = (char *)"node-1";
	CALL_FAILS(attach_publish, &p.request, &p.response, ERR_NOT_FOUND, "node_id \"node-1\"");
	fake_stop(&a);
	make(&p, MODE(SINGLE_NODE_WRITER), false);
	CALL_FAILS(attach_publish, &p.request, &p.response, ERR_UNAVAILABLE, "target a");
}

/* A publish of a volume on a foreign target; returns what the node is told of read-only. */
static const char *static_readonly(int mode, bool readonly)
{
	static const char *const told[] = { "nothing", "true" };
	struct fixture_map volume = { 0 };
	struct attachment attachment;
	struct rpc_call call;
	struct publish p;
	struct err err;
	bool is_told;

	make(&p, mode, false);
	p.request.volume_id = (char *)"array/lun-1";
	fixture_map_set(&volume, ATTACHMENT_NQN, "nqn.2014-08.org.example:array");
	fixture_map_set(&volume, ATTACHMENT_PORTALS, "tcp://192.0.2.9:4420");
	fixture_map_set(&volume, ATTACHMENT_NS_UUID, FAKE_UUID);
	FIXTURE_MAP_INTO(&p.request, volume_context, &volume);
	p.request.readonly = readonly;
	assert_int_equal(CALL(&call, attach_publish, &p.request, &p.response, &err), 0);
	assert_int_equal(attachment_parse(MAP_OF(&p.request, volume_context), context(&p),
					  &attachment, &err),
			 0);
	is_told = map_get(context(&p), ATTACHMENT_READONLY) != NULL;
	assert_int_equal(attachment.readonly, is_told);
	rpc_call_fini(&call);
	return told[is_told];
}

static void test_static(void **state)
{
	(void)state;
	assert_string_equal(static_readonly(MODE(SINGLE_NODE_WRITER), false), "nothing");
	assert_string_equal(static_readonly(MODE(SINGLE_NODE_WRITER), true), "true");
	assert_string_equal(static_readonly(MODE(SINGLE_NODE_READER_ONLY), false), "true");
}

/* A detach would take it for a volume of target "a". */
static void test_static_that_looks_like_ours(void **state)
{
	struct fixture_map volume = { 0 };
	struct publish p;

	(void)state;
	make(&p, MODE(SINGLE_NODE_WRITER), false);
	fixture_map_set(&volume, ATTACHMENT_NQN, "nqn.2014-08.org.example:array");
	fixture_map_set(&volume, ATTACHMENT_PORTALS, "tcp://192.0.2.9:4420");
	fixture_map_set(&volume, ATTACHMENT_NS_UUID, FAKE_UUID);
	FIXTURE_MAP_INTO(&p.request, volume_context, &volume);
	CALL_FAILS(attach_publish, &p.request, &p.response, ERR_INVALID_ARGUMENT,
		   "\"" ID_A "\" is statically provisioned");
}

static void test_unpublish(void **state)
{
	Csi__V1__ControllerUnpublishVolumeRequest request =
		CSI__V1__CONTROLLER_UNPUBLISH_VOLUME_REQUEST__INIT;
	Csi__V1__ControllerUnpublishVolumeResponse response =
		CSI__V1__CONTROLLER_UNPUBLISH_VOLUME_RESPONSE__INIT;
	struct rpc_call call;
	struct err err;

	(void)state;
	request.volume_id = (char *)ID_A;
	assert_int_equal(CALL(&call, attach_unpublish, &request, &response, &err), 0);
	rpc_call_fini(&call);
	assert_int_equal(a.unexports, 1);
	assert_string_equal(a.asked_host, "");
	request.node_id = (char *)"no NQN";
	assert_int_equal(CALL(&call, attach_unpublish, &request, &response, &err), 0);
	rpc_call_fini(&call);
	assert_int_equal(a.unexports, 1);
	request.node_id = (char *)FAKE_HOST;
	a.failure = ERR_INTERNAL;
	CALL_FAILS(attach_unpublish, &request, &response, ERR_INTERNAL, "target a");
	assert_string_equal(a.asked_host, FAKE_HOST);
	request.volume_id = (char *)"c/fast/" FAKE_UUID;
	CALL_FAILS(attach_unpublish, &request, &response, ERR_FAILED_PRECONDITION, "is not known");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_writer),    TEST(test_secrets),  TEST(test_connect_parameters),
		TEST(test_readers),   TEST(test_refusals), TEST(test_reader_beside_writer),
		TEST(test_unpublish), TEST(test_static),   TEST(test_static_that_looks_like_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
