/* SPDX-License-Identifier: Apache-2.0 */
/* What the core does for every call: unpack, log, gate, handler. */
#include "csi/rpc/dispatch.h"

#include <string.h>

#include "csi/rpc/json.h"
#include "csi/rpc/unpack.h"
#include "nvme/base/cleanup.h"
#include "nvme/base/log.h"

#define LOGGED_REQUEST_MAX 2048 /* longer ones are cut, so that the line stays whole */

static ProtobufCMessage *unpack(struct rpc_call *call, const struct rpc_method *method,
				const void *data, size_t size, struct err *err)
{
	struct rpc_arena *arena = &call->arena;
	size_t limit_bytes = arena->total_bytes + rpc_unpack_limit(size);
	ProtobufCMessage *request;

	if (limit_bytes < arena->limit_bytes)
		arena->limit_bytes = limit_bytes;
	request = protobuf_c_message_unpack(method->request, &arena->allocator, size, data);
	if (request)
		return request;
	if (arena->exhausted)
		err_set(err, ERR_RESOURCE_EXHAUSTED,
			"request of %s has %zu bytes and takes more than %zu when unpacked",
			call->method, size, arena->limit_bytes);
	else
		err_set(err, ERR_INVALID_ARGUMENT, "request of %s is not a valid %s", call->method,
			method->request->name);
	return NULL;
}

static void log_begin(const struct rpc_call *call, const ProtobufCMessage *request)
{
	cleanup_free char *text = NULL;

	if (!log_enabled(LOG_LEVEL_DEBUG))
		return;
	text = rpc_json_from_message(request, true);
	if (strlen(text) > LOGGED_REQUEST_MAX)
		strcpy(text + LOGGED_REQUEST_MAX - 3, "...");
	log_debug("call begins", KV("method", call->method), KV("request", text));
}

/* A call whose client is gone before it began changes nothing; the client will ask again. */
static int check_alive(struct rpc_call *call, struct err *err)
{
	if (deadline_passed(call->deadline))
		return err_set(err, ERR_DEADLINE_EXCEEDED,
			       "the deadline passed before %s could begin", call->method);
	if (rpc_call_cancelled(call))
		return err_set(err, ERR_CANCELLED, "cancelled before %s could begin", call->method);
	return 0;
}

static int run_handler(struct rpc_call *call, const struct rpc_method *method,
		       const ProtobufCMessage *request, ProtobufCMessage **ret_response,
		       struct err *err)
{
	ProtobufCMessage *response = NULL;
	int rc;

	if (method->stream) {
		rc = method->stream(call, request, err);
	} else {
		response = rpc_alloc(call, method->response->sizeof_message);
		protobuf_c_message_init(method->response, response);
		rc = method->handle(call, request, response, err);
	}
	if (rc < 0) {
		/* A handler that fails without a reason must not look like success. */
		if (err->code == ERR_NONE)
			err_set(err, ERR_INTERNAL, "%s failed without a reason", call->method);
		return -1;
	}
	/* What a handler tried in vain on its way to success is no error of the call. */
	*err = ERR_INIT;
	*ret_response = response;
	return 0;
}

int rpc_dispatch(struct rpc_call *call, const struct rpc_method *method, struct gate *gate,
		 const void *data, size_t size, ProtobufCMessage **ret_response, struct err *err)
{
	ProtobufCMessage *request = unpack(call, method, data, size, err);
	const char *key;
	int rc;

	if (!request)
		return -1;
	log_begin(call, request);
	if (check_alive(call, err) < 0)
		return -1;
	key = method->lock_key ? method->lock_key(call, request) : NULL;
	if (!key || !*key)
		return run_handler(call, method, request, ret_response, err);
	if (!gate_enter(gate, key))
		return err_set(err, ERR_ABORTED, "an operation on %s is already running", key);
	rc = run_handler(call, method, request, ret_response, err);
	gate_leave(gate, key);
	return rc;
}

void rpc_log_end(const struct rpc_call *call, bool quiet, const struct err *err)
{
	uint64_t ms = (clock_now_ns() - call->started_ns) / NS_PER_MS;

	if (err->code != ERR_NONE)
		log_info("call failed", KV("method", call->method), KV_ERR(err), KV_NUM("ms", ms));
	else
		LOG_AT(quiet ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, "call done",
		       KV("method", call->method), KV("code", "OK"), KV_NUM("ms", ms));
}
