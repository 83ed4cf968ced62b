/* SPDX-License-Identifier: Apache-2.0 */
/* The connection to a target agent, and asking it. */
#include "csi/agent/ask.h"

#include <stdlib.h>

int agent_new(const char *name, const char *address, const char *tls_dir, struct agent **ret,
	      struct err *err)
{
	struct rpc_client *client = NULL;
	struct agent *agent;

	if (rpc_client_new(address, tls_dir, &client, err) < 0)
		return err_wrap(err, "target %s", name);
	agent = xcalloc(1, sizeof(*agent));
	agent->name = xstrdup(name);
	agent->client = client;
	*ret = agent;
	return 0;
}

void agent_free(struct agent *agent)
{
	rpc_client_free(agent->client);
	free(agent->name);
	free(agent);
}

const char *agent_name(const struct agent *agent)
{
	return agent->name;
}

struct agent_ask *agent_ask_begin(struct agent *agent, const char *method, const void *request,
				  struct deadline deadline)
{
	struct agent_ask *ask = xcalloc(1, sizeof(*ask));

	ask->agent = agent;
	rpc_client_begin(agent->client, method, request, deadline, &ask->pending, &ask->err);
	return ask;
}

int agent_ask_wait(struct agent_ask *ask, const ProtobufCMessageDescriptor *response,
		   ProtobufCMessage **ret, struct err *err)
{
	struct rpc_pending *pending = steal_ptr(&ask->pending);

	if (!pending)
		*err = ask->err;
	else if (rpc_pending_finish(pending, response, ret, err) == 0)
		return 0;
	return err_wrap(err, "target %s", ask->agent->name);
}

void agent_ask_cancel(struct agent_ask *ask)
{
	if (ask->pending)
		rpc_pending_cancel(ask->pending);
	free(ask);
}

int agent_call(struct agent *agent, const char *method, const void *request,
	       const ProtobufCMessageDescriptor *response, struct deadline deadline,
	       ProtobufCMessage **ret, struct err *err)
{
	struct agent_ask *ask cleanup_agent_ask = agent_ask_begin(agent, method, request, deadline);

	return agent_ask_wait(ask, response, ret, err);
}

void agent_answer_free(ProtobufCMessage **message)
{
	if (*message)
		protobuf_c_message_free_unpacked(*message, NULL);
}

void agent_wire_map_fini(struct agent_wire_map *wire)
{
	free(wire->entries);
	free(wire->pointers);
}

struct agent_wire_map agent_wire_map(struct map map, const ProtobufCMessageDescriptor *descriptor)
{
	struct agent_wire_map wire = { .entries = xcalloc(map.count, sizeof(*wire.entries)),
				       .pointers = xcalloc(map.count, sizeof(*wire.pointers)) };

	for (size_t i = 0; i < map.count; i++) {
		wire.entries[i].base = (ProtobufCMessage)PROTOBUF_C_MESSAGE_INIT(descriptor);
		wire.entries[i].key = map.entries[i]->key;
		wire.entries[i].value = map.entries[i]->value;
		wire.pointers[i] = &wire.entries[i];
	}
	return wire;
}
