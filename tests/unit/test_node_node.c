/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node's own answers: its topology, and what a call is told about an operation that hangs: here
 * in a made-up sysfs of which one file is a pipe, so that whoever reads it is held.
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "csi.pb-c.h"
#include "csi/node/node.h"
#include "tests/unit/node_world.h"

static int setup(void **state)
{
	cleanup_free char *pipe = NULL, *staging = NULL, *pods = NULL;

	if (world_setup(state) < 0)
		return -1;
	tree_put(SUBSYS0, "model", "Linux");
	pipe = world_path(SUBSYS0 "/subsysnqn");
	staging = world_path("staging");
	pods = world_path("pods");
	world_mkdirs(staging);
	world_mkdirs(pods);
	return mkfifo(pipe, 0600);
}

static const struct rpc_method *method(const char *name)
{
	struct rpc_service service = node_service(&node);
	size_t i = 0;

	while (strcmp(service.methods[i].name, name) != 0)
		i++;
	return &service.methods[i];
}

/* Calls NodeGetInfo; the answer lives as long as the call. */
static void get_info(struct rpc_call *call, Csi__V1__NodeGetInfoResponse *ret)
{
	Csi__V1__NodeGetInfoRequest request = CSI__V1__NODE_GET_INFO_REQUEST__INIT;
	struct err err = ERR_INIT;

	rpc_call_init(call, deadline_none(), 1 << 16);
	call->context = &node;
	csi__v1__node_get_info_response__init(ret);
	assert_int_equal(method("NodeGetInfo")->handle(call, &request, ret, &err), 0);
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

/* The total that the node takes, whatever is staged; 0 would mean that there is no limit. */
static void test_max_volumes(void **state)
{
	Csi__V1__NodeGetInfoResponse info;
	struct rpc_call call;

	(void)state;
	node.max_volumes = 7;
	get_info(&call, &info);
	assert_int_equal(info.max_volumes_per_node, 7);
	rpc_call_fini(&call);
	node.max_volumes = 0;
}

/* All volumes but one may hang, and calls for that one are served. */
static void test_max_workers(void **state)
{
	(void)state;
	node.max_volumes = 1000;
	assert_in_range(node_max_workers(&node), 1000 + 64, SIZE_MAX);
	node.max_volumes = 0;
}

/* A call with all that it asks for, none of which outlives it. */
struct call {
	pthread_t thread;
	struct rpc_call call;
	const char *method;
	struct node_fixture in;
	char volume_id[64], staging[128], target[128], fs_type[8];
	int rc;
	struct err err;
};

static struct call *call_new(const char *name, struct deadline deadline)
{
	struct call *c = xcalloc(1, sizeof(*c));

	c->method = name;
	strcpy(c->volume_id, ID);
	strcpy(c->fs_type, "ext4");
	snprintf(c->staging, sizeof(c->staging), "%.64s/staging", tree.path);
	snprintf(c->target, sizeof(c->target), "%.64s/pods/pod", tree.path);
	node_fixture_init(&c->in, c->fs_type);
	/* Nothing listens there. */
	fixture_map_set(&c->in.publish, "portals", "tcp://127.0.0.1:1");
	rpc_call_init(&c->call, deadline, 1 << 16);
	c->call.context = &node;
	return c;
}

static int call_stage(struct call *c)
{
	Csi__V1__NodeStageVolumeRequest request = CSI__V1__NODE_STAGE_VOLUME_REQUEST__INIT;

	request.volume_id = c->volume_id;
	request.staging_target_path = c->staging;
	request.volume_capability = &c->in.capability.capability;
	NODE_FIXTURE_INTO(&request, &c->in);
	return method(c->method)->handle(&c->call, &request, NULL, &c->err);
}

static int call_publish(struct call *c)
{
	Csi__V1__NodePublishVolumeRequest request = CSI__V1__NODE_PUBLISH_VOLUME_REQUEST__INIT;

	request.volume_id = c->volume_id;
	request.staging_target_path = c->staging;
	request.target_path = c->target;
	request.volume_capability = &c->in.capability.capability;
	NODE_FIXTURE_INTO(&request, &c->in);
	return method(c->method)->handle(&c->call, &request, NULL, &c->err);
}

static int call_unstage(struct call *c)
{
	Csi__V1__NodeUnstageVolumeRequest request = CSI__V1__NODE_UNSTAGE_VOLUME_REQUEST__INIT;

	request.volume_id = c->volume_id;
	request.staging_target_path = c->staging;
	return method(c->method)->handle(&c->call, &request, NULL, &c->err);
}

static int call_unpublish(struct call *c)
{
	Csi__V1__NodeUnpublishVolumeRequest request = CSI__V1__NODE_UNPUBLISH_VOLUME_REQUEST__INIT;

	request.volume_id = c->volume_id;
	request.target_path = c->target;
	return method(c->method)->handle(&c->call, &request, NULL, &c->err);
}

static void *call_run(void *data)
{
	static const struct {
		const char *method;
		int (*run)(struct call *c);
	} rows[] = { { "NodeStageVolume", call_stage },
		     { "NodeUnstageVolume", call_unstage },
		     { "NodePublishVolume", call_publish },
		     { "NodeUnpublishVolume", call_unpublish } };
	struct call *c = data;
	size_t i = 0;

	while (strcmp(rows[i].method, c->method) != 0)
		i++;
	c->rc = rows[i].run(c);
	return NULL;
}

static void call_begin(struct call *c)
{
	assert_int_equal(pthread_create(&c->thread, NULL, call_run, c), 0);
}

/* Every byte of the call changes and goes: a job that had borrowed one would stumble. */
static void call_free(struct call *c)
{
	rpc_call_fini(&c->call);
	memset(c, 0xff, sizeof(*c));
	free(c);
}

static void refused(struct call *c, enum err_code code, const char *says)
{
	node_fixture_refused(c->rc, &c->err, code, says);
	call_free(c);
}

static void call_refused(const char *name, enum err_code code, const char *says)
{
	struct call *c = call_new(name, deadline_none());

	call_run(c);
	refused(c, code, says);
}

static struct deadline soon(void)
{
	return deadline_after_ms(100);
}

/* Returns once a job hangs. */
static int await_hang(void)
{
	cleanup_free char *pipe = world_path(SUBSYS0 "/subsysnqn");
	int fd = open(pipe, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* What it hangs at, and all that comes later, reads a subsystem of somebody else. */
static void let_go(int fd)
{
	tree_put(SUBSYS0, "subsysnqn", "nqn.other");
	assert_int_equal(write(fd, "nqn.other\n", 10), 10);
	close(fd);
}

#define STAGE_HANGS "the stage of volume \"" ID "\" at "

static void test_stage_hangs(void **state)
{
	struct call *first = call_new("NodeStageVolume", soon());
	struct call *other = call_new("NodeStageVolume", deadline_none());
	struct call *leaver = call_new("NodeStageVolume", deadline_none());
	struct call *retry = call_new("NodeStageVolume", deadline_none());
	int fd;

	(void)state;
	call_run(first);
	refused(first, ERR_DEADLINE_EXCEEDED, STAGE_HANGS);
	fd = await_hang();
	call_refused("NodeUnstageVolume", ERR_ABORTED, "is busy with " STAGE_HANGS);
	call_refused("NodePublishVolume", ERR_ABORTED, "is busy with " STAGE_HANGS);
	call_refused("NodeUnpublishVolume", ERR_ABORTED, "is busy with " STAGE_HANGS);
	strcpy(other->fs_type, "xfs");
	call_run(other);
	refused(other, ERR_ABORTED, "is busy with " STAGE_HANGS);
	call_begin(leaver);
	rpc_call_cancel(&leaver->call);
	pthread_join(leaver->thread, NULL);
	refused(leaver, ERR_CANCELLED, STAGE_HANGS);
	call_begin(retry);
	let_go(fd);
	pthread_join(retry->thread, NULL);
	refused(retry, ERR_UNAVAILABLE, "tcp://127.0.0.1:1: TCP connection refused");
	/* The failed first stage was taken back. */
	assert_int_equal(root_rmdir(&node.state, &(struct err) { 0 }, "volumes"), 0);
}

/* A handle that is not ours is known by its volume ID alone. */
static void test_unknown_volume(void **state)
{
	struct call *first = call_new("NodeStageVolume", soon());
	struct call *beside = call_new("NodeUnstageVolume", soon());
	int fd;

	(void)state;
	strcpy(first->volume_id, "any handle");
	strcpy(beside->volume_id, "any handle");
	call_run(first);
	refused(first, ERR_DEADLINE_EXCEEDED, "the stage of volume \"any handle\"");
	call_run(beside);
	refused(beside, ERR_ABORTED, "is busy with the stage of volume \"any handle\"");
	fd = await_hang();
	let_go(fd);
	assert_int_equal(node_drain(&node, deadline_none()), 0);
}

/* Another volume of the subsystem leaves its pod whatever the first does there. */
static void test_neighbour_hangs(void **state)
{
	struct call *call = call_new("NodeStageVolume", soon());
	int fd;

	(void)state;
	world_save(NQN, "/nowhere/staging", false);
	strcpy(call->volume_id, "any handle");
	call_run(call);
	refused(call, ERR_DEADLINE_EXCEEDED, "the stage of volume \"any handle\"");
	/* It began; what is to be looked at hangs for it, too. */
	call = call_new("NodeUnpublishVolume", soon());
	call_run(call);
	refused(call, ERR_DEADLINE_EXCEEDED, "the unpublish of volume \"" ID "\" from ");
	call_refused("NodeUnstageVolume", ERR_ABORTED, "is busy with the ");
	fd = await_hang();
	let_go(fd);
	assert_int_equal(node_drain(&node, deadline_none()), 0);
}

static void test_drain(void **state)
{
	struct call *call = call_new("NodeUnpublishVolume", soon());
	cleanup_free char *pods = world_path("pods"), *pod = world_path("pods/pod");
	int fd;

	(void)state;
	world_mkdirs(pod);
	call_run(call);
	refused(call, ERR_DEADLINE_EXCEEDED, "the unpublish of volume \"" ID "\" from ");
	fd = await_hang();
	assert_int_equal(node_drain(&node, deadline_after_ms(10)), 1);
	call_refused("NodeStageVolume", ERR_ABORTED, "is busy with the unpublish");
	let_go(fd);
	assert_int_equal(node_drain(&node, deadline_none()), 0);
	call_refused("NodeStageVolume", ERR_UNAVAILABLE, "shutting down");
	/* The job did what it was asked for. */
	assert_int_equal(rmdir(pods), 0);
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

/* It says that it can do what it has calls for. */
static void test_capabilities(void **state)
{
#define CAN(name) [CSI__V1__NODE_SERVICE_CAPABILITY__RPC__TYPE__##name]
	static const char *const methods[] = {
		CAN(STAGE_UNSTAGE_VOLUME) = "NodeStageVolume",
		CAN(GET_VOLUME_STATS) = "NodeGetVolumeStats",
		CAN(EXPAND_VOLUME) = "NodeExpandVolume",
		CAN(GET_VOLUME_HEALTH) = "NodeGetVolumeHealth",
		CAN(GET_STORAGE_HEALTH) = "NodeGetStorageHealth",
	};
	Csi__V1__NodeGetCapabilitiesRequest request = CSI__V1__NODE_GET_CAPABILITIES_REQUEST__INIT;
	Csi__V1__NodeGetCapabilitiesResponse response =
		CSI__V1__NODE_GET_CAPABILITIES_RESPONSE__INIT;
	bool said[ARRAY_SIZE(methods)] = { 0 };
	struct err err = ERR_INIT;
	struct rpc_call call;

	(void)state;
	rpc_call_init(&call, deadline_none(), 1 << 16);
	call.context = &node;
	assert_int_equal(method("NodeGetCapabilities")->handle(&call, &request, &response, &err),
			 0);
	for (size_t i = 0; i < response.n_capabilities; i++) {
		size_t type = response.capabilities[i]->rpc->type;

		if (type < ARRAY_SIZE(said))
			said[type] = true;
	}
	rpc_call_fini(&call);
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		if (methods[i] && (!said[i] || !has_method(methods[i])))
			fail_msg("%s: said: %d", methods[i], said[i]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_topology),	   TEST(test_capabilities),    TEST(test_stage_hangs),
		TEST(test_unknown_volume), TEST(test_drain),	       TEST(test_max_volumes),
		TEST(test_max_workers),	   TEST(test_neighbour_hangs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
