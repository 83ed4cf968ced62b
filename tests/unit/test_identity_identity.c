/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plugin capabilities: expansion and groups always, constraints only where nodes say where they
 * are; and what Probe says of what does not work.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "csi.pb-c.h"
#include "csi/identity/identity.h"

#define SERVICE(name) CSI__V1__PLUGIN_CAPABILITY__SERVICE__TYPE__##name

struct seen {
	bool controller, constraints, online, other, group, metadata, snapshot_constraints;
};

static struct seen ask(bool topology_aware)
{
	struct identity identity = { .driver_name = "x", .topology_aware = topology_aware };
	struct rpc_service service = identity_service(&identity);
	Csi__V1__GetPluginCapabilitiesRequest request =
		CSI__V1__GET_PLUGIN_CAPABILITIES_REQUEST__INIT;
	Csi__V1__GetPluginCapabilitiesResponse response =
		CSI__V1__GET_PLUGIN_CAPABILITIES_RESPONSE__INIT;
	const struct rpc_service *found;
	const struct rpc_method *method =
		rpc_method_find(&service, 1, "/csi.v1.Identity/GetPluginCapabilities", &found);
	struct seen seen = { 0 };
	struct rpc_call call;
	struct err err = ERR_INIT;

	assert_non_null(method);
	rpc_call_init(&call, deadline_none(), 1 << 20);
	call.context = &identity;
	assert_int_equal(method->handle(&call, &request, &response, &err), 0);
	for (size_t i = 0; i < response.n_capabilities; i++) {
		const Csi__V1__PluginCapability *c = response.capabilities[i];

		if (c->type_case == CSI__V1__PLUGIN_CAPABILITY__TYPE_VOLUME_EXPANSION)
			seen.online = c->volume_expansion->type ==
				      CSI__V1__PLUGIN_CAPABILITY__VOLUME_EXPANSION__TYPE__ONLINE;
		else if (c->service->type == SERVICE(CONTROLLER_SERVICE))
			seen.controller = true;
		else if (c->service->type == SERVICE(VOLUME_ACCESSIBILITY_CONSTRAINTS))
			seen.constraints = true;
		else if (c->service->type == SERVICE(SNAPSHOT_ACCESSIBILITY_CONSTRAINTS))
			seen.snapshot_constraints = true;
		else if (c->service->type == SERVICE(GROUP_CONTROLLER_SERVICE))
			seen.group = true;
		else if (c->service->type == SERVICE(SNAPSHOT_METADATA_SERVICE))
			seen.metadata = true;
		else
			seen.other = true;
	}
	rpc_call_fini(&call);
	return seen;
}

static void test_capabilities(void **state)
{
	struct seen plain = ask(false), aware = ask(true);

	(void)state;
	assert_true(plain.controller && plain.online && plain.group && plain.metadata &&
		    !plain.other);
	assert_true(!plain.constraints && !plain.snapshot_constraints);
	assert_true(aware.controller && aware.online && aware.group && aware.metadata &&
		    !aware.other);
	assert_true(aware.constraints && aware.snapshot_constraints);
}

static int fails(void *context, struct deadline deadline, struct err *err)
{
	(void)deadline;
	return err_set(err, *(enum err_code *)context, "a reason");
}

static int works(void *context, struct deadline deadline, struct err *err)
{
	(void)context, (void)deadline, (void)err;
	return 0;
}

/* 1: ready; 0: not ready; -1: err. */
static int probe(struct identity *identity, struct err *err)
{
	struct rpc_service service = identity_service(identity);
	Csi__V1__ProbeRequest request = CSI__V1__PROBE_REQUEST__INIT;
	Csi__V1__ProbeResponse response = CSI__V1__PROBE_RESPONSE__INIT;
	const struct rpc_service *found;
	const struct rpc_method *method =
		rpc_method_find(&service, 1, "/csi.v1.Identity/Probe", &found);
	struct rpc_call call;
	int ready;

	assert_non_null(method);
	*err = ERR_INIT;
	rpc_call_init(&call, deadline_none(), 1 << 20);
	call.context = identity;
	ready = method->handle(&call, &request, &response, err) < 0 ? -1 : response.ready->value;
	rpc_call_fini(&call);
	return ready;
}

/* Sidecars end at an error, and wait for what is not ready. */
static void test_probe(void **state)
{
	enum err_code code = ERR_UNAVAILABLE;
	struct identity identity = { .driver_name = "x" };
	struct err err;

	(void)state;
	assert_int_equal(probe(&identity, &err), 1);
	identity.checks[0] = (struct identity_check) { .check = works };
	assert_int_equal(probe(&identity, &err), 1);
	identity.checks[1] = (struct identity_check) { .check = fails, .context = &code };
	assert_int_equal(probe(&identity, &err), 0);
	code = ERR_DEADLINE_EXCEEDED;
	assert_int_equal(probe(&identity, &err), 0);
	code = ERR_FAILED_PRECONDITION;
	assert_int_equal(probe(&identity, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_string_equal(err.msg, "a reason");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_capabilities),
		cmocka_unit_test(test_probe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
