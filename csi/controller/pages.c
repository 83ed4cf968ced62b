/* SPDX-License-Identifier: Apache-2.0 */
/* Walking over the volumes of all targets. */
#include "csi/controller/pages.h"

#include <stdlib.h>
#include <string.h>

/* An answer stays below the 4 MiB that clients of gRPC take, its last entry included. */
#define PAGE_MAX 1000
/* Looking at a volume's health costs its target some disk, and many have nothing to show. */
#define ASK_MAX_CONDITIONS 250
#define PAGE_MAX_CONDITIONS 1000

/* What one target was asked. */
struct asked {
	struct agent_ask *list;
	struct agent_ask *info;
};

struct walk {
	struct rpc_call *call;
	const struct controller *controller;
	const struct pages_query *query;
	struct deadline deadline;
	size_t max;	     /* entries */
	size_t max_visits;   /* volumes, whether they become entries or not */
	size_t first;	     /* target of this page, */
	struct uuid start;   /* and after which of its volumes it begins */
	struct asked *asked; /* of each target */
	size_t asked_count;  /* the targets below it have been asked, or are not of this page */
	struct map topology; /* of the target that is being walked over, */
	struct uuid after;   /* and up to where that has come */
	bool stuck;	     /* but it goes back */
	void **entries;	     /* in the call's arena */
	size_t entry_count, entry_room;
	size_t bytes, visits;
	bool skipped;	       /* the page was full before the agent's answer was at its end */
	struct volume_id last; /* visited, if any was */
};

static void walk_fini(struct walk *walk)
{
	for (size_t i = 0; i < walk->controller->target_count; i++) {
		if (walk->asked[i].list)
			agent_ask_cancel(walk->asked[i].list);
		if (walk->asked[i].info)
			agent_ask_cancel(walk->asked[i].info);
	}
	free(walk->asked);
}

/* Where a token says to go on: the index of the target, and the UUID there. */
static int parse_token(const struct controller *controller, const char *token, size_t *ret_target,
		       struct uuid *ret_after, struct err *err)
{
	struct volume_id id;

	*ret_target = 0;
	*ret_after = (struct uuid) { 0 };
	if (!*token)
		return 0;
	if (volume_id_parse(token, &id)) {
		for (size_t i = 0; i < controller->target_count; i++) {
			if (strcmp(agent_name(controller->targets[i]), id.target) == 0) {
				*ret_target = i;
				*ret_after = id.uuid;
				return 0;
			}
		}
	}
	return err_set(err, ERR_ABORTED,
		       "starting_token \"%.128s\" is none of this controller; list from the start",
		       token);
}

static bool is_full(const struct walk *walk)
{
	return walk->entry_count == walk->max || walk->visits == walk->max_visits ||
	       walk->bytes >= RPC_PAGE_BYTES;
}

static size_t at_most(size_t a, size_t b)
{
	return a < b ? a : b;
}

static struct agent_ask *ask_list(const struct walk *walk, size_t target, const char *after)
{
	struct agent_list_query query = { .start_after = after,
					  .conditions = walk->query->conditions,
					  .max = walk->query->conditions ?
							 at_most(ASK_MAX_CONDITIONS,
								 walk->max_visits - walk->visits) :
							 walk->max - walk->entry_count };

	return agent_list_begin(walk->controller->targets[target], &query,
				controller_share(walk->deadline));
}

/*
 * Asks a target for its first volumes, and as many after it as came before it: few round trips, and
 * at most about as many answers in vain as there were of use.
 */
static void ask_ahead(struct walk *walk, size_t target)
{
	size_t end = target + (target - walk->first) + 1;

	for (; walk->asked_count < end && walk->asked_count < walk->controller->target_count;
	     walk->asked_count++) {
		size_t i = walk->asked_count;

		walk->asked[i].list = ask_list(walk, i, i == walk->first ? walk->start.text : "");
		if (walk->query->topology)
			walk->asked[i].info = agent_info_begin(walk->controller->targets[i],
							       controller_share(walk->deadline));
	}
}

static void add_entry(struct walk *walk, ProtobufCMessage *entry)
{
	if (walk->entry_count == walk->entry_room) {
		size_t room = walk->entry_room ? 2 * walk->entry_room : 64;
		void **entries = rpc_alloc(walk->call, room * sizeof(*entries));

		if (walk->entry_count)
			memcpy(entries, walk->entries, walk->entry_count * sizeof(*entries));
		walk->entries = entries;
		walk->entry_room = room;
	}
	walk->entries[walk->entry_count++] = entry;
	walk->bytes += protobuf_c_message_get_packed_size(entry);
}

static void visit(const struct agent_volume *volume, void *context)
{
	struct walk *walk = context;
	ProtobufCMessage *entry;

	if (is_full(walk)) {
		walk->skipped = true;
		return;
	}
	walk->stuck = walk->stuck || strcmp(volume->id.uuid.text, walk->after.text) <= 0;
	walk->after = volume->id.uuid;
	entry = walk->query->make(walk->call, volume, walk->topology);
	if (entry)
		add_entry(walk, entry);
	walk->visits++;
	walk->last = volume->id;
}

/* Takes the next answer of a target. An agent whose list does not go on would be asked for ever. */
static int walk_answer(struct walk *walk, size_t target, bool *ret_more, struct err *err)
{
	struct uuid before = walk->after;

	if (agent_list_finish(steal_ptr(&walk->asked[target].list), visit, walk, ret_more, err) < 0)
		return -1;
	if (walk->stuck || (*ret_more && strcmp(before.text, walk->after.text) == 0))
		return err_set(err, ERR_INTERNAL,
			       "target %s: its list does not go on after volume \"%s\"",
			       agent_name(walk->controller->targets[target]), before.text);
	return 0;
}

/* ret_more: the target has more than the page took. */
static int walk_target(struct walk *walk, size_t target, bool *ret_more, struct err *err)
{
	struct agent_info info cleanup_agent_info = { 0 };
	bool more = true;

	if (walk->asked[target].info &&
	    agent_info_finish(steal_ptr(&walk->asked[target].info), &info, err) < 0)
		return -1;
	walk->topology = info.topology;
	walk->after = target == walk->first ? walk->start : (struct uuid) { 0 };
	for (;;) {
		if (walk_answer(walk, target, &more, err) < 0)
			return -1;
		if (!more || is_full(walk))
			break;
		walk->asked[target].list = ask_list(walk, target, walk->after.text);
	}
	*ret_more = more || walk->skipped;
	return 0;
}

int pages_walk(struct rpc_call *call, const struct pages_query *query, struct page *ret,
	       struct err *err)
{
	const struct controller *controller = call->context;
	struct walk walk CLEANUP(walk_fini) = {
		.call = call,
		.controller = controller,
		.query = query,
		.deadline = controller_deadline(call),
		.max = query->max_entries > 0 ? at_most((size_t)query->max_entries, PAGE_MAX) :
						PAGE_MAX,
		.max_visits = query->conditions ? PAGE_MAX_CONDITIONS : SIZE_MAX,
		.asked = xcalloc(controller->target_count, sizeof(*walk.asked)),
	};
	bool more = false;
	size_t i;

	if (query->max_entries < 0)
		return err_set(err, ERR_INVALID_ARGUMENT, "max_entries %d is negative",
			       query->max_entries);
	if (parse_token(controller, query->starting_token, &walk.first, &walk.start, err) < 0)
		return -1;
	walk.asked_count = walk.first;
	for (i = walk.first; i < controller->target_count && !is_full(&walk); i++) {
		ask_ahead(&walk, i);
		if (walk_target(&walk, i, &more, err) < 0)
			return -1;
	}
	*ret = (struct page) { .entries = walk.entries,
			       .count = walk.entry_count,
			       .next_token = rpc_alloc(call, VOLUME_ID_SIZE) };
	/* Whether a later target has volumes is not known yet: its page may turn out empty. */
	if (walk.visits && (more || i < controller->target_count))
		volume_id_format(&walk.last, ret->next_token);
	return 0;
}
