/* SPDX-License-Identifier: Apache-2.0 */
/* The kubelet's plugin registration, version 1. */
#include "csi/registration/registration.h"

#include <string.h>

#include "nvme/base/cleanup.h"
#include "nvme/base/log.h"
#include "registration.pb-c.h"

#define UNIX "unix://"

int registration_place(struct registration *registration, const char *kubelet_dir,
		       const char *endpoint, char **ret, struct err *err)
{
	size_t len = strlen(kubelet_dir);
	const char *path = endpoint + strlen(UNIX);

	while (len > 1 && kubelet_dir[len - 1] == '/')
		len--;
	if (kubelet_dir[0] != '/' || len == 1)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "--kubelet-dir \"%.200s\" is not the absolute path of a directory "
			       "like /var/lib/kubelet",
			       kubelet_dir);
	if (strncmp(path, kubelet_dir, len) != 0 || path[len] != '/')
		return err_set(
			err, ERR_INVALID_ARGUMENT,
			"--endpoint \"%.200s\" is not below --kubelet-dir \"%.200s\", so the "
			"kubelet would not find it; %s%.*s/plugins/%s/csi.sock is",
			endpoint, kubelet_dir, UNIX, (int)len, kubelet_dir,
			registration->driver_name);
	registration->socket_path = path;
	*ret = xasprintf("%s%.*s/plugins_registry/%s-reg.sock", UNIX, (int)len, kubelet_dir,
			 registration->driver_name);
	return 0;
}

static int get_info(struct rpc_call *call, const void *request, void *response, struct err *err)
{
	const struct registration *registration = call->context;
	Pluginregistration__PluginInfo *info = response;

	(void)request, (void)err;
	info->type = rpc_strdup(call, "CSIPlugin");
	info->name = rpc_strdup(call, registration->driver_name);
	info->endpoint = rpc_strdup(call, registration->socket_path);
	info->supported_versions = rpc_alloc(call, sizeof(*info->supported_versions));
	info->supported_versions[info->n_supported_versions++] = rpc_strdup(call, "1.0.0");
	return 0;
}

static int notify(struct rpc_call *call, const void *request, void *response, struct err *err)
{
	const struct registration *registration = call->context;
	const Pluginregistration__RegistrationStatus *status = request;

	(void)response, (void)err;
	if (status->plugin_registered) {
		log_info("registered with the kubelet", KV("driver", registration->driver_name));
		return 0;
	}
	log_error("the kubelet does not register this driver",
		  KV("driver", registration->driver_name), KV("reason", status->error));
	registration->rejected(status->error);
	return 0;
}

static const struct rpc_method methods[] = {
	{ .name = "GetInfo",
	  .request = &pluginregistration__info_request__descriptor,
	  .response = &pluginregistration__plugin_info__descriptor,
	  .handle = get_info },
	{ .name = "NotifyRegistrationStatus",
	  .request = &pluginregistration__registration_status__descriptor,
	  .response = &pluginregistration__registration_status_response__descriptor,
	  .handle = notify },
};

struct rpc_service registration_service(struct registration *registration)
{
	return (struct rpc_service) { .name = "pluginregistration.Registration",
				      .methods = methods,
				      .count = ARRAY_SIZE(methods),
				      .context = registration };
}
