/* SPDX-License-Identifier: Apache-2.0 */
/* lvm2's commands and their JSON reports (lvmreport(7)). */
#include "nvme/target/lvm.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nvme/base/proc.h"
#include "nvme/base/strb.h"

#define COMMAND_MS 60000
#define ARGS_MAX 24
#define SELECTION_SIZE 512
#define UUID_LETTERS "0123456789abcdef-" /* none means anything in a regular expression */
#define LETTERS "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+_.-"

/* Without udev nobody else would make the nodes; with it, it has nothing to do with ours. */
#define CONFIG "activation{udev_sync=0 udev_rules=0}"

static inline void json_putp(json_object **object)
{
	json_object_put(*object);
}
#define cleanup_json CLEANUP(json_putp)

/* Arguments of one command, borrowed. */
struct args {
	const char *list[ARGS_MAX];
	size_t count;
};

static struct args args_new(const char *command)
{
	return (struct args) { { "lvm", command, "--config", CONFIG }, 4 };
}

/* The list stays terminated: no command here comes near the limit. */
static void add(struct args *args, const char *text)
{
	if (args->count < ARGS_MAX - 1)
		args->list[args->count++] = text;
}

static void add2(struct args *args, const char *option, const char *value)
{
	add(args, option);
	add(args, value);
}

static void one_line(char *text)
{
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
}

/* What lvm2 keeps of a volume group has no room for one more. */
static bool is_group_full(const struct proc_result *result)
{
	return strstr(result->err, "exceeds maximum metadata size") ||
	       strstr(result->err, "too large for circular buffer");
}

static enum err_code judge(const struct proc_result *result)
{
	if (result->term_signal)
		return ERR_DEADLINE_EXCEEDED;
	return strstr(result->err, "above threshold") || is_group_full(result) ?
		       ERR_RESOURCE_EXHAUSTED :
		       ERR_INTERNAL;
}

/* Runs it and expects success; what is what it was to do. The result is owned. */
static int run(const struct args *args, const char *what, struct proc_result **ret, struct err *err)
{
	cleanup_free struct proc_result *result = xcalloc(1, sizeof(*result));

	if (proc_run(args->list, deadline_after_ms(COMMAND_MS), result, err) < 0)
		return err_wrap(err, "%s", what);
	if (result->exit_code != 0) {
		one_line(result->err);
		return err_set(err, judge(result), "%s: lvm %s failed with status %d: %.600s%s",
			       what, args->list[1], result->exit_code, result->err,
			       is_group_full(result) ? "; delete some snapshots, or see "
						       "--metadatasize in pvcreate(8)" :
						       "");
	}
	if (ret)
		*ret = steal_ptr(&result);
	return 0;
}

static void full_name(const struct lvm *lvm, const char *name, char out[2 * LVM_NAME_SIZE])
{
	snprintf(out, 2 * LVM_NAME_SIZE, "%s/%s", lvm->group, name);
}

/* --- suspended devices ------------------------------------------------------------------------ */

/* Hyphens of the two names are doubled, so that the one between them stands out. */
static void add_mangled(struct strb *out, const char *name)
{
	for (; *name; name++) {
		strb_addc(out, *name);
		if (*name == '-')
			strb_addc(out, '-');
	}
}

bool lvm_dm_name(const struct lvm *lvm, const char *name, const char *suffix,
		 char out[DM_NAME_SIZE])
{
	struct strb text = strb_over(out, DM_NAME_SIZE);

	add_mangled(&text, lvm->group);
	strb_addc(&text, '-');
	add_mangled(&text, name);
	strb_add(&text, suffix);
	return !text.overflow;
}

static bool is_pool(const struct lvm *lvm, const char *device, const char *suffix)
{
	char name[DM_NAME_SIZE];

	return lvm_dm_name(lvm, lvm->pool, suffix, name) && strcmp(device, name) == 0;
}

/* The name behind that of a device, if it is one of ours. */
static bool unmangle(const struct lvm *lvm, const char *device, char out[LVM_NAME_SIZE])
{
	char group[DM_NAME_SIZE], ours[DM_NAME_SIZE];
	struct strb text = strb_over(out, LVM_NAME_SIZE);

	if (!lvm_dm_name(lvm, "", "", group) || !lvm_dm_name(lvm, LVM_PREFIX, "", ours) ||
	    strncmp(device, ours, strlen(ours)) != 0)
		return false;
	for (const char *p = device + strlen(group); *p; p++) {
		strb_addc(&text, *p);
		if (p[0] == '-' && p[1] == '-')
			p++;
	}
	return !text.overflow;
}

static int refresh(const struct lvm *lvm, const char *name, struct err *err)
{
	struct args args = args_new("lvchange");
	char full[2 * LVM_NAME_SIZE];

	full_name(lvm, name, full);
	add(&args, "--refresh");
	add(&args, full);
	return run(&args, "refresh a thin volume", NULL, err);
}

/* Those of the whole group: names are ours or not. */
static int list_suspended(const struct lvm *lvm, struct root_names *ret, struct err *err)
{
	char prefix[DM_NAME_SIZE];

	if (!lvm_dm_name(lvm, "", "", prefix))
		return err_set(err, ERR_INVALID_ARGUMENT, "the name of volume group %s is too long",
			       lvm->group);
	return dm_list_suspended(prefix, ret, err);
}

/* What is suspended of ours, by names of devices. */
struct suspended {
	char stuck[DM_NAME_SIZE]; /* one of them; "": there is none */
	bool pool;		  /* the pool itself */
	bool below;		  /* what lvm2 makes the pool of */
	struct root_names volumes;
};

static void suspended_fini(struct suspended *suspended)
{
	root_names_fini(&suspended->volumes);
}

static int find_suspended(const struct lvm *lvm, struct suspended *ret, struct err *err)
{
	cleanup_root_names struct root_names names = { 0 };

	if (list_suspended(lvm, &names, err) < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++) {
		const char *device = names.names[i];
		char name[LVM_NAME_SIZE];

		if (is_pool(lvm, device, "") || is_pool(lvm, device, "-tpool")) {
			ret->pool = true;
		} else if (is_pool(lvm, device, "_tdata") || is_pool(lvm, device, "_tmeta")) {
			ret->below = true;
		} else if (unmangle(lvm, device, name)) {
			root_names_add(&ret->volumes, name);
		} else {
			continue;
		}
		snprintf(ret->stuck, sizeof(ret->stuck), "%s", device);
	}
	return 0;
}

/*
 * Lets lvm2 resume what a killed command has left suspended: it knows the right tables. Its lock
 * makes that wait for a command that is still at work. First the pool, which the others lie on. It
 * suspends what is below the pool after that and resumes it before that; with the pool running over
 * suspended devices, which is not its doing, it would hang.
 */
static int resume(const struct lvm *lvm, struct err *err)
{
	CLEANUP(suspended_fini) struct suspended before = { 0 }, after = { 0 };
	struct err failure = ERR_INIT;

	if (find_suspended(lvm, &before, err) < 0)
		return -1;
	if (!before.stuck[0])
		return 0;
	if (before.pool)
		refresh(lvm, lvm->pool, &failure);
	for (size_t i = 0; i < before.volumes.count && (before.pool || !before.below); i++)
		refresh(lvm, before.volumes.names[i], &failure);
	if (find_suspended(lvm, &after, err) < 0)
		return -1;
	if (!after.stuck[0])
		return 0;
	return err_set(err, ERR_UNAVAILABLE,
		       "device /dev/mapper/%s is suspended, so that I/O hangs, and stays so: "
		       "dmsetup resume %s%s%s",
		       after.stuck, after.stuck, failure.msg[0] ? "; " : "", failure.msg);
}

/* --- one by one ------------------------------------------------------------------------------- */

static int turn_take(const struct lvm *lvm, struct err *err)
{
	struct timespec until = deadline_timespec(deadline_after_ms(COMMAND_MS));

	if (pthread_mutex_clocklock(lvm->turn, CLOCK_MONOTONIC, &until) == 0)
		return 0;
	return err_set(err, ERR_UNAVAILABLE,
		       "volume group %s is busy: other changes to it have taken a minute",
		       lvm->group);
}

/* Runs a command that changes something, and cleans up after one that failed. */
static int change(const struct lvm *lvm, const struct args *args, const char *what, struct err *err)
{
	struct err failure = ERR_INIT;
	int r;

	if (turn_take(lvm, err) < 0)
		return -1;
	r = run(args, what, NULL, err);
	if (r < 0 && resume(lvm, &failure) < 0)
		err_wrap(err, "%s", failure.msg);
	pthread_mutex_unlock(lvm->turn);
	return r;
}

/* --- reports ---------------------------------------------------------------------------------- */

/* The rows of `lvs` for a selection. 1: read; 0: the report is longer than what is captured. */
static int report(const struct lvm *lvm, const char *fields, const char *selection,
		  json_object **ret, json_object **ret_rows, struct err *err)
{
	cleanup_free struct proc_result *result = NULL;
	cleanup_json json_object *object = NULL;
	struct args args = args_new("lvs");
	json_object *array, *first, *rows;

	add2(&args, "--reportformat", "json");
	add2(&args, "--units", "b");
	add(&args, "--nosuffix");
	add2(&args, "-o", fields);
	add2(&args, "-S", selection);
	add(&args, lvm->group);
	if (run(&args, "list thin volumes", &result, err) < 0)
		return -1;
	if (strlen(result->out) == sizeof(result->out) - 1)
		return 0;
	object = json_tokener_parse(result->out);
	if (!json_object_object_get_ex(object, "report", &array) ||
	    !(first = json_object_array_get_idx(array, 0)) ||
	    !json_object_object_get_ex(first, "lv", &rows) ||
	    !json_object_is_type(rows, json_type_array))
		return err_set(err, ERR_INTERNAL, "lvm lvs printed no report: \"%.200s\"",
			       result->out);
	*ret_rows = rows;
	*ret = steal_ptr(&object);
	return 1;
}

/* Of what is known to be one row at most. */
static int report_one(const struct lvm *lvm, const char *fields, const char *selection,
		      json_object **ret, json_object **ret_row, struct err *err)
{
	json_object *rows = NULL;
	int r = report(lvm, fields, selection, ret, &rows, err);

	if (r == 0)
		return err_set(err, ERR_INTERNAL, "lvm lvs printed too much for %s", selection);
	if (r < 0 || json_object_array_length(rows) == 0)
		return r < 0 ? -1 : 0;
	*ret_row = json_object_array_get_idx(rows, 0);
	return 1;
}

static const char *field(json_object *row, const char *key)
{
	json_object *value;

	return json_object_object_get_ex(row, key, &value) ? json_object_get_string(value) : "";
}

/* Adds the names that begin so; too many of them are asked for by their next letter, of which a
 * UUID has left as many as letters says. */
static int list_prefix(const struct lvm *lvm, const char *tag, const char *prefix, size_t letters,
		       struct root_names *names, struct err *err)
{
	cleanup_json json_object *object = NULL;
	char selection[SELECTION_SIZE], longer[LVM_NAME_SIZE];
	json_object *rows = NULL;
	int r;

	snprintf(selection, sizeof(selection), "tags=%s && pool_lv=%s && lv_name=~^%s", tag,
		 lvm->pool, prefix);
	r = report(lvm, "lv_name", selection, &object, &rows, err);
	if (r == 0 && letters == 0)
		return err_set(err, ERR_INTERNAL, "lvm lvs printed too much for %s", selection);
	for (const char *c = UUID_LETTERS; r == 0 && *c; c++) {
		snprintf(longer, sizeof(longer), "%s%c", prefix, *c);
		if (list_prefix(lvm, tag, longer, letters - 1, names, err) < 0)
			return -1;
	}
	for (size_t i = 0; r > 0 && i < json_object_array_length(rows); i++)
		root_names_add(names, field(json_object_array_get_idx(rows, i), "lv_name"));
	return r < 0 ? -1 : 0;
}

int lvm_list(const struct lvm *lvm, const char *tag, const char *prefix, struct root_names *ret,
	     struct err *err)
{
	cleanup_root_names struct root_names names = { 0 };

	if (list_prefix(lvm, tag, prefix, UUID_TEXT_SIZE - 1, &names, err) < 0)
		return -1;
	*ret = names;
	names = (struct root_names) { 0 };
	return 0;
}

static bool has_tag(const char *tags, const char *tag)
{
	size_t len = strlen(tag);

	for (;; tags++) {
		if (strncmp(tags, tag, len) == 0 && (tags[len] == ',' || tags[len] == '\0'))
			return true;
		tags = strchr(tags, ',');
		if (!tags)
			return false;
	}
}

int lvm_find(const struct lvm *lvm, const char *name, const char *tag, bool *ret_tagged,
	     struct err *err)
{
	cleanup_json json_object *object = NULL;
	char selection[SELECTION_SIZE];
	json_object *row = NULL;
	int found;

	snprintf(selection, sizeof(selection), "lv_name=%s", name);
	found = report_one(lvm, "lv_name,pool_lv,lv_tags", selection, &object, &row, err);
	if (found <= 0)
		return found;
	if (strcmp(field(row, "pool_lv"), lvm->pool) != 0)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "logical volume %s/%s is not in thin pool %s", lvm->group, name,
			       lvm->pool);
	*ret_tagged = has_tag(field(row, "lv_tags"), tag);
	return 1;
}

int lvm_claim(const struct lvm *lvm, const char *name, const char *tag, struct err *err)
{
	bool tagged = false;
	int found = lvm_find(lvm, name, tag, &tagged, err);

	if (found > 0 && !tagged)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "thin volume %s/%s has not the tag %s, so it is not ours: rename "
			       "it, or lvchange --addtag %s",
			       lvm->group, name, tag, tag);
	return found;
}

/* --- opening ---------------------------------------------------------------------------------- */

static bool name_is_valid(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len < LVM_NAME_SIZE && name[0] != '-' && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0 && strspn(name, LETTERS) == len;
}

static int read_facts(struct lvm *lvm, struct err *err)
{
	cleanup_json json_object *object = NULL;
	char selection[SELECTION_SIZE];
	json_object *row = NULL;
	int found;

	snprintf(selection, sizeof(selection), "lv_name=%s && segtype=thin-pool", lvm->pool);
	found = report_one(lvm, "vg_extent_size,chunk_size,zero", selection, &object, &row, err);
	if (found < 0)
		return err_recode(err, ERR_FAILED_PRECONDITION);
	if (found == 0)
		return err_set(err, ERR_FAILED_PRECONDITION, "there is no thin pool %s/%s",
			       lvm->group, lvm->pool);
	if (strcmp(field(row, "zero"), "zero") != 0)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "thin pool %s/%s does not zero new blocks, so volumes could read "
			       "what others wrote: lvchange --zero y %s/%s",
			       lvm->group, lvm->pool, lvm->group, lvm->pool);
	if (parse_u64("extent size", field(row, "vg_extent_size"), 1, INT64_MAX, &lvm->extent_bytes,
		      err) < 0 ||
	    parse_u64("chunk size", field(row, "chunk_size"), 1, INT64_MAX, &lvm->chunk_bytes,
		      err) < 0)
		return err_recode(err, ERR_INTERNAL);
	return 0;
}

int lvm_open(const char *argument, struct lvm *ret, struct err *err)
{
	cleanup_free char *group = xstrdup(argument);
	char *pool = strchr(group, '/');
	struct lvm lvm = { 0 };

	if (pool)
		*pool++ = '\0';
	if (!pool || !name_is_valid(group) || !name_is_valid(pool))
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "\"%.200s\" is not of the form VG/THINPOOL", argument);
	strcpy(lvm.group, group);
	strcpy(lvm.pool, pool);
	if (read_facts(&lvm, err) < 0 || resume(&lvm, err) < 0)
		return -1;
	lvm.turn = xcalloc(1, sizeof(*lvm.turn));
	pthread_mutex_init(lvm.turn, NULL);
	*ret = lvm;
	return 0;
}

void lvm_close(struct lvm *lvm)
{
	if (lvm->turn)
		pthread_mutex_destroy(lvm->turn);
	free(lvm->turn);
	lvm->turn = NULL;
}

/* --- changing --------------------------------------------------------------------------------- */

int lvm_create(const struct lvm *lvm, const char *name, uint64_t size_bytes,
	       const char *const tags[], struct err *err)
{
	struct args args = args_new("lvcreate");
	char size[32];

	snprintf(size, sizeof(size), "%" PRIu64 "b", size_bytes);
	add(&args, "--yes");
	add2(&args, "--name", name);
	add2(&args, "--virtualsize", size);
	add2(&args, "--thinpool", lvm->pool);
	add2(&args, "--setactivationskip", "n");
	for (; *tags; tags++)
		add2(&args, "--addtag", *tags);
	add(&args, lvm->group);
	return change(lvm, &args, "create a thin volume", err);
}

int lvm_snapshot(const struct lvm *lvm, const char *name, const char *from,
		 const char *const tags[], struct err *err)
{
	struct args args = args_new("lvcreate");
	char full[2 * LVM_NAME_SIZE];

	full_name(lvm, from, full);
	add(&args, "--yes");
	add2(&args, "--name", name);
	add(&args, "--snapshot");
	add2(&args, "--setactivationskip", "n");
	for (; *tags; tags++)
		add2(&args, "--addtag", *tags);
	add(&args, full);
	return change(lvm, &args, "copy a thin volume", err);
}

int lvm_activate(const struct lvm *lvm, const char *name, struct err *err)
{
	struct args args = args_new("lvchange");
	char full[2 * LVM_NAME_SIZE];

	full_name(lvm, name, full);
	add2(&args, "--activate", "y");
	add(&args, full);
	return change(lvm, &args, "activate a thin volume", err);
}

int lvm_grow(const struct lvm *lvm, const char *name, uint64_t size_bytes, struct err *err)
{
	struct args args = args_new("lvextend");
	char full[2 * LVM_NAME_SIZE], size[32];

	full_name(lvm, name, full);
	snprintf(size, sizeof(size), "%" PRIu64 "b", size_bytes);
	add(&args, "--yes");
	add2(&args, "--size", size);
	add(&args, full);
	return change(lvm, &args, "grow a thin volume", err);
}

int lvm_refresh(const struct lvm *lvm, const char *name, struct err *err)
{
	int r;

	if (turn_take(lvm, err) < 0)
		return -1;
	r = refresh(lvm, name, err);
	pthread_mutex_unlock(lvm->turn);
	return r;
}

int lvm_untag(const struct lvm *lvm, const char *name, const char *tag, struct err *err)
{
	struct args args = args_new("lvchange");
	char full[2 * LVM_NAME_SIZE];

	full_name(lvm, name, full);
	add2(&args, "--deltag", tag);
	add(&args, full);
	return change(lvm, &args, "take the tag off a thin volume", err);
}

int lvm_remove(const struct lvm *lvm, const char *name, const char *tag, struct err *err)
{
	struct args args = args_new("lvremove");
	char full[2 * LVM_NAME_SIZE];
	int found = lvm_claim(lvm, name, tag, err);
	struct err ignored;

	if (found <= 0)
		return found;
	full_name(lvm, name, full);
	add(&args, "--yes");
	add(&args, full);
	if (change(lvm, &args, "remove a thin volume", err) == 0)
		return 0;
	return lvm_claim(lvm, name, tag, &ignored) == 0 ? 0 : -1;
}
