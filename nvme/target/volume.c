/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes as plain data, and the decision who may have one. */
#include "nvme/target/volume.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void parameters_free(struct volume_parameter *parameters, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(parameters[i].key);
		free(parameters[i].value);
	}
	free(parameters);
}

void volume_fini(struct volume *volume)
{
	parameters_free(volume->parameters, volume->parameter_count);
	parameters_free(volume->mutables, volume->mutable_count);
	free(volume->exports);
	free(volume->snapshot.group_name);
	free(volume->snapshot.members);
	free(volume->name);
	*volume = (struct volume) { 0 };
}

void volume_list_fini(struct volume_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		volume_fini(&list->volumes[i]);
	free(list->volumes);
	*list = (struct volume_list) { 0 };
}

struct volume volume_copy(const struct volume *volume)
{
	struct volume copy = *volume;

	copy.name = xstrdup(volume->name);
	copy.parameters = NULL;
	copy.parameter_count = 0;
	copy.mutables = NULL;
	copy.mutable_count = 0;
	copy.exports = NULL;
	copy.export_count = 0;
	copy.snapshot.group_name = NULL;
	copy.snapshot.members = NULL;
	copy.snapshot.member_count = 0;
	if (volume->snapshot.group_name)
		copy.snapshot.group_name = xstrdup(volume->snapshot.group_name);
	for (size_t i = 0; i < volume->snapshot.member_count; i++)
		volume_add_member(&copy, &volume->snapshot.members[i]);
	for (size_t i = 0; i < volume->parameter_count; i++)
		volume_add_parameter(&copy, volume->parameters[i].key, volume->parameters[i].value);
	for (size_t i = 0; i < volume->mutable_count; i++)
		volume_set_mutable(&copy, volume->mutables[i].key, volume->mutables[i].value);
	for (size_t i = 0; i < volume->export_count; i++)
		volume_add_export(&copy, &volume->exports[i]);
	return copy;
}

void volume_add_parameter(struct volume *volume, const char *key, const char *value)
{
	size_t count = volume->parameter_count + 1;

	volume->parameters = xrealloc(volume->parameters, count, sizeof(*volume->parameters));
	volume->parameters[volume->parameter_count++] = (struct volume_parameter) {
		.key = xstrdup(key),
		.value = xstrdup(value),
	};
}

const char *volume_parameter(const struct volume *volume, const char *key)
{
	for (size_t i = 0; i < volume->parameter_count; i++)
		if (strcmp(volume->parameters[i].key, key) == 0)
			return volume->parameters[i].value;
	return NULL;
}

void volume_set_mutable(struct volume *volume, const char *key, const char *value)
{
	for (size_t i = 0; i < volume->mutable_count; i++) {
		if (strcmp(volume->mutables[i].key, key) == 0) {
			free(volume->mutables[i].value);
			volume->mutables[i].value = xstrdup(value);
			return;
		}
	}
	volume->mutables =
		xrealloc(volume->mutables, volume->mutable_count + 1, sizeof(*volume->mutables));
	volume->mutables[volume->mutable_count++] = (struct volume_parameter) {
		.key = xstrdup(key),
		.value = xstrdup(value),
	};
}

void volume_add_member(struct volume *volume, const struct uuid *member)
{
	struct volume_snapshot *snapshot = &volume->snapshot;

	snapshot->members =
		xrealloc(snapshot->members, snapshot->member_count + 1, sizeof(*snapshot->members));
	snapshot->members[snapshot->member_count++] = *member;
}

void volume_add_export(struct volume *volume, const struct volume_export *entry)
{
	size_t count = volume->export_count + 1;

	volume->exports = xrealloc(volume->exports, count, sizeof(*volume->exports));
	volume->exports[volume->export_count++] = *entry;
}

void volume_remove_export(struct volume *volume, const char *host_nqn)
{
	size_t kept = 0;

	for (size_t i = 0; i < volume->export_count; i++)
		if (strcmp(volume->exports[i].host_nqn, host_nqn) != 0)
			volume->exports[kept++] = volume->exports[i];
	volume->export_count = kept;
}

const struct volume_export *volume_find_export(const struct volume *volume, const char *host_nqn)
{
	for (size_t i = 0; i < volume->export_count; i++)
		if (strcmp(volume->exports[i].host_nqn, host_nqn) == 0)
			return &volume->exports[i];
	return NULL;
}

bool volume_is_readonly(const struct volume *volume)
{
	return volume->export_count > 0 && volume->exports[0].readonly;
}

void volume_nqn(const struct uuid *uuid, char out[NQN_SIZE])
{
	snprintf(out, NQN_SIZE, "%s%s", VOLUME_NQN_PREFIX, uuid->text);
}

const char *volume_access_name(enum volume_access access)
{
	static const char *const names[VOLUME_ACCESS_COUNT] = {
		[VOLUME_SINGLE_NODE] = "single-node",
		[VOLUME_MULTI_WRITER] = "multi-writer",
		[VOLUME_MULTI_READER] = "multi-reader",
	};

	return names[access];
}

const char *volume_state_name(enum volume_state state)
{
	static const char *const names[VOLUME_STATE_COUNT] = {
		[VOLUME_CREATING] = "creating",
		[VOLUME_READY] = "ready",
		[VOLUME_DELETING] = "deleting",
	};

	return names[state];
}

static int parameters_check(const struct volume_parameter *parameters, size_t count,
			    struct err *err)
{
	if (count > VOLUME_PARAMETERS_MAX)
		return err_set(err, ERR_INVALID_ARGUMENT, "%zu parameters are more than %d", count,
			       VOLUME_PARAMETERS_MAX);
	for (size_t i = 0; i < count; i++) {
		const struct volume_parameter *p = &parameters[i];

		if (!p->key[0] || strlen(p->key) > VOLUME_KEY_MAX ||
		    strlen(p->value) > VOLUME_VALUE_MAX)
			return err_set(err, ERR_INVALID_ARGUMENT,
				       "parameter \"%.64s\": a key has 1 to %d bytes, a value at "
				       "most %d",
				       p->key, VOLUME_KEY_MAX, VOLUME_VALUE_MAX);
	}
	return 0;
}

int volume_check_size(uint64_t size_bytes, struct err *err)
{
	if (size_bytes == 0 || size_bytes % VOLUME_BLOCK_BYTES || size_bytes > INT64_MAX)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "volume size %" PRIu64 " is not a positive multiple of %u bytes",
			       size_bytes, VOLUME_BLOCK_BYTES);
	return 0;
}

static int growing_check(const struct volume *volume, struct err *err)
{
	if (!volume->growing_bytes)
		return 0;
	if (volume_check_size(volume->growing_bytes, err) < 0)
		return -1;
	if (volume->growing_bytes <= volume->size_bytes || volume->state != VOLUME_READY)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "a volume of %" PRIu64 " bytes in state %s cannot grow to %" PRIu64,
			       volume->size_bytes, volume_state_name(volume->state),
			       volume->growing_bytes);
	return 0;
}

bool volume_is_snapshot(const struct volume *volume)
{
	return volume->snapshot.created_ns;
}

bool volume_is_copy(const struct volume *volume)
{
	return volume->source.text[0];
}

bool volume_is_frozen(const struct volume *volume)
{
	const char *freeze = volume_parameter(volume, VOLUME_FREEZE);

	return volume_is_snapshot(volume) && freeze && strcmp(freeze, "true") == 0;
}

const char *volume_sort_name(const struct volume *volume)
{
	return volume_is_snapshot(volume) ? "snapshot" : "volume";
}

/* Whether a group has its own snapshot among its members, and each of them once. */
static bool members_are_sane(const struct volume *volume)
{
	const struct volume_snapshot *snapshot = &volume->snapshot;
	size_t own = 0;

	for (size_t i = 0; i < snapshot->member_count; i++) {
		own += strcmp(snapshot->members[i].text, volume->uuid.text) == 0;
		for (size_t j = 0; j < i; j++)
			if (strcmp(snapshot->members[i].text, snapshot->members[j].text) == 0)
				return false;
	}
	return own == (snapshot->group.text[0] ? 1 : 0) &&
	       snapshot->member_count <= VOLUME_GROUP_MAX;
}

static int snapshot_check(const struct volume *volume, struct err *err)
{
	const struct volume_snapshot *snapshot = &volume->snapshot;

	if (!volume_is_snapshot(volume))
		return 0;
	if (!volume_is_copy(volume) || volume->source_is_snapshot)
		return err_set(err, ERR_INVALID_ARGUMENT, "snapshot %s is of no volume",
			       volume->uuid.text);
	if (volume->export_count || volume->growing_bytes || volume->mutable_count)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "snapshot %s has exports, grows or has mutable parameters",
			       volume->uuid.text);
	if (snapshot->created_ns > INT64_MAX || snapshot->held_bytes > INT64_MAX)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "snapshot %s: a time or a size is negative", volume->uuid.text);
	if (snapshot->group.text[0] && (!snapshot->group_name || !snapshot->group_name[0] ||
					strlen(snapshot->group_name) > VOLUME_NAME_MAX))
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "group name \"%.64s\" does not have 1 to %d bytes",
			       snapshot->group_name ?: "", VOLUME_NAME_MAX);
	if (!members_are_sane(volume))
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "snapshot %s is not once among the at most %d different members of "
			       "its group",
			       volume->uuid.text, VOLUME_GROUP_MAX);
	return 0;
}

int volume_check(const struct volume *volume, struct err *err)
{
	if (!volume->name || !volume->name[0] || strlen(volume->name) > VOLUME_NAME_MAX)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "%s name \"%.64s\" does not have 1 to %d bytes",
			       volume_sort_name(volume), volume->name ?: "", VOLUME_NAME_MAX);
	if (volume_check_size(volume->size_bytes, err) < 0 || growing_check(volume, err) < 0 ||
	    snapshot_check(volume, err) < 0 ||
	    parameters_check(volume->parameters, volume->parameter_count, err) < 0)
		return -1;
	return parameters_check(volume->mutables, volume->mutable_count, err);
}

uint64_t volume_promised_bytes(const struct volume *volume)
{
	if (volume_is_snapshot(volume))
		return volume->snapshot.held_bytes;
	return volume->growing_bytes ?: volume->size_bytes;
}

static const char *readonly_text(const struct volume_export *entry)
{
	return entry->readonly ? " read-only" : "";
}

/* How a host has, or wants, a volume: "single-node read-only". */
#define HOW "%s%s"
#define HOW_ARGS(entry) volume_access_name((entry)->access), readonly_text(entry)

static int decide_other_host(const struct volume *volume, const struct volume_export *held,
			     const struct volume_export *want, struct err *err)
{
	if (held->access == VOLUME_SINGLE_NODE || want->access == VOLUME_SINGLE_NODE)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "volume %s is held by host %s (" HOW ") and cannot go to host %s "
			       "(" HOW "): unpublish it from %s first; if that node is lost, fence "
			       "it by deleting its VolumeAttachment",
			       volume->uuid.text, held->host_nqn, HOW_ARGS(held), want->host_nqn,
			       HOW_ARGS(want), held->host_nqn);
	if (held->access != want->access || held->readonly != want->readonly)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "mixing readers and writers of volume %s: host %s holds it as " HOW
			       ", host %s asks for " HOW "; unpublish it from all hosts that hold "
			       "it as " HOW " first",
			       volume->uuid.text, held->host_nqn, HOW_ARGS(held), want->host_nqn,
			       HOW_ARGS(want), HOW_ARGS(held));
	return 0;
}

int export_decide(const struct volume *volume, const struct volume_export *want,
		  enum export_decision *ret, struct err *err)
{
	const struct volume_export *own = volume_find_export(volume, want->host_nqn);

	if (want->access == VOLUME_MULTI_READER && !want->readonly)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "volume %s is asked for by host %s as multi-reader, but not "
			       "read-only: one of many readers reads only",
			       volume->uuid.text, want->host_nqn);
	if (own && own->dhchap != want->dhchap)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "volume %s is exported to host %s with authentication %s, asked for "
			       "is %s; unpublish all volumes of this host first",
			       volume->uuid.text, own->host_nqn, dhchap_mode_name(own->dhchap),
			       dhchap_mode_name(want->dhchap));
	if (own && own->access == want->access && own->readonly == want->readonly) {
		*ret = EXPORT_ALREADY;
		return 0;
	}
	if (own)
		return err_set(err, ERR_ALREADY_EXISTS,
			       "volume %s is exported to host %s as " HOW ", asked for is " HOW
			       "; unpublish it there first",
			       volume->uuid.text, own->host_nqn, HOW_ARGS(own), HOW_ARGS(want));
	for (size_t i = 0; i < volume->export_count; i++)
		if (decide_other_host(volume, &volume->exports[i], want, err) < 0)
			return -1;
	if (volume->export_count >= VOLUME_EXPORTS_MAX)
		return err_set(err, ERR_RESOURCE_EXHAUSTED, "volume %s is exported to %zu hosts",
			       volume->uuid.text, volume->export_count);
	*ret = EXPORT_ADD;
	return 0;
}
