/* SPDX-License-Identifier: Apache-2.0 */
/* Raw calls by the descriptors of the services we know. */
#include "cmd/nvmeotctl/raw.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/nvmeotctl/text.h"
#include "csi.pb-c.h"
#include "csi/rpc/client.h"
#include "csi/rpc/json.h"
#include "nvme/base/strb.h"
#include "registration.pb-c.h"
#include "target.pb-c.h"

static const ProtobufCServiceDescriptor *const services[] = {
	&csi__v1__identity__descriptor,
	&csi__v1__controller__descriptor,
	&csi__v1__node__descriptor,
	&csi__v1__group_controller__descriptor,
	&csi__v1__snapshot_metadata__descriptor,
	&nvmeot__target__v1__target__descriptor,
	&pluginregistration__registration__descriptor,
};

static const ProtobufCServiceDescriptor *service_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(services); i++)
		if (strcmp(services[i]->name, name) == 0)
			return services[i];
	return NULL;
}

static const ProtobufCMethodDescriptor *method_find(const char *service_name,
						    const char *method_name, struct err *err)
{
	const ProtobufCServiceDescriptor *service = service_find(service_name);
	const ProtobufCMethodDescriptor *method;
	char known[512];
	struct strb list = strb_over(known, sizeof(known));

	if (!service) {
		for (size_t i = 0; i < ARRAY_SIZE(services); i++)
			strb_addf(&list, "%s%s", i ? ", " : "", services[i]->name);
		err_set(err, ERR_INVALID_ARGUMENT, "service \"%.64s\" is none of %s", service_name,
			known);
		return NULL;
	}
	method = protobuf_c_service_descriptor_get_method_by_name(service, method_name);
	if (!method)
		err_set(err, ERR_INVALID_ARGUMENT, "service %s has no method \"%.64s\"",
			service_name, method_name);
	return method;
}

static void message_free(ProtobufCMessage **message)
{
	if (*message)
		protobuf_c_message_free_unpacked(*message, NULL);
}

/* One answer of a call. 1: there was one; 0: that was all; -1: the call has failed. */
static int put_next(struct rpc_pending *pending, const ProtobufCMessageDescriptor *response,
		    FILE *out, struct err *err)
{
	ProtobufCMessage *answer CLEANUP(message_free) = NULL;
	cleanup_free char *text = NULL, *json = NULL;
	int r = rpc_pending_next(pending, response, &answer, err);

	if (r <= 0)
		return r;
	text = rpc_json_from_message(answer, true);
	json = text_json(text);
	fprintf(out, "%s%s", ftell(out) ? " " : "", json);
	return 1;
}

/* One call; *ret is the answer as JSON, or the answers of a stream, separated by blanks; owned. */
static int call(struct rpc_client *client, const char *service_name, const char *method_name,
		const char *json, uint64_t timeout_ms, char **ret, struct err *err)
{
	const ProtobufCMethodDescriptor *method = method_find(service_name, method_name, err);
	cleanup_free char *path = xasprintf("/%s/%s", service_name, method_name);
	ProtobufCMessage *request CLEANUP(message_free) = NULL;
	struct rpc_pending *pending cleanup_rpc_pending = NULL;
	cleanup_free char *text = NULL;
	size_t size = 0;
	FILE *out;
	int r;

	if (!method || rpc_json_to_message(method->input, json, NULL, &request, err) < 0 ||
	    rpc_client_open(client, path, request, deadline_after_ms(timeout_ms), &pending, err) <
		    0)
		return -1;
	out = open_memstream(&text, &size);
	if (!out)
		return err_sys(err, errno, "keep the answer");
	while ((r = put_next(pending, method->output, out, err)) > 0)
		;
	fclose(out);
	if (r == 0)
		*ret = steal_ptr(&text);
	return r;
}

/* Calls from stdin, "SERVICE METHOD [JSON]" a line; answers with "CODE JSON-or-message" a line. */
static void call_lines(struct rpc_client *client, uint64_t timeout_ms)
{
	cleanup_free char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, stdin) > 0) {
		cleanup_free char *answer = NULL;
		struct err err = ERR_INIT;
		char *json = line, *service, *method;

		line[strcspn(line, "\n")] = '\0';
		service = strsep(&json, " ");
		method = strsep(&json, " ");
		if (call(client, service, method ?: "", json ?: "{}", timeout_ms, &answer, &err) <
		    0) {
			text_tidy(err.msg);
			printf("%s %s\n", err_code_name(err.code), err.msg);
		} else {
			printf("OK %s\n", answer);
		}
		fflush(stdout);
	}
}

int raw_run(const struct raw_config *config, int argc, char **argv, struct err *err)
{
	struct rpc_client *client cleanup_rpc_client = NULL;
	bool lines = argc == 1 && strcmp(argv[0], "-") == 0;
	cleanup_free char *answer = NULL;

	if (!lines && (argc < 2 || argc > 3))
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "usage: nvmeotctl [FLAGS] rpc SERVICE METHOD [JSON], or rpc -");
	if (!config->endpoint)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "--endpoint is required: unix:///PATH or HOST:PORT");
	if (rpc_client_new(config->endpoint, config->tls_dir, &client, err) < 0)
		return -1;
	if (lines) {
		call_lines(client, config->timeout_ms);
		return 0;
	}
	if (call(client, argv[0], argv[1], argc == 3 ? argv[2] : "{}", config->timeout_ms, &answer,
		 err) < 0)
		return -1;
	puts(answer);
	return 0;
}
