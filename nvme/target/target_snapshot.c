/* SPDX-License-Identifier: Apache-2.0 */
/* Taking snapshots, alone or as a group, and looking them up. */
#include "nvme/target/target.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "nvme/base/strb.h"
#include "nvme/target/target_table.h"

/* --- checking --------------------------------------------------------------------------------- */

static int check_different(const struct target_snapshot_request *request, struct err *err)
{
	for (size_t i = 0; i < request->count; i++) {
		const struct target_snapshot_item *item = &request->items[i];

		if (strcmp(item->uuid.text, item->volume.text) == 0)
			return err_set(err, ERR_INVALID_ARGUMENT,
				       "volume %s is to be a snapshot of itself", item->uuid.text);
		for (size_t j = 0; j < i; j++)
			if (strcmp(item->uuid.text, request->items[j].uuid.text) == 0 ||
			    strcmp(item->volume.text, request->items[j].volume.text) == 0)
				return err_set(err, ERR_INVALID_ARGUMENT,
					       "snapshots %s and %s: two of a group have the same "
					       "UUID, or are of the same volume %s",
					       request->items[j].uuid.text, item->uuid.text,
					       item->volume.text);
	}
	return 0;
}

static int check_request(const struct target_snapshot_request *request, struct err *err)
{
	bool group = request->group.text[0];

	if (!request->count || request->count > (group ? VOLUME_GROUP_MAX : 1))
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "%zu snapshots are asked for: without a group it is 1, with one it "
			       "is 1 to %d",
			       request->count, VOLUME_GROUP_MAX);
	return check_different(request, err);
}

/* --- existing ones ---------------------------------------------------------------------------- */

static bool is_member(const struct volume *have, const struct uuid *uuid)
{
	for (size_t i = 0; i < have->snapshot.member_count; i++)
		if (strcmp(have->snapshot.members[i].text, uuid->text) == 0)
			return true;
	return false;
}

/* Whether a snapshot's group is the one asked for, with the same members. */
static bool is_same_group(const struct volume *have, const struct target_snapshot_request *request)
{
	if (strcmp(have->snapshot.group.text, request->group.text) != 0)
		return false;
	if (!request->group.text[0])
		return true;
	if (strcmp(have->snapshot.group_name, request->group_name) != 0 ||
	    have->snapshot.member_count != request->count)
		return false;
	for (size_t i = 0; i < request->count; i++)
		if (!is_member(have, &request->items[i].uuid))
			return false;
	return true;
}

/* Whether an existing one is what an item asks for. */
static int check_same(const struct volume *have, const struct target_snapshot_request *request,
		      const struct target_snapshot_item *item, struct err *err)
{
	char text[1024];
	struct strb differs = strb_over(text, sizeof(text));

	if (!volume_is_snapshot(have))
		return err_set(err, ERR_ALREADY_EXISTS, "%s is a volume and no snapshot",
			       have->uuid.text);
	if (strcmp(have->name, item->name) != 0)
		strb_addf(&differs, " name \"%s\" (asked for: \"%s\")", have->name, item->name);
	if (strcmp(have->source.text, item->volume.text) != 0)
		strb_addf(&differs, " volume %s (asked for: %s)", have->source.text,
			  item->volume.text);
	if (!is_same_group(have, request))
		strb_addf(&differs,
			  " group \"%s\" %s of %zu snapshots (asked for: \"%s\" %s of %zu, which "
			  "may be others)",
			  have->snapshot.group_name ?: "", have->snapshot.group.text,
			  have->snapshot.member_count,
			  request->group.text[0] ? request->group_name : "", request->group.text,
			  request->group.text[0] ? request->count : 0);
	if (request->freeze && !volume_is_frozen(have))
		strb_add(&differs, " freeze false (asked for: true)");
	if (!differs.len)
		return 0;
	return err_set(err, ERR_ALREADY_EXISTS, "snapshot %s exists with%s", have->uuid.text, text);
}

/* --- taking ----------------------------------------------------------------------------------- */

/* All that is held while snapshots are taken. */
struct taking {
	struct target *target;
	const struct target_snapshot_request *request;
	struct target_entry *entries[VOLUME_GROUP_MAX]; /* of the snapshots */
	size_t entry_count;
	struct target_entry *sources[VOLUME_GROUP_MAX];
	size_t source_count;
	struct target_copy copies[VOLUME_GROUP_MAX];
	size_t copy_count;
	struct target_turn freeze; /* with freeze */
	void *quiet;		   /* of target_quiesce; NULL: nobody is to be let go */
};

static void taking_fini(struct taking *taking)
{
	for (size_t i = 0; i < taking->copy_count; i++)
		volume_fini(&taking->copies[i].volume);
	for (size_t i = 0; i < taking->source_count; i++)
		target_release(taking->target, taking->sources[i]);
	target_turn_fini(&taking->freeze);
	for (size_t i = 0; i < taking->entry_count; i++)
		target_release(taking->target, taking->entries[i]);
}

static int hold_entries(struct taking *taking, struct err *err)
{
	for (size_t i = 0; i < taking->request->count; i++) {
		if (target_take(taking->target, taking->request->items[i].uuid.text,
				&taking->entries[i], err) < 0)
			return -1;
		taking->entry_count++;
	}
	return 0;
}

/* What earlier calls left half-way is there after it, or it is not. */
static int settle_old(struct taking *taking, struct err *err)
{
	for (size_t i = 0; i < taking->entry_count; i++) {
		struct target_entry *entry = taking->entries[i];
		cleanup_turn struct target_turn turn = { 0 };

		if (target_finish_old(taking->target, entry, err) < 0)
			return -1;
		if (!entry->present || entry->volume.state != VOLUME_CREATING ||
		    !volume_is_snapshot(&entry->volume))
			continue;
		if (target_turn_take(taking->target, entry->pool, &turn, err) < 0 ||
		    target_copy_resume(taking->target, entry, err) < 0)
			return -1;
	}
	return 0;
}

/* 1: all are there; 0: none is. */
static int look_for_all(const struct taking *taking, struct err *err)
{
	const struct target_snapshot_request *request = taking->request;
	const struct uuid *missing = NULL, *there = NULL;

	for (size_t i = 0; i < taking->entry_count; i++) {
		const struct target_entry *entry = taking->entries[i];

		if (!entry->present) {
			missing = &entry->uuid;
			continue;
		}
		there = &entry->uuid;
		if (check_same(&entry->volume, request, &request->items[i], err) < 0)
			return -1;
	}
	if (there && missing)
		return err_set(err, ERR_ALREADY_EXISTS,
			       "group \"%s\" exists with snapshot %s, but its snapshot %s has been "
			       "deleted; delete all of it first",
			       request->group_name, there->text, missing->text);
	return there != NULL;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static struct volume describe(const struct target_snapshot_request *request,
			      const struct target_snapshot_item *item, const struct volume *source,
			      uint64_t created_ns)
{
	struct volume volume = {
		.uuid = item->uuid,
		.name = xstrdup(item->name),
		.size_bytes = source->size_bytes,
		.volatile_cache = source->volatile_cache,
		.source = item->volume,
		.snapshot = { .created_ns = created_ns, .group = request->group },
	};

	for (size_t i = 0; i < request->parameter_count; i++)
		volume_add_parameter(&volume, request->parameters[i].key,
				     request->parameters[i].value);
	if (request->freeze && !volume_parameter(&volume, VOLUME_FREEZE))
		volume_add_parameter(&volume, VOLUME_FREEZE, "true");
	if (!request->group.text[0])
		return volume;
	volume.snapshot.group_name = xstrdup(request->group_name);
	for (size_t i = 0; i < request->count; i++)
		volume_add_member(&volume, &request->items[i].uuid);
	return volume;
}

/* Whether a snapshot of the volume can be taken now. */
static int check_source(struct target *target, const struct target_entry *source, struct err *err)
{
	cleanup_turn struct target_turn turn = { 0 };

	if (target_expect(target, source, "", err) < 0)
		return -1;
	if (source->volume.growing_bytes)
		return err_set(err, ERR_ABORTED,
			       "volume %s is being expanded to %" PRIu64
			       " bytes: that must be asked for again first",
			       source->uuid.text, source->volume.growing_bytes);
	if (target_turn_take(target, source->pool, &turn, err) < 0)
		return -1;
	return target_expect_backing(source, err);
}

static int hold_sources(struct taking *taking, struct err *err)
{
	const struct target_snapshot_request *request = taking->request;
	uint64_t created_ns = now_ns();

	for (size_t i = 0; i < request->count; i++) {
		struct target_copy *copy = &taking->copies[i];
		struct target_entry *source;

		if (target_acquire_shared(taking->target, request->items[i].volume.text, &source,
					  err) < 0)
			return -1;
		taking->sources[taking->source_count++] = source;
		if (check_source(taking->target, source, err) < 0)
			return -1;
		copy->entry = taking->entries[i];
		copy->from = source;
		copy->volume = describe(request, &request->items[i], &source->volume, created_ns);
		taking->copy_count++;
		if (volume_check(&copy->volume, err) < 0)
			return -1;
	}
	return 0;
}

/* What is due to be measured is measured now: hosts do not wait for it then. */
static void measure_pools(const struct taking *taking)
{
	for (size_t i = 0; i < taking->source_count; i++) {
		struct pool *pool = taking->sources[i]->pool;
		struct pool_usage ignored;
		struct err err;
		bool done = false;

		for (size_t j = 0; j < i; j++)
			done = done || taking->sources[j]->pool == pool;
		if (!done)
			target_usage(taking->target, pool, &ignored, &err);
	}
}

/* Nothing that others wait for is held yet. */
static int take_freeze(struct taking *taking, struct err *err)
{
	if (!taking->request->freeze)
		return 0;
	if (!taking->target->quiesce.begin)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "freeze is asked for, and there is nobody who could do it");
	return target_freeze_take(taking->target, &taking->freeze, err);
}

/* With all turns taken: hosts that are quiet wait for the storage alone. */
static int begin_quiet(void *context, struct err *err)
{
	struct taking *taking = context;
	const struct target_quiesce *quiesce = &taking->target->quiesce;
	const struct volume *volumes[VOLUME_GROUP_MAX];
	uint64_t created_ns;

	for (size_t i = 0; i < taking->source_count; i++)
		volumes[i] = &taking->sources[i]->volume;
	if (quiesce->begin(quiesce->context, volumes, taking->source_count, &taking->quiet, err) <
	    0)
		return -1;
	/* What hosts wrote out until they were quiet is in the snapshots. */
	created_ns = now_ns();
	for (size_t i = 0; i < taking->copy_count; i++)
		taking->copies[i].volume.snapshot.created_ns = created_ns;
	return 0;
}

static int end_quiet(void *context, struct err *err)
{
	struct taking *taking = context;
	const struct target_quiesce *quiesce = &taking->target->quiesce;
	void *quiet = steal_ptr(&taking->quiet);

	return quiet ? quiesce->end(quiesce->context, quiet, err) : 0;
}

static int take_copies(struct taking *taking, struct err *err)
{
	const struct target_copy_hooks hooks = { begin_quiet, end_quiet, taking };

	if (taking->request->freeze)
		measure_pools(taking);
	return target_copies_make(taking->target, taking->copies, taking->copy_count,
				  taking->request->freeze ? &hooks : NULL, err);
}

static int take(struct taking *taking, struct err *err)
{
	int there;

	if (hold_entries(taking, err) < 0 || settle_old(taking, err) < 0)
		return -1;
	there = look_for_all(taking, err);
	if (there < 0)
		return -1;
	if (there)
		return 0;
	if (take_freeze(taking, err) < 0 || hold_sources(taking, err) < 0)
		return -1;
	return take_copies(taking, err);
}

void target_set_quiesce(struct target *target, const struct target_quiesce *quiesce)
{
	target->quiesce = *quiesce;
}

int target_snapshot_take(struct target *target, const struct target_snapshot_request *request,
			 struct volume_list *ret, struct err *err)
{
	struct volume_list list = { 0 };
	struct taking *taking;
	int r;

	if (check_request(request, err) < 0)
		return -1;
	taking = xcalloc(1, sizeof(*taking));
	taking->target = target;
	taking->request = request;
	r = take(taking, err);
	if (r == 0) {
		list.volumes = xcalloc(request->count, sizeof(*list.volumes));
		for (; list.count < request->count; list.count++)
			list.volumes[list.count] =
				volume_copy(&taking->entries[list.count]->volume);
		*ret = list;
	}
	taking_fini(taking);
	free(taking);
	return r;
}

/* --- looking up ------------------------------------------------------------------------------- */

int target_snapshot_get(struct target *target, const char *uuid, const char *pool,
			struct volume *ret, struct err *err)
{
	const struct target_entry *entry;
	struct target_entry absent = { 0 };
	struct uuid key;
	int r;

	if (parse_uuid("snapshot", uuid, &key, err) < 0)
		return -1;
	absent.uuid = key;
	pthread_mutex_lock(&target->lock);
	entry = target_entry_find(target, &key);
	if (entry && entry->quarantined)
		r = target_quarantined(entry, err);
	else
		r = target_expect_snapshot(target, entry ?: &absent, pool, err);
	if (r == 0)
		*ret = volume_copy(&entry->volume);
	pthread_mutex_unlock(&target->lock);
	return r;
}

static bool is_wanted(const struct target_entry *entry, const struct uuid *volume,
		      const struct uuid *group)
{
	return entry->present && entry->volume.state == VOLUME_READY &&
	       volume_is_snapshot(&entry->volume) &&
	       (!volume->text[0] || strcmp(entry->volume.source.text, volume->text) == 0) &&
	       (!group->text[0] || strcmp(entry->volume.snapshot.group.text, group->text) == 0);
}

int target_snapshot_list(struct target *target, const struct target_snapshot_query *query,
			 struct volume_list *ret, bool *ret_more, struct err *err)
{
	struct uuid after = { 0 }, volume = { 0 }, group = { 0 };
	struct volume_list list = { 0 };
	bool more = false;
	size_t at;

	if ((query->after[0] && parse_uuid("start_after", query->after, &after, err) < 0) ||
	    (query->volume[0] && parse_uuid("volume_uuid", query->volume, &volume, err) < 0) ||
	    (query->group[0] && parse_uuid("group_uuid", query->group, &group, err) < 0))
		return -1;
	list.volumes = xcalloc(query->max, sizeof(*list.volumes));
	pthread_mutex_lock(&target->lock);
	if (index_find(&target->entries, after.text, &at))
		at++;
	for (; at < target->entries.count && !more; at++) {
		const struct target_entry *entry = target_entry_at(target, at);

		if (!is_wanted(entry, &volume, &group))
			continue;
		more = list.count == query->max;
		if (!more)
			list.volumes[list.count++] = volume_copy(&entry->volume);
	}
	pthread_mutex_unlock(&target->lock);
	*ret = list;
	*ret_more = more;
	return 0;
}
