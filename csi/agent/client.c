/* SPDX-License-Identifier: Apache-2.0 */
/* Calls to a target agent. */
#include "csi/agent/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "csi/agent/convert.h"
#include "csi/rpc/client.h"
#include "nvme/base/strb.h"
#include "target.pb-c.h"

#define METHOD(name) "/nvmeot.target.v1.Target/" name

struct agent {
	char *name;
	struct rpc_client *client;
};

/* An unpacked answer, freed at the end of the scope. */
static void answer_free(ProtobufCMessage **message)
{
	if (*message)
		protobuf_c_message_free_unpacked(*message, NULL);
}

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

static int agent_call(struct agent *agent, const char *method, const void *request,
		      const ProtobufCMessageDescriptor *response, struct deadline deadline,
		      ProtobufCMessage **ret, struct err *err)
{
	if (rpc_client_call(agent->client, method, request, response, deadline, ret, err) < 0)
		return err_wrap(err, "target %s", agent->name);
	return 0;
}

/* Asks who the agent is, and what it has. */
static int get_info(struct agent *agent, struct deadline deadline, ProtobufCMessage **ret,
		    struct err *err)
{
	Nvmeot__Target__V1__GetInfoRequest request = NVMEOT__TARGET__V1__GET_INFO_REQUEST__INIT;
	ProtobufCMessage *answer CLEANUP(answer_free) = NULL;
	const char *id;

	if (agent_call(agent, METHOD("GetInfo"), &request,
		       &nvmeot__target__v1__get_info_response__descriptor, deadline, &answer,
		       err) < 0)
		return -1;
	id = ((Nvmeot__Target__V1__GetInfoResponse *)answer)->target_id;
	if (strcmp(id, agent->name) != 0)
		return err_set(
			err, ERR_FAILED_PRECONDITION,
			"target %s: the agent at this address calls itself \"%.64s\"; the name "
			"in --target must be the agent's --name",
			agent->name, id);
	*ret = steal_ptr(&answer);
	return 0;
}

/*
 * Copies an answer's volume out; one that is not the volume asked for, or does not fit our types,
 * is the agent's fault.
 */
static int take_volume(const struct agent *agent, const Nvmeot__Target__V1__Volume *volume,
		       const struct uuid *uuid, struct agent_volume *ret, struct err *err)
{
	struct agent_volume v = { 0 };
	struct strb portals = strb_over(v.portals, sizeof(v.portals));

	if (!volume || strcmp(volume->uuid, uuid->text) != 0 || !short_name_ok(volume->pool) ||
	    volume->size_bytes <= 0 || parse_nqn("nqn", volume->nqn, v.nqn, err) < 0)
		return err_set(err, ERR_INTERNAL, "target %s: the answer holds no valid volume",
			       agent->name);
	strcpy(v.pool, volume->pool);
	v.size_bytes = (uint64_t)volume->size_bytes;
	v.volatile_cache = volume->write_cache ==
			   NVMEOT__TARGET__V1__WRITE_CACHE__WRITE_CACHE_VOLATILE;
	v.blank = volume->blank;
	for (size_t i = 0; i < volume->n_portals; i++)
		strb_addf(&portals, "%s%s", i ? "," : "", volume->portals[i]);
	if (portals.overflow || !portals.len)
		return err_set(err, ERR_INTERNAL, "target %s: the answer holds no valid portals",
			       agent->name);
	*ret = v;
	return 0;
}

int agent_capacity(struct agent *agent, const char *pool, struct deadline deadline,
		   uint64_t *ret_total_bytes, uint64_t *ret_most_bytes, struct err *err)
{
	ProtobufCMessage *answer CLEANUP(answer_free) = NULL;
	const Nvmeot__Target__V1__GetInfoResponse *info;
	uint64_t total = 0, most = 0;
	bool found = false;

	if (get_info(agent, deadline, &answer, err) < 0)
		return -1;
	info = (const Nvmeot__Target__V1__GetInfoResponse *)answer;
	for (size_t i = 0; i < info->n_pools; i++) {
		int64_t available = info->pools[i]->available_bytes;

		if (*pool && strcmp(pool, info->pools[i]->name) != 0)
			continue;
		found = true;
		if (available < 0)
			continue;
		total += (uint64_t)available;
		if ((uint64_t)available > most)
			most = (uint64_t)available;
	}
	if (!found)
		return err_set(err, ERR_NOT_FOUND, "target %s has no pool \"%s\"", agent->name,
			       pool);
	*ret_total_bytes = total;
	*ret_most_bytes = most;
	return 0;
}

int agent_available(struct agent *agent, const char *pool, struct deadline deadline,
		    uint64_t *ret_bytes, struct err *err)
{
	uint64_t total;

	return agent_capacity(agent, pool, deadline, &total, ret_bytes, err);
}

/* Our map entries and those of the request have one layout but different descriptors. */
static void copy_parameters(struct map map,
			    Nvmeot__Target__V1__CreateVolumeRequest__ParametersEntry *entries,
			    Nvmeot__Target__V1__CreateVolumeRequest__ParametersEntry **pointers)
{
	for (size_t i = 0; i < map.count; i++) {
		nvmeot__target__v1__create_volume_request__parameters_entry__init(&entries[i]);
		entries[i].key = map.entries[i]->key;
		entries[i].value = map.entries[i]->value;
		pointers[i] = &entries[i];
	}
}

int agent_create(struct agent *agent, const struct agent_volume_spec *spec,
		 struct deadline deadline, struct agent_volume *ret, struct err *err)
{
	Nvmeot__Target__V1__CreateVolumeRequest request =
		NVMEOT__TARGET__V1__CREATE_VOLUME_REQUEST__INIT;
	cleanup_free Nvmeot__Target__V1__CreateVolumeRequest__ParametersEntry *entries =
		xcalloc(spec->parameters.count, sizeof(*entries));
	cleanup_free Nvmeot__Target__V1__CreateVolumeRequest__ParametersEntry **pointers =
		xcalloc(spec->parameters.count, sizeof(*pointers));
	ProtobufCMessage *answer CLEANUP(answer_free) = NULL;

	copy_parameters(spec->parameters, entries, pointers);
	request.target_id = agent->name;
	request.uuid = (char *)spec->uuid.text;
	request.pool = (char *)spec->pool;
	request.name = (char *)spec->name;
	request.size_bytes = (int64_t)spec->size_bytes;
	request.write_cache = convert_cache_to_wire(spec->volatile_cache);
	request.parameters = pointers;
	request.n_parameters = spec->parameters.count;
	if (agent_call(agent, METHOD("CreateVolume"), &request,
		       &nvmeot__target__v1__create_volume_response__descriptor, deadline, &answer,
		       err) < 0)
		return -1;
	return take_volume(agent, ((Nvmeot__Target__V1__CreateVolumeResponse *)answer)->volume,
			   &spec->uuid, ret, err);
}

int agent_find(struct agent *agent, const struct uuid *uuid, const char *pool,
	       struct deadline deadline, struct agent_volume *ret, struct err *err)
{
	Nvmeot__Target__V1__GetVolumeRequest request = NVMEOT__TARGET__V1__GET_VOLUME_REQUEST__INIT;
	ProtobufCMessage *answer CLEANUP(answer_free) = NULL;

	request.target_id = agent->name;
	request.uuid = (char *)uuid->text;
	request.pool = (char *)pool;
	if (agent_call(agent, METHOD("GetVolume"), &request,
		       &nvmeot__target__v1__get_volume_response__descriptor, deadline, &answer,
		       err) < 0)
		return err->code == ERR_NOT_FOUND ? 0 : -1;
	if (take_volume(agent, ((Nvmeot__Target__V1__GetVolumeResponse *)answer)->volume, uuid, ret,
			err) < 0)
		return -1;
	return 1;
}

static int visit_wire(const struct agent *agent, const Nvmeot__Target__V1__Volume *wire,
		      void (*visit)(const struct agent_listed *volume, void *context),
		      void *context, struct err *err)
{
	cleanup_free const char **hosts = xcalloc(wire->n_exports, sizeof(*hosts));
	struct agent_listed listed = { .hosts = hosts, .host_count = wire->n_exports };

	if (parse_uuid("uuid", wire->uuid, &listed.id.uuid, err) < 0 ||
	    !short_name_ok(wire->pool) || wire->size_bytes <= 0)
		return err_set(err, ERR_INTERNAL, "target %s: the list holds an invalid volume",
			       agent->name);
	strcpy(listed.id.target, agent->name);
	strcpy(listed.id.pool, wire->pool);
	listed.size_bytes = (uint64_t)wire->size_bytes;
	for (size_t i = 0; i < wire->n_exports; i++)
		hosts[i] = wire->exports[i]->host_nqn;
	visit(&listed, context);
	return 0;
}

int agent_list(struct agent *agent, const char *start_after, size_t max, struct deadline deadline,
	       void (*visit)(const struct agent_listed *volume, void *context), void *context,
	       bool *ret_more, struct err *err)
{
	Nvmeot__Target__V1__ListVolumesRequest request =
		NVMEOT__TARGET__V1__LIST_VOLUMES_REQUEST__INIT;
	ProtobufCMessage *answer CLEANUP(answer_free) = NULL;
	const Nvmeot__Target__V1__ListVolumesResponse *list;

	request.target_id = agent->name;
	request.start_after = (char *)start_after;
	request.max_entries = max > INT32_MAX ? INT32_MAX : (int32_t)max;
	if (agent_call(agent, METHOD("ListVolumes"), &request,
		       &nvmeot__target__v1__list_volumes_response__descriptor, deadline, &answer,
		       err) < 0)
		return -1;
	list = (const Nvmeot__Target__V1__ListVolumesResponse *)answer;
	for (size_t i = 0; i < list->n_volumes; i++)
		if (visit_wire(agent, list->volumes[i], visit, context, err) < 0)
			return -1;
	*ret_more = list->more && list->n_volumes;
	return 0;
}

int agent_delete(struct agent *agent, const struct uuid *uuid, const char *pool,
		 struct deadline deadline, struct err *err)
{
	Nvmeot__Target__V1__DeleteVolumeRequest request =
		NVMEOT__TARGET__V1__DELETE_VOLUME_REQUEST__INIT;
	ProtobufCMessage *answer CLEANUP(answer_free) = NULL;

	request.target_id = agent->name;
	request.uuid = (char *)uuid->text;
	request.pool = (char *)pool;
	return agent_call(agent, METHOD("DeleteVolume"), &request,
			  &nvmeot__target__v1__delete_volume_response__descriptor, deadline,
			  &answer, err);
}

int agent_export(struct agent *agent, const struct volume_id *id,
		 const struct volume_export *export, struct deadline deadline,
		 struct agent_volume *ret, struct err *err)
{
	Nvmeot__Target__V1__ExportRequest request = NVMEOT__TARGET__V1__EXPORT_REQUEST__INIT;
	ProtobufCMessage *answer CLEANUP(answer_free) = NULL;

	request.target_id = agent->name;
	request.uuid = (char *)id->uuid.text;
	request.pool = (char *)id->pool;
	request.host_nqn = (char *)export->host_nqn;
	request.mode = convert_access_to_wire(export->access);
	request.readonly = export->readonly;
	if (agent_call(agent, METHOD("Export"), &request,
		       &nvmeot__target__v1__export_response__descriptor, deadline, &answer,
		       err) < 0)
		return -1;
	return take_volume(agent, ((Nvmeot__Target__V1__ExportResponse *)answer)->volume, &id->uuid,
			   ret, err);
}

int agent_unexport(struct agent *agent, const struct volume_id *id, const char *host_nqn,
		   struct deadline deadline, struct err *err)
{
	Nvmeot__Target__V1__UnexportRequest request = NVMEOT__TARGET__V1__UNEXPORT_REQUEST__INIT;
	ProtobufCMessage *answer CLEANUP(answer_free) = NULL;

	request.target_id = agent->name;
	request.uuid = (char *)id->uuid.text;
	request.pool = (char *)id->pool;
	request.host_nqn = (char *)host_nqn;
	return agent_call(agent, METHOD("Unexport"), &request,
			  &nvmeot__target__v1__unexport_response__descriptor, deadline, &answer,
			  err);
}
