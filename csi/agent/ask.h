/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the client: the connection to an agent, how every call to it is made, and string maps
 * as it takes them.
 */
#ifndef CSI_AGENT_ASK_H
#define CSI_AGENT_ASK_H

#include "csi/agent/client.h"
#include "csi/rpc/client.h"

#define AGENT_METHOD(name) "/nvmeot.target.v1.Target/" name
#define AGENT_ANSWER(snake) &nvmeot__target__v1__##snake##_response__descriptor

struct agent {
	char *name;
	struct rpc_client *client;
};

struct agent_ask {
	struct agent *agent;
	struct uuid uuid; /* a find's */
	struct rpc_pending *pending;
	struct err err; /* why it could not begin, when pending is NULL */
};

/* Never fails nor waits; the request is not needed any more when it returns. */
struct agent_ask *agent_ask_begin(struct agent *agent, const char *method, const void *request,
				  struct deadline deadline);

/* Waits for the answer, which is the caller's; the question itself stays to be freed. */
int agent_ask_wait(struct agent_ask *ask, const ProtobufCMessageDescriptor *response,
		   ProtobufCMessage **ret, struct err *err);

/* Both at once. */
int agent_call(struct agent *agent, const char *method, const void *request,
	       const ProtobufCMessageDescriptor *response, struct deadline deadline,
	       ProtobufCMessage **ret, struct err *err);

/* An unpacked answer, freed at the end of the scope. */
void agent_answer_free(ProtobufCMessage **message);
#define cleanup_agent_answer CLEANUP(agent_answer_free)

/*
 * A map as a request's map field. protobuf-c packs entries by their own
 * descriptors, so each map field needs entries of its type; all of them have the layout of struct
 * map_entry.
 */
struct agent_wire_map {
	struct map_entry *entries;
	struct map_entry **pointers;
};

struct agent_wire_map agent_wire_map(struct map map, const ProtobufCMessageDescriptor *descriptor);
void agent_wire_map_fini(struct agent_wire_map *wire);
#define cleanup_agent_wire_map CLEANUP(agent_wire_map_fini)

#endif
