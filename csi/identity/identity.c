/* SPDX-License-Identifier: Apache-2.0 */
/* The CSI Identity service. */
#include "csi/identity/identity.h"

#include "csi.pb-c.h"
#include "nvme/base/cleanup.h"
#include "nvme/base/log.h"

/* Probe answers within this time even when the caller gave more: it must stay cheap. */
#define PROBE_MAX_MS 5000

#define CAPABILITIES_MAX 6

static int get_plugin_info(struct rpc_call *call, const void *request, void *response,
			   struct err *err)
{
	const struct identity *identity = call->context;
	Csi__V1__GetPluginInfoResponse *info = response;

	(void)request, (void)err;
	info->name = rpc_strdup(call, identity->driver_name);
	info->vendor_version = rpc_strdup(call, NVMEOT_VERSION);
	return 0;
}

static void add_service(struct rpc_call *call, Csi__V1__GetPluginCapabilitiesResponse *answer,
			Csi__V1__PluginCapability__Service__Type type)
{
	Csi__V1__PluginCapability *capability =
		RPC_NEW(call, Csi__V1__PluginCapability, csi__v1__plugin_capability__init);

	capability->type_case = CSI__V1__PLUGIN_CAPABILITY__TYPE_SERVICE;
	capability->service = RPC_NEW(call, Csi__V1__PluginCapability__Service,
				      csi__v1__plugin_capability__service__init);
	capability->service->type = type;
	answer->capabilities[answer->n_capabilities++] = capability;
}

static void add_expansion(struct rpc_call *call, Csi__V1__GetPluginCapabilitiesResponse *answer)
{
	Csi__V1__PluginCapability *capability =
		RPC_NEW(call, Csi__V1__PluginCapability, csi__v1__plugin_capability__init);

	capability->type_case = CSI__V1__PLUGIN_CAPABILITY__TYPE_VOLUME_EXPANSION;
	capability->volume_expansion = RPC_NEW(call, Csi__V1__PluginCapability__VolumeExpansion,
					       csi__v1__plugin_capability__volume_expansion__init);
	capability->volume_expansion->type =
		CSI__V1__PLUGIN_CAPABILITY__VOLUME_EXPANSION__TYPE__ONLINE;
	answer->capabilities[answer->n_capabilities++] = capability;
}

static int get_plugin_capabilities(struct rpc_call *call, const void *request, void *response,
				   struct err *err)
{
	const struct identity *identity = call->context;
	Csi__V1__GetPluginCapabilitiesResponse *answer = response;

	(void)request, (void)err;
	answer->capabilities = rpc_alloc(call, CAPABILITIES_MAX * sizeof(*answer->capabilities));
	add_service(call, answer, CSI__V1__PLUGIN_CAPABILITY__SERVICE__TYPE__CONTROLLER_SERVICE);
	add_service(call, answer,
		    CSI__V1__PLUGIN_CAPABILITY__SERVICE__TYPE__GROUP_CONTROLLER_SERVICE);
	add_service(call, answer,
		    CSI__V1__PLUGIN_CAPABILITY__SERVICE__TYPE__SNAPSHOT_METADATA_SERVICE);
	/* Where nodes do not say where they are, a CO would then find no node for any volume. */
	if (identity->topology_aware) {
		add_service(
			call, answer,
			CSI__V1__PLUGIN_CAPABILITY__SERVICE__TYPE__VOLUME_ACCESSIBILITY_CONSTRAINTS);
		add_service(
			call, answer,
			CSI__V1__PLUGIN_CAPABILITY__SERVICE__TYPE__SNAPSHOT_ACCESSIBILITY_CONSTRAINTS);
	}
	add_expansion(call, answer);
	return 0;
}

/*
 * Sidecars wait for as long as a plugin says that it is not ready, and end at any error, to be
 * started again by ever later restarts. So what passes by itself, such as a target that does not
 * answer, is no error; what somebody has to change is. 1: ready, 0: not yet.
 */
static int run_checks(const struct identity *identity, struct deadline deadline, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(identity->checks); i++) {
		const struct identity_check *check = &identity->checks[i];

		if (!check->check || check->check(check->context, deadline, err) == 0)
			continue;
		if (err->code == ERR_FAILED_PRECONDITION)
			return -1;
		log_warning("not ready", KV_ERR(err));
		return 0;
	}
	return 1;
}

static int probe(struct rpc_call *call, const void *request, void *response, struct err *err)
{
	struct deadline deadline = deadline_min(call->deadline, deadline_after_ms(PROBE_MAX_MS));
	int ready = run_checks(call->context, deadline, err);
	Csi__V1__ProbeResponse *answer = response;

	(void)request;
	if (ready < 0)
		return -1;
	answer->ready =
		RPC_NEW(call, Google__Protobuf__BoolValue, google__protobuf__bool_value__init);
	answer->ready->value = ready;
	return 0;
}

static const struct rpc_method methods[] = {
	{ .name = "GetPluginInfo",
	  .request = &csi__v1__get_plugin_info_request__descriptor,
	  .response = &csi__v1__get_plugin_info_response__descriptor,
	  .handle = get_plugin_info,
	  .quiet = true },
	{ .name = "GetPluginCapabilities",
	  .request = &csi__v1__get_plugin_capabilities_request__descriptor,
	  .response = &csi__v1__get_plugin_capabilities_response__descriptor,
	  .handle = get_plugin_capabilities,
	  .quiet = true },
	{ .name = "Probe",
	  .request = &csi__v1__probe_request__descriptor,
	  .response = &csi__v1__probe_response__descriptor,
	  .handle = probe,
	  .quiet = true },
};

struct rpc_service identity_service(struct identity *identity)
{
	return (struct rpc_service) { .name = "csi.v1.Identity",
				      .methods = methods,
				      .count = ARRAY_SIZE(methods),
				      .context = identity };
}
