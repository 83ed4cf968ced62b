/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing a target for a new volume. */
#include "csi/controller/placement.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "csi/request/topology.h"
#include "nvme/base/hash.h"
#include "nvme/base/log.h"
#include "nvme/base/strb.h"

/* Of the targets that could not be asked so many are named, with so much of their reasons. */
#define NAMED_MAX 3
#define NAMED_BYTES 180

struct candidate {
	struct survey_entry *entry;
	int rank; /* of its topology: less is better */
	uint64_t room_bytes;
	bool roomy; /* its room is that of the roomiest of its rank, or nearly so */
	uint64_t lot;
};

/* Why the targets that are no candidates are none. */
struct rejects {
	size_t meant;	  /* not ruled out by name */
	size_t elsewhere; /* by topology */
	size_t full;
	const struct survey_entry *least_full;
	uint64_t least_full_bytes;
};

static uint64_t lot_of(const struct uuid *uuid, const struct agent *target)
{
	return hash_add(hash_add(HASH_BEGIN, uuid->text), agent_name(target));
}

static bool is_meant(const struct survey_entry *entry, const struct placement_wish *wish)
{
	return !*wish->target || strcmp(wish->target, agent_name(entry->target)) == 0;
}

/* Why the target could not be asked; NULL: it answered. */
static const struct err *silence_of(const struct survey_entry *entry)
{
	if (entry->found < 0)
		return &entry->find_err;
	return entry->known ? NULL : &entry->info_err;
}

/* Whether the target can take the volume; if not it is counted among the rejects. */
static bool consider(struct survey_entry *entry, const struct placement_wish *wish,
		     struct rejects *rejects, struct candidate *ret)
{
	const struct err *silence = silence_of(entry);
	struct agent_room room;
	int rank;

	if (!is_meant(entry, wish))
		return false;
	rejects->meant++;
	if (silence) {
		log_warning("target passed over", KV("target", agent_name(entry->target)),
			    KV_ERR(silence));
		return false;
	}
	rank = topology_rank(wish->topology, entry->info.topology);
	if (!agent_info_room(&entry->info, wish->pool, &room))
		return false;
	if (rank < 0) {
		rejects->elsewhere++;
		return false;
	}
	if (room.maximum_bytes < wish->size_bytes) {
		if (!rejects->full++ || room.maximum_bytes > rejects->least_full_bytes) {
			rejects->least_full = entry;
			rejects->least_full_bytes = room.maximum_bytes;
		}
		return false;
	}
	*ret = (struct candidate) { .entry = entry,
				    .rank = rank,
				    .room_bytes = room.maximum_bytes,
				    .lot = lot_of(&wish->uuid, entry->target) };
	return true;
}

int placement_blame(const struct survey *survey, const struct placement_wish *wish, struct err *err)
{
	char names[(NAMED_MAX + 1) * (NAMED_BYTES + 32)];
	struct strb list = strb_over(names, sizeof(names));
	size_t meant = 0, silent = 0;

	for (size_t i = 0; i < survey->count; i++) {
		const struct err *silence = silence_of(&survey->entries[i]);

		if (!is_meant(&survey->entries[i], wish))
			continue;
		meant++;
		if (silence && silent++ < NAMED_MAX)
			strb_addf(&list, "%s%.*s", list.len ? "; " : "", NAMED_BYTES, silence->msg);
	}
	if (!silent)
		return -1;
	if (silent > NAMED_MAX)
		strb_addf(&list, "; and %zu more", silent - NAMED_MAX);
	if (silent < meant)
		strb_addf(&list, "; of those that answer: %.*s", NAMED_BYTES, err->msg);
	return err_set(err, ERR_UNAVAILABLE, "no target can take volume \"%s\": %s", wish->name,
		       names);
}

/* Why none of the targets that answer can take the volume. */
static int refuse(const struct placement_wish *wish, const struct rejects *rejects, struct err *err)
{
	if (rejects->full)
		return err_set(err, ERR_RESOURCE_EXHAUSTED,
			       "no target has room for the %" PRIu64
			       " bytes of volume \"%s\": the largest that would fit has %" PRIu64
			       ", on target %s",
			       wish->size_bytes, wish->name, rejects->least_full_bytes,
			       agent_name(rejects->least_full->target));
	if (rejects->elsewhere)
		return err_set(err, ERR_RESOURCE_EXHAUSTED,
			       "accessibility_requirements of volume \"%s\": no target can be "
			       "reached from any of the requisite topologies",
			       wish->name);
	if (*wish->target)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "parameter pool: target %s has no pool \"%s\"", wish->target,
			       wish->pool);
	return err_set(err, ERR_INVALID_ARGUMENT, "parameter pool: no target has pool \"%s\"",
		       wish->pool);
}

/* By rank; then those with nearly most room, by lot; then the others by their room. */
static int compare(const void *left, const void *right)
{
	const struct candidate *a = left, *b = right;

	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	if (a->roomy != b->roomy)
		return a->roomy ? -1 : 1;
	if (!a->roomy && a->room_bytes != b->room_bytes)
		return a->room_bytes > b->room_bytes ? -1 : 1;
	return a->lot < b->lot ? -1 : a->lot > b->lot;
}

static void mark_roomy(struct candidate *candidates, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t most = 0;

		for (size_t j = 0; j < count; j++)
			if (candidates[j].rank == candidates[i].rank &&
			    candidates[j].room_bytes > most)
				most = candidates[j].room_bytes;
		candidates[i].roomy = candidates[i].room_bytes >= most - most / 8;
	}
}

int placement_choose(const struct survey *survey, const struct placement_wish *wish,
		     struct placement *ret, struct err *err)
{
	cleanup_free struct candidate *candidates = xcalloc(survey->count, sizeof(*candidates));
	struct rejects rejects = { 0 };
	size_t count = 0;

	for (size_t i = 0; i < survey->count; i++)
		if (consider(&survey->entries[i], wish, &rejects, &candidates[count]))
			count++;
	if (!survey->count)
		return err_set(err, ERR_FAILED_PRECONDITION, "this controller has no targets");
	if (!rejects.meant)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "parameter target \"%s\" names no target of this controller",
			       wish->target);
	if (!count) {
		refuse(wish, &rejects, err);
		return placement_blame(survey, wish, err);
	}
	mark_roomy(candidates, count);
	qsort(candidates, count, sizeof(*candidates), compare);
	for (size_t i = 0; i < count; i++)
		ret->places[i] = candidates[i].entry;
	ret->count = count;
	return 0;
}
