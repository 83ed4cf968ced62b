/* SPDX-License-Identifier: Apache-2.0 */
/* The target's settings as text: how far pools are overcommitted, and where the target stands. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nvme/target/target_table.h"

#define RATIO_MAX 100

/* --- overcommit ------------------------------------------------------------------------------- */

/* A plain decimal number: neither sign, nor exponent, nor what else strtod knows. */
static int parse_ratio(const char *item, const char *text, double *ret, struct err *err)
{
	size_t digits = strspn(text, "0123456789"), all = strspn(text, "0123456789.");
	double ratio = strtod(text, NULL);

	if (!digits || text[all] || strchr(text, '.') != strrchr(text, '.') || all > 16 ||
	    ratio < 1 || ratio > RATIO_MAX)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "overcommit \"%.64s\": \"%.32s\" is not a number from 1 to %d, like "
			       "1.5",
			       item, text, RATIO_MAX);
	*ret = ratio;
	return 0;
}

/* What stands before the first '='; owned. */
static int split(const char *what, const char *item, char **ret_key, const char **ret_value,
		 struct err *err)
{
	const char *equals = strchr(item, '=');

	if (!equals || equals == item)
		return err_set(err, ERR_INVALID_ARGUMENT, "%s \"%.200s\" is not of the form %s",
			       what, item, what[0] == 'o' ? "POOL=RATIO" : "KEY=VALUE");
	*ret_key = xasprintf("%.*s", (int)(equals - item), item);
	*ret_value = equals + 1;
	return 0;
}

/* CSI compares the keys of a topology without regard to case; pools have no capitals. */
static bool is_repeated(const char *const *items, size_t at, size_t key_len)
{
	for (size_t i = 0; i < at; i++)
		if (strncasecmp(items[i], items[at], key_len + 1) == 0)
			return true;
	return false;
}

int target_config_overcommit(struct target *target, const struct target_config *config,
			     struct err *err)
{
	for (size_t i = 0; i < config->overcommit_count; i++) {
		const char *item = config->overcommit[i], *value;
		cleanup_free char *name = NULL;
		struct pool *pool;

		if (split("overcommit", item, &name, &value, err) < 0)
			return -1;
		pool = target_pool_find(target, name);
		if (!pool)
			return err_set(err, ERR_INVALID_ARGUMENT,
				       "overcommit \"%.64s\": there is no pool \"%.64s\"", item,
				       name);
		if (is_repeated(config->overcommit, i, strlen(name)))
			return err_set(err, ERR_INVALID_ARGUMENT,
				       "overcommit of pool %s is given twice", name);
		if (parse_ratio(item, value, &pool->overcommit, err) < 0)
			return -1;
	}
	return 0;
}

/* --- topology --------------------------------------------------------------------------------- */

int target_config_topology(struct target *target, const struct target_config *config,
			   struct err *err)
{
	if (config->topology_count > TARGET_TOPOLOGY_MAX)
		return err_set(err, ERR_INVALID_ARGUMENT, "%zu topology labels are more than %d",
			       config->topology_count, TARGET_TOPOLOGY_MAX);
	target->topology = xcalloc(config->topology_count, sizeof(*target->topology));
	for (size_t i = 0; i < config->topology_count; i++) {
		const char *item = config->topology[i], *value;
		struct target_label *label = &target->topology[i];
		cleanup_free char *key = NULL;
		char what[512];

		snprintf(what, sizeof(what), "topology \"%.400s\"", item);
		if (split("topology", item, &key, &value, err) < 0 ||
		    parse_label(what, key, value, err) < 0)
			return -1;
		if (is_repeated(config->topology, i, strlen(key)))
			return err_set(err, ERR_INVALID_ARGUMENT, "topology key %s is given twice",
				       key);
		strcpy(label->key, key);
		strcpy(label->value, value);
		target->topology_count++;
	}
	return 0;
}
