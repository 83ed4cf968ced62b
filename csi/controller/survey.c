/* SPDX-License-Identifier: Apache-2.0 */
/* Asking all targets at once. */
#include "csi/controller/survey.h"

#include <stdlib.h>
#include <string.h>

struct questions {
	struct agent_ask *find;
	struct agent_ask *info;
};

static void finish(struct survey_entry *entry, struct questions *asked)
{
	if (asked->find)
		entry->found = agent_find_finish(asked->find, &entry->volume, &entry->find_err);
	entry->known = agent_info_finish(asked->info, &entry->info, &entry->info_err) == 0;
}

void survey_take(const struct controller *controller, const char *only, const struct uuid *uuid,
		 struct deadline deadline, struct survey *ret)
{
	struct deadline share = controller_share(deadline);
	struct agent_find_query query = { .uuid = uuid, .pool = "" };
	cleanup_free struct questions *asked = xcalloc(controller->target_count, sizeof(*asked));

	ret->entries = xcalloc(controller->target_count, sizeof(*ret->entries));
	ret->count = 0;
	for (size_t i = 0; i < controller->target_count; i++) {
		struct agent *target = controller->targets[i];

		if (*only && strcmp(only, agent_name(target)) != 0)
			continue;
		if (uuid)
			asked[ret->count].find = agent_find_begin(target, &query, share);
		asked[ret->count].info = agent_info_begin(target, share);
		ret->entries[ret->count++].target = target;
	}
	for (size_t i = 0; i < ret->count; i++)
		finish(&ret->entries[i], &asked[i]);
}

void survey_fini(struct survey *survey)
{
	for (size_t i = 0; i < survey->count; i++) {
		agent_volume_fini(&survey->entries[i].volume);
		agent_info_fini(&survey->entries[i].info);
	}
	free(survey->entries);
	*survey = (struct survey) { 0 };
}
