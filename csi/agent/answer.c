/* SPDX-License-Identifier: Apache-2.0 */
/* Taking the answers of agents apart. */
#include "csi/agent/answer.h"

#include <stdlib.h>
#include <string.h>

#include "nvme/base/strb.h"

#define STATUS(name) NVMEOT__TARGET__V1__CONDITION_STATUS__CONDITION_##name

void agent_volume_fini(struct agent_volume *volume)
{
	free(volume->hosts);
	free(volume->conditions);
	if (volume->answer)
		protobuf_c_message_free_unpacked(volume->answer, NULL);
	*volume = (struct agent_volume) { 0 };
}

/* A status of a later version is at least not well. */
static enum volume_condition_status status_of(Nvmeot__Target__V1__ConditionStatus status)
{
	if (status == STATUS(INACCESSIBLE))
		return VOLUME_INACCESSIBLE;
	return status == STATUS(DATA_LOSS) ? VOLUME_DATA_LOSS : VOLUME_DEGRADED;
}

static void take_lists(const Nvmeot__Target__V1__Volume *wire, struct agent_volume *v)
{
	v->parameters = MAP_OF(wire, parameters);
	v->mutables = MAP_OF(wire, mutable_parameters);
	v->hosts = xcalloc(wire->n_exports, sizeof(*v->hosts));
	for (size_t i = 0; i < wire->n_exports; i++) {
		v->hosts[v->host_count++] = wire->exports[i]->host_nqn;
		v->readonly = v->readonly || wire->exports[i]->readonly;
	}
	v->conditions = xcalloc(wire->n_conditions, sizeof(*v->conditions));
	for (size_t i = 0; i < wire->n_conditions; i++)
		v->conditions[v->condition_count++] = (struct agent_condition) {
			.status = status_of(wire->conditions[i]->status),
			.reason = wire->conditions[i]->reason,
			.message = wire->conditions[i]->message,
		};
}

/* An empty UUID is none. */
static bool take_uuid(const char *text, struct uuid *ret)
{
	struct err ignored;

	return !*text || parse_uuid("source", text, ret, &ignored) == 0;
}

static bool take_source(const Nvmeot__Target__V1__Source *wire, struct agent_source *ret)
{
	return !wire || (take_uuid(wire->snapshot_uuid, &ret->snapshot) &&
			 take_uuid(wire->volume_uuid, &ret->volume));
}

int agent_volume_take(const char *target, const Nvmeot__Target__V1__Volume *wire,
		      const struct uuid *uuid, ProtobufCMessage *message, struct agent_volume *ret,
		      struct err *err)
{
	struct agent_volume v = { 0 };
	struct strb portals = strb_over(v.portals, sizeof(v.portals));

	if (!wire || parse_uuid("uuid", wire->uuid, &v.id.uuid, err) < 0 ||
	    (uuid && strcmp(wire->uuid, uuid->text) != 0) || !parse_is_name(wire->pool) ||
	    wire->size_bytes <= 0 || !take_source(wire->source, &v.source) ||
	    parse_nqn("nqn", wire->nqn, v.nqn, err) < 0)
		return err_set(err, ERR_INTERNAL, "target %s: the answer holds no valid volume",
			       target);
	for (size_t i = 0; i < wire->n_portals; i++)
		strb_addf(&portals, "%s%s", i ? "," : "", wire->portals[i]);
	if (portals.overflow || !portals.len)
		return err_set(err, ERR_INTERNAL, "target %s: the answer holds no valid portals",
			       target);
	strcpy(v.id.target, target);
	strcpy(v.id.pool, wire->pool);
	v.size_bytes = (uint64_t)wire->size_bytes;
	v.volatile_cache = wire->write_cache ==
			   NVMEOT__TARGET__V1__WRITE_CACHE__WRITE_CACHE_VOLATILE;
	v.blank = wire->blank;
	take_lists(wire, &v);
	v.answer = message;
	*ret = v;
	return 0;
}

void agent_info_fini(struct agent_info *info)
{
	if (info->answer)
		protobuf_c_message_free_unpacked((ProtobufCMessage *)info->answer, NULL);
	*info = (struct agent_info) { 0 };
}

bool agent_info_room(const struct agent_info *info, const char *pool, struct agent_room *ret)
{
	struct agent_room room = { 0 };
	bool found = false;

	for (size_t i = 0; i < info->answer->n_pools; i++) {
		const Nvmeot__Target__V1__Pool *p = info->answer->pools[i];

		if (*pool && strcmp(pool, p->name) != 0)
			continue;
		found = true;
		if (p->available_bytes > 0)
			room.available_bytes += (uint64_t)p->available_bytes;
		if (p->maximum_volume_bytes > 0 &&
		    (uint64_t)p->maximum_volume_bytes > room.maximum_bytes)
			room.maximum_bytes = (uint64_t)p->maximum_volume_bytes;
	}
	if (found)
		*ret = room;
	return found;
}
