/* SPDX-License-Identifier: Apache-2.0 */
/* The handler's view of a call: its memory, its end, and the lookup of its method. */
#include "csi/rpc/service.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void rpc_call_init(struct rpc_call *call, struct deadline deadline, size_t arena_limit_bytes)
{
	*call = (struct rpc_call) {
		.method = "",
		.peer = "",
		.deadline = deadline,
		.started_ns = clock_now_ns(),
	};
	rpc_arena_init(&call->arena, arena_limit_bytes);
	pthread_mutex_init(&call->lock, NULL);
}

void rpc_call_fini(struct rpc_call *call)
{
	rpc_arena_fini(&call->arena);
	pthread_mutex_destroy(&call->lock);
}

bool rpc_call_cancelled(struct rpc_call *call)
{
	return atomic_load(&call->cancelled) || deadline_passed(call->deadline);
}

int rpc_send(struct rpc_call *call, const void *answer, struct err *err)
{
	return call->send(call, answer, err);
}

void rpc_call_watch(struct rpc_call *call, void (*notify)(void *context), void *context)
{
	pthread_mutex_lock(&call->lock);
	call->on_cancel = notify;
	call->on_cancel_context = context;
	pthread_mutex_unlock(&call->lock);
}

void rpc_call_unwatch(struct rpc_call *call)
{
	rpc_call_watch(call, NULL, NULL);
}

void rpc_call_cancel(struct rpc_call *call)
{
	pthread_mutex_lock(&call->lock);
	atomic_store(&call->cancelled, true);
	if (call->on_cancel)
		call->on_cancel(call->on_cancel_context);
	pthread_mutex_unlock(&call->lock);
}

void *rpc_alloc(struct rpc_call *call, size_t size)
{
	return rpc_arena_alloc(&call->arena, size);
}

char *rpc_strdup(struct rpc_call *call, const char *text)
{
	size_t size = strlen(text) + 1;

	return memcpy(rpc_alloc(call, size), text, size);
}

char *rpc_printf(struct rpc_call *call, const char *format, ...)
{
	va_list args, again;
	char *text;
	int len;

	va_start(args, format);
	va_copy(again, args);
	len = vsnprintf(NULL, 0, format, args);
	text = rpc_alloc(call, len < 0 ? 1 : (size_t)len + 1);
	if (len > 0)
		vsnprintf(text, (size_t)len + 1, format, again);
	va_end(again);
	va_end(args);
	return text;
}

static const struct rpc_method *method_of(const struct rpc_service *service, const char *name)
{
	for (size_t i = 0; i < service->count; i++)
		if (strcmp(service->methods[i].name, name) == 0)
			return &service->methods[i];
	return NULL;
}

const struct rpc_method *rpc_method_find(const struct rpc_service *services, size_t count,
					 const char *full_name,
					 const struct rpc_service **ret_service)
{
	const struct rpc_method *method;
	size_t len;

	if (*full_name != '/')
		return NULL;
	for (size_t i = 0; i < count; i++) {
		len = strlen(services[i].name);
		if (strncmp(full_name + 1, services[i].name, len) != 0 || full_name[1 + len] != '/')
			continue;
		method = method_of(&services[i], full_name + len + 2);
		if (method) {
			*ret_service = &services[i];
			return method;
		}
	}
	return NULL;
}
