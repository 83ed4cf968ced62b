/* SPDX-License-Identifier: Apache-2.0 */
/* Walking over what all targets have. */
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
	struct uuid start;   /* and after which of its volumes it begins; */
	size_t end;	     /* the targets from here on are not of the list */
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

/* The number of targets when there is none of that name. */
static size_t index_of(const struct controller *controller, const char *name)
{
	size_t i = 0;

	while (i < controller->target_count &&
	       strcmp(agent_name(controller->targets[i]), name) != 0)
		i++;
	return i;
}

static int raise_token(const struct pages_query *query, struct err *err)
{
	return err_set(err, ERR_ABORTED,
		       "starting_token \"%.128s\" is none of this controller, or of another list; "
		       "list from the start",
		       query->starting_token);
}

/* Where a token says to go on: the index of the target, and the UUID there. */
static int parse_token(const struct controller *controller, const struct pages_query *query,
		       size_t *ret_target, struct uuid *ret_after, struct err *err)
{
	const char *token = query->starting_token;
	struct volume_id id;
	size_t target;

	if (!*token) {
		*ret_target = 0;
		*ret_after = (struct uuid) { 0 };
		return 0;
	}
	if (query->make_snapshot ? snapshot_id_parse(token, &id) : volume_id_parse(token, &id)) {
		target = index_of(controller, id.target);
		if (target < controller->target_count) {
			*ret_target = target;
			*ret_after = id.uuid;
			return 0;
		}
	}
	return raise_token(query, err);
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

static struct agent_ask *ask_snapshots(const struct walk *walk, size_t target, const char *after)
{
	const struct volume_id *of = walk->query->of_volume;
	struct agent_snapshot_query query = { .start_after = after,
					      .max = walk->max - walk->entry_count,
					      .volume = of ? of->uuid.text : "",
					      .group = "" };

	return agent_snapshot_list_begin(walk->controller->targets[target], &query,
					 controller_share(walk->deadline));
}

static struct agent_ask *ask_list(const struct walk *walk, size_t target, const char *after)
{
	struct agent_list_query query = { .start_after = after,
					  .conditions = walk->query->conditions,
					  .max = walk->query->conditions ?
							 at_most(ASK_MAX_CONDITIONS,
								 walk->max_visits - walk->visits) :
							 walk->max - walk->entry_count };

	if (walk->query->make_snapshot)
		return ask_snapshots(walk, target, after);
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

	for (; walk->asked_count < end && walk->asked_count < walk->end; walk->asked_count++) {
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

/* False: the page has no room for it, and it is for the next one. */
static bool visit(struct walk *walk, const struct volume_id *id)
{
	if (is_full(walk)) {
		walk->skipped = true;
		return false;
	}
	walk->stuck = walk->stuck || strcmp(id->uuid.text, walk->after.text) <= 0;
	walk->after = id->uuid;
	walk->visits++;
	walk->last = *id;
	return true;
}

static void visit_volume(const struct agent_volume *volume, void *context)
{
	struct walk *walk = context;
	ProtobufCMessage *entry;

	if (!visit(walk, &volume->id))
		return;
	entry = walk->query->make(walk->call, volume, walk->topology);
	if (entry)
		add_entry(walk, entry);
}

static void visit_snapshot(const struct agent_snapshot *snapshot, void *context)
{
	struct walk *walk = context;
	const struct volume_id *of = walk->query->of_volume;

	/* The ID of a volume says its pool, too. */
	if (visit(walk, &snapshot->id) && (!of || strcmp(of->pool, snapshot->id.pool) == 0))
		add_entry(walk, walk->query->make_snapshot(walk->call, snapshot, walk->topology));
}

static int finish_list(struct walk *walk, size_t target, bool *ret_more, struct err *err)
{
	struct agent_ask *asked = steal_ptr(&walk->asked[target].list);

	if (walk->query->make_snapshot)
		return agent_snapshot_list_finish(asked, visit_snapshot, walk, ret_more, err);
	return agent_list_finish(asked, visit_volume, walk, ret_more, err);
}

/* Takes the next answer of a target. An agent whose list does not go on would be asked for ever. */
static int walk_answer(struct walk *walk, size_t target, bool *ret_more, struct err *err)
{
	struct uuid before = walk->after;

	if (finish_list(walk, target, ret_more, err) < 0)
		return -1;
	if (walk->stuck || (*ret_more && strcmp(before.text, walk->after.text) == 0))
		return err_set(err, ERR_INTERNAL, "target %s: its list does not go on after \"%s\"",
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

/* Checks the query, and says where the walk begins and ends. */
static int walk_begin(struct walk *walk, struct err *err)
{
	const struct controller *controller = walk->controller;
	const struct pages_query *query = walk->query;

	walk->end = controller->target_count;
	if (query->max_entries < 0)
		return err_set(err, ERR_INVALID_ARGUMENT, "max_entries %d is negative",
			       query->max_entries);
	if (parse_token(controller, query, &walk->first, &walk->start, err) < 0)
		return -1;
	if (query->of_volume) {
		size_t only = index_of(controller, query->of_volume->target);

		/* Of another list: from there on this one would lack entries. */
		if (*query->starting_token && walk->first != only)
			return raise_token(query, err);
		walk->first = only;
		walk->end = only < walk->end ? only + 1 : walk->end;
	}
	walk->asked_count = walk->first;
	return 0;
}

int pages_check(const struct controller *controller, const struct pages_query *query,
		struct err *err)
{
	struct walk ignored = { .controller = controller, .query = query };

	return walk_begin(&ignored, err);
}

static char *next_token(struct rpc_call *call, const struct walk *walk, bool more)
{
	char *token = rpc_alloc(call, VOLUME_ID_SIZE);

	if (!walk->visits || !more)
		return token;
	if (walk->query->make_snapshot)
		snapshot_id_format(&walk->last, token);
	else
		volume_id_format(&walk->last, token);
	return token;
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

	if (walk_begin(&walk, err) < 0)
		return -1;
	for (i = walk.first; i < walk.end && !is_full(&walk); i++) {
		ask_ahead(&walk, i);
		if (walk_target(&walk, i, &more, err) < 0)
			return -1;
	}
	/* Whether a later target has any is not known yet: its page may turn out empty. */
	*ret = (struct page) { .entries = walk.entries,
			       .count = walk.entry_count,
			       .next_token = next_token(call, &walk, more || i < walk.end) };
	return 0;
}
