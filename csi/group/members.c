/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the snapshots of a group. */
#include "csi/group/members.h"

#include <stdlib.h>
#include <string.h>

void members_fini(struct members *members)
{
	free(members->list);
	*members = (struct members) { 0 };
}

static void add(const struct agent_snapshot *snapshot, void *context)
{
	struct members *members = context;

	if (members->count == members->room) {
		size_t room = members->room ? 2 * members->room : 16;
		struct agent_snapshot *list = xcalloc(room, sizeof(*list));

		if (members->count)
			memcpy(list, members->list, members->count * sizeof(*list));
		free(members->list);
		members->list = list;
		members->room = room;
	}
	members->list[members->count++] = *snapshot;
}

static struct agent_ask *ask(struct agent *target, const struct uuid *group, const char *after,
			     size_t max, struct deadline deadline)
{
	struct agent_snapshot_query query = {
		.start_after = after, .max = max, .volume = "", .group = group->text
	};

	return agent_snapshot_list_begin(target, &query, deadline);
}

int members_find(struct agent *target, const struct uuid *group, struct deadline deadline,
		 struct members *ret, struct err *err)
{
	struct members found cleanup_members = { 0 };
	struct uuid after = { 0 };
	bool more = true;

	while (more) {
		if (agent_snapshot_list_finish(ask(target, group, after.text, 0, deadline), add,
					       &found, &more, err) < 0)
			return -1;
		if (more && (!found.count ||
			     strcmp(found.list[found.count - 1].id.uuid.text, after.text) <= 0))
			return err_set(err, ERR_INTERNAL,
				       "target %s: its list does not go on after \"%s\"",
				       agent_name(target), after.text);
		if (more)
			after = found.list[found.count - 1].id.uuid;
	}
	*ret = found;
	found = (struct members) { 0 };
	return 0;
}

int members_elsewhere(const struct controller *controller, const struct agent *home,
		      const struct uuid *group, struct deadline deadline, struct agent **ret_other)
{
	cleanup_free struct agent_ask **asked = xcalloc(controller->target_count, sizeof(*asked));
	struct deadline share = controller_share(deadline);
	int found = 0;

	for (size_t i = 0; i < controller->target_count; i++)
		if (controller->targets[i] != home)
			asked[i] = ask(controller->targets[i], group, "", 1, share);
	for (size_t i = 0; i < controller->target_count; i++) {
		struct members members cleanup_members = { 0 };
		struct err ignored;
		bool more;

		if (!asked[i] ||
		    agent_snapshot_list_finish(asked[i], add, &members, &more, &ignored) < 0 ||
		    !members.count)
			continue;
		*ret_other = controller->targets[i];
		found = 1;
	}
	return found;
}

const struct agent_snapshot *members_of_volume(const struct members *members,
					       const struct uuid *volume)
{
	for (size_t i = 0; i < members->count; i++)
		if (strcmp(members->list[i].volume.text, volume->text) == 0)
			return &members->list[i];
	return NULL;
}

const struct agent_snapshot *members_of_uuid(const struct members *members, const struct uuid *uuid)
{
	for (size_t i = 0; i < members->count; i++)
		if (strcmp(members->list[i].id.uuid.text, uuid->text) == 0)
			return &members->list[i];
	return NULL;
}
