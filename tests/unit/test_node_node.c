/* SPDX-License-Identifier: Apache-2.0 */
/* The node's own answers: its topology, and one operation per subsystem at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "csi.pb-c.h"
#include "csi/node/node.h"

#define HOST_NQN "nqn.2014-08.org.nvmexpress:uuid:0d1b3f52-93c6-4c43-8a39-1b2b0d7a2c77"

static char dir[64];
static struct host host;
static struct node node;

static int setup(void **state)
{
	struct err err;

	(void)state;
	strcpy(dir, "/tmp/test_node_node.XXXXXX");
	strcpy(host.identity.nqn, HOST_NQN);
	return mkdtemp(dir) ? node_open(&node, &host, dir, &err) : -1;
}

static int teardown(void **state)
{
	struct err err;

	(void)state;
	if (root_rmdir(&node.state, &err, "volumes") < 0 ||
	    root_rmdir(&node.state, &err, "mnt") < 0)
		return -1;
	node_close(&node);
	return rmdir(dir);
}

/* Calls NodeGetInfo; the answer lives as long as the call. */
static void get_info(struct rpc_call *call, Csi__V1__NodeGetInfoResponse *ret)
{
	struct rpc_service service = node_service(&node);
	Csi__V1__NodeGetInfoRequest request = CSI__V1__NODE_GET_INFO_REQUEST__INIT;
	struct err err = ERR_INIT;
	size_t i = 0;

	while (strcmp(service.methods[i].name, "NodeGetInfo") != 0)
		i++;
	rpc_call_init(call, deadline_none(), 1 << 16);
	call->context = service.context;
	csi__v1__node_get_info_response__init(ret);
	assert_int_equal(service.methods[i].handle(call, &request, ret, &err), 0);
}

static void test_topology(void **state)
{
	Csi__V1__NodeGetInfoResponse info;
	struct rpc_call call;

	(void)state;
	get_info(&call, &info);
	assert_string_equal(info.node_id, HOST_NQN);
	assert_null(info.accessible_topology); /* an empty one would say "nowhere" */
	rpc_call_fini(&call);

	node.topology[0] = (struct node_segment) { "topology.example/zone", "a" };
	node.topology[1] = (struct node_segment) { "topology.example/rack", "7" };
	node.topology_count = 2;
	get_info(&call, &info);
	assert_int_equal(info.accessible_topology->n_segments, 2);
	assert_string_equal(info.accessible_topology->segments[0]->key, "topology.example/zone");
	assert_string_equal(info.accessible_topology->segments[0]->value, "a");
	assert_string_equal(info.accessible_topology->segments[1]->key, "topology.example/rack");
	assert_string_equal(info.accessible_topology->segments[1]->value, "7");
	rpc_call_fini(&call);
}

/* Volumes of one subsystem share its controllers: the second waits, whatever its handle. */
static void test_gate(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(node_enter(&node, "nqn.a", &err), 0);
	assert_int_equal(node_enter(&node, "nqn.b", &err), 0);
	assert_int_equal(node_enter(&node, "nqn.a", &err), -1);
	assert_int_equal(err.code, ERR_ABORTED);
	assert_non_null(strstr(err.msg, "nqn.a"));
	node_leave(&node, "nqn.a");
	err = ERR_INIT;
	assert_int_equal(node_enter(&node, "nqn.a", &err), 0);
	node_leave(&node, "nqn.a");
	node_leave(&node, "nqn.b");
}

/* Whether the service has this method. */
static bool has_method(const char *name)
{
	struct rpc_service service = node_service(&node);

	for (size_t i = 0; i < service.count; i++)
		if (strcmp(service.methods[i].name, name) == 0)
			return true;
	return false;
}

/* What it says that it can do are calls that it has. */
static void test_capabilities(void **state)
{
#define CAN(name) [CSI__V1__NODE_SERVICE_CAPABILITY__RPC__TYPE__##name]
	static const char *const methods[] = {
		CAN(STAGE_UNSTAGE_VOLUME) = "NodeStageVolume",
		CAN(GET_VOLUME_STATS) = "NodeGetVolumeStats",
		CAN(EXPAND_VOLUME) = "NodeExpandVolume",
	};
	Csi__V1__NodeGetCapabilitiesRequest request = CSI__V1__NODE_GET_CAPABILITIES_REQUEST__INIT;
	Csi__V1__NodeGetCapabilitiesResponse response =
		CSI__V1__NODE_GET_CAPABILITIES_RESPONSE__INIT;
	struct rpc_service service = node_service(&node);
	struct err err = ERR_INIT;
	struct rpc_call call;
	size_t i = 0;

	(void)state;
	while (strcmp(service.methods[i].name, "NodeGetCapabilities") != 0)
		i++;
	rpc_call_init(&call, deadline_none(), 1 << 16);
	call.context = service.context;
	assert_int_equal(service.methods[i].handle(&call, &request, &response, &err), 0);
	assert_true(response.n_capabilities > 0);
	for (i = 0; i < response.n_capabilities; i++) {
		size_t type = response.capabilities[i]->rpc->type;

		if (type < ARRAY_SIZE(methods) && methods[type] && !has_method(methods[type]))
			fail_msg("%s is not there", methods[type]);
	}
	rpc_call_fini(&call);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_topology),
		TEST(test_gate),
		TEST(test_capabilities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
