/* SPDX-License-Identifier: Apache-2.0 */
/* Calls to a target agent. */
#include "csi/agent/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "csi/agent/ask.h"
#include "csi/agent/convert.h"

/* --- asking ----------------------------------------------------------------------------------- */

struct agent_ask *agent_info_begin(struct agent *agent, struct deadline deadline)
{
	Nvmeot__Target__V1__GetInfoRequest request = NVMEOT__TARGET__V1__GET_INFO_REQUEST__INIT;

	return agent_ask_begin(agent, AGENT_METHOD("GetInfo"), &request, deadline);
}

int agent_info_finish(struct agent_ask *pending, struct agent_info *ret, struct err *err)
{
	struct agent_ask *ask cleanup_agent_ask = pending;
	ProtobufCMessage *answer cleanup_agent_answer = NULL;
	const Nvmeot__Target__V1__GetInfoResponse *info;

	if (agent_ask_wait(ask, AGENT_ANSWER(get_info), &answer, err) < 0)
		return -1;
	info = (const Nvmeot__Target__V1__GetInfoResponse *)answer;
	if (strcmp(info->target_id, ask->agent->name) != 0)
		return err_set(
			err, ERR_FAILED_PRECONDITION,
			"target %s: the agent at this address calls itself \"%.64s\"; the name "
			"in --target must be the agent's --name",
			ask->agent->name, info->target_id);
	*ret = (struct agent_info) { .topology = MAP_OF(info, topology), .answer = info };
	answer = NULL;
	return 0;
}

int agent_info(struct agent *agent, struct deadline deadline, struct agent_info *ret,
	       struct err *err)
{
	return agent_info_finish(agent_info_begin(agent, deadline), ret, err);
}

struct agent_ask *agent_find_begin(struct agent *agent, const struct agent_find_query *query,
				   struct deadline deadline)
{
	Nvmeot__Target__V1__GetVolumeRequest request = NVMEOT__TARGET__V1__GET_VOLUME_REQUEST__INIT;
	struct agent_ask *ask;

	request.target_id = agent->name;
	request.uuid = (char *)query->uuid->text;
	request.pool = (char *)query->pool;
	request.with_conditions = query->conditions;
	ask = agent_ask_begin(agent, AGENT_METHOD("GetVolume"), &request, deadline);
	ask->uuid = *query->uuid;
	return ask;
}

/* The volume of an answer that has nothing else; frees the answer unless the volume takes it. */
static int take_volume(const struct agent *agent, const Nvmeot__Target__V1__Volume *wire,
		       const struct uuid *uuid, ProtobufCMessage **answer, struct agent_volume *ret,
		       struct err *err)
{
	if (agent_volume_take(agent->name, wire, uuid, *answer, ret, err) < 0)
		return -1;
	*answer = NULL;
	return 0;
}

#define TAKE_VOLUME(type, agent, uuid, answer, ret, err)                                           \
	take_volume(agent, ((const Nvmeot__Target__V1__##type *)(answer))->volume, uuid, &answer,  \
		    ret, err)

int agent_find_finish(struct agent_ask *pending, struct agent_volume *ret, struct err *err)
{
	struct agent_ask *ask cleanup_agent_ask = pending;
	ProtobufCMessage *answer cleanup_agent_answer = NULL;

	if (agent_ask_wait(ask, AGENT_ANSWER(get_volume), &answer, err) < 0)
		return err->code == ERR_NOT_FOUND ? 0 : -1;
	if (TAKE_VOLUME(GetVolumeResponse, ask->agent, &ask->uuid, answer, ret, err) < 0)
		return -1;
	return 1;
}

int agent_find(struct agent *agent, const struct agent_find_query *query, struct deadline deadline,
	       struct agent_volume *ret, struct err *err)
{
	return agent_find_finish(agent_find_begin(agent, query, deadline), ret, err);
}

struct agent_ask *agent_list_begin(struct agent *agent, const struct agent_list_query *query,
				   struct deadline deadline)
{
	Nvmeot__Target__V1__ListVolumesRequest request =
		NVMEOT__TARGET__V1__LIST_VOLUMES_REQUEST__INIT;

	request.target_id = agent->name;
	request.start_after = (char *)query->start_after;
	request.max_entries = query->max > INT32_MAX ? INT32_MAX : (int32_t)query->max;
	request.with_conditions = query->conditions;
	return agent_ask_begin(agent, AGENT_METHOD("ListVolumes"), &request, deadline);
}

int agent_list_finish(struct agent_ask *pending,
		      void (*visit)(const struct agent_volume *volume, void *context),
		      void *context, bool *ret_more, struct err *err)
{
	struct agent_ask *ask cleanup_agent_ask = pending;
	ProtobufCMessage *answer cleanup_agent_answer = NULL;
	const Nvmeot__Target__V1__ListVolumesResponse *list;

	if (agent_ask_wait(ask, AGENT_ANSWER(list_volumes), &answer, err) < 0)
		return -1;
	list = (const Nvmeot__Target__V1__ListVolumesResponse *)answer;
	for (size_t i = 0; i < list->n_volumes; i++) {
		struct agent_volume volume cleanup_agent_volume = { 0 };

		if (agent_volume_take(ask->agent->name, list->volumes[i], NULL, NULL, &volume,
				      err) < 0)
			return -1;
		visit(&volume, context);
	}
	*ret_more = list->more;
	return 0;
}

/* --- changing --------------------------------------------------------------------------------- */

/* The members that every request about one volume has. */
#define REQUEST_FOR(request, agent, id)                                                            \
	do {                                                                                       \
		(request).target_id = (agent)->name;                                               \
		(request).uuid = (char *)(id)->uuid.text;                                          \
		(request).pool = (char *)(id)->pool;                                               \
	} while (0)

int agent_create(struct agent *agent, const struct agent_volume_spec *spec,
		 struct deadline deadline, struct agent_volume *ret, struct err *err)
{
	Nvmeot__Target__V1__CreateVolumeRequest request =
		NVMEOT__TARGET__V1__CREATE_VOLUME_REQUEST__INIT;
	struct agent_wire_map parameters cleanup_agent_wire_map = agent_wire_map(
		spec->parameters,
		&nvmeot__target__v1__create_volume_request__parameters_entry__descriptor);
	struct agent_wire_map mutables cleanup_agent_wire_map = agent_wire_map(
		spec->mutables,
		&nvmeot__target__v1__create_volume_request__mutable_parameters_entry__descriptor);
	Nvmeot__Target__V1__Source source = NVMEOT__TARGET__V1__SOURCE__INIT;
	ProtobufCMessage *answer cleanup_agent_answer = NULL;

	request.target_id = agent->name;
	request.uuid = (char *)spec->uuid.text;
	request.pool = (char *)spec->pool;
	request.name = (char *)spec->name;
	request.size_bytes = (int64_t)spec->size_bytes;
	request.write_cache = convert_cache_to_wire(spec->volatile_cache);
	request.parameters = (void *)parameters.pointers;
	request.n_parameters = spec->parameters.count;
	request.mutable_parameters = (void *)mutables.pointers;
	request.n_mutable_parameters = spec->mutables.count;
	source.snapshot_uuid = (char *)spec->source.snapshot.text;
	source.volume_uuid = (char *)spec->source.volume.text;
	if (*source.snapshot_uuid || *source.volume_uuid)
		request.source = &source;
	if (agent_call(agent, AGENT_METHOD("CreateVolume"), &request, AGENT_ANSWER(create_volume),
		       deadline, &answer, err) < 0)
		return -1;
	return TAKE_VOLUME(CreateVolumeResponse, agent, &spec->uuid, answer, ret, err);
}

int agent_delete(struct agent *agent, const struct volume_id *id, struct deadline deadline,
		 struct err *err)
{
	Nvmeot__Target__V1__DeleteVolumeRequest request =
		NVMEOT__TARGET__V1__DELETE_VOLUME_REQUEST__INIT;
	ProtobufCMessage *answer cleanup_agent_answer = NULL;

	REQUEST_FOR(request, agent, id);
	return agent_call(agent, AGENT_METHOD("DeleteVolume"), &request,
			  AGENT_ANSWER(delete_volume), deadline, &answer, err);
}

int agent_expand(struct agent *agent, const struct volume_id *id, uint64_t size_bytes,
		 struct deadline deadline, struct agent_volume *ret, struct err *err)
{
	Nvmeot__Target__V1__ExpandVolumeRequest request =
		NVMEOT__TARGET__V1__EXPAND_VOLUME_REQUEST__INIT;
	ProtobufCMessage *answer cleanup_agent_answer = NULL;

	REQUEST_FOR(request, agent, id);
	request.size_bytes = (int64_t)size_bytes;
	if (agent_call(agent, AGENT_METHOD("ExpandVolume"), &request, AGENT_ANSWER(expand_volume),
		       deadline, &answer, err) < 0)
		return -1;
	return TAKE_VOLUME(ExpandVolumeResponse, agent, &id->uuid, answer, ret, err);
}

int agent_modify(struct agent *agent, const struct volume_id *id, struct map mutables,
		 struct deadline deadline, struct err *err)
{
	Nvmeot__Target__V1__ModifyVolumeRequest request =
		NVMEOT__TARGET__V1__MODIFY_VOLUME_REQUEST__INIT;
	struct agent_wire_map wire cleanup_agent_wire_map = agent_wire_map(
		mutables,
		&nvmeot__target__v1__modify_volume_request__mutable_parameters_entry__descriptor);
	ProtobufCMessage *answer cleanup_agent_answer = NULL;

	REQUEST_FOR(request, agent, id);
	request.mutable_parameters = (void *)wire.pointers;
	request.n_mutable_parameters = mutables.count;
	return agent_call(agent, AGENT_METHOD("ModifyVolume"), &request,
			  AGENT_ANSWER(modify_volume), deadline, &answer, err);
}

/* An agent that is too old for keys passes over them. */
static int check_authentication(const struct agent *agent, const Nvmeot__Target__V1__Volume *volume,
				const char *host_nqn, enum dhchap_mode mode, struct err *err)
{
	for (size_t i = 0; volume && i < volume->n_exports; i++)
		if (strcmp(volume->exports[i]->host_nqn, host_nqn) == 0 &&
		    volume->exports[i]->authentication == convert_authentication_to_wire(mode))
			return 0;
	return err_set(err, ERR_FAILED_PRECONDITION,
		       "target %s: the agent does not make host %s authenticate itself %s, as the "
		       "secrets say; update nvmeot-target there and unpublish the volume",
		       agent->name, host_nqn, dhchap_mode_name(mode));
}

int agent_export(struct agent *agent, const struct volume_id *id,
		 const struct volume_export *export, const struct dhchap_keys *keys,
		 struct deadline deadline, struct agent_volume *ret, struct err *err)
{
	Nvmeot__Target__V1__ExportRequest request = NVMEOT__TARGET__V1__EXPORT_REQUEST__INIT;
	ProtobufCMessage *answer cleanup_agent_answer = NULL;
	struct agent_volume volume cleanup_agent_volume = { 0 };

	REQUEST_FOR(request, agent, id);
	request.host_nqn = (char *)export->host_nqn;
	request.mode = convert_access_to_wire(export->access);
	request.readonly = export->readonly;
	request.dhchap_secret = (char *)keys->host;
	request.dhchap_ctrl_secret = (char *)keys->ctrl;
	if (agent_call(agent, AGENT_METHOD("Export"), &request, AGENT_ANSWER(export), deadline,
		       &answer, err) < 0)
		return -1;
	if (keys->host[0] &&
	    check_authentication(agent,
				 ((const Nvmeot__Target__V1__ExportResponse *)answer)->volume,
				 export->host_nqn, dhchap_keys_mode(keys), err) < 0)
		return -1;
	if (TAKE_VOLUME(ExportResponse, agent, &id->uuid, answer, &volume, err) < 0)
		return -1;
	if (volume.readonly != export->readonly)
		return err_set(err, ERR_INTERNAL,
			       "target %s: volume %s was to be exported %s, but is exported %s",
			       agent->name, id->uuid.text,
			       export->readonly ? "read-only" : "read-write",
			       volume.readonly ? "read-only" : "read-write");
	*ret = volume;
	volume = (struct agent_volume) { 0 };
	return 0;
}

int agent_unexport(struct agent *agent, const struct volume_id *id, const char *host_nqn,
		   struct deadline deadline, struct err *err)
{
	Nvmeot__Target__V1__UnexportRequest request = NVMEOT__TARGET__V1__UNEXPORT_REQUEST__INIT;
	ProtobufCMessage *answer cleanup_agent_answer = NULL;

	REQUEST_FOR(request, agent, id);
	request.host_nqn = (char *)host_nqn;
	return agent_call(agent, AGENT_METHOD("Unexport"), &request, AGENT_ANSWER(unexport),
			  deadline, &answer, err);
}
