/* SPDX-License-Identifier: Apache-2.0 */
/* Flags from argp and the environment. */
#include "cmd/options.h"

#include <argp.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nvme/base/cleanup.h"

#define KEY_BASE 0x1000 /* above every character: a flag without a short form */

const char *argp_program_version = NVMEOT_VERSION;

struct parse_state {
	const struct option_program *program;
	/* A list from the environment gives way to the first flag on the command line. */
	bool from_argv[64];
	int first;
};

static void list_add(struct option_list *list, const char *item, const char *name)
{
	if (list->count == OPTION_LIST_MAX) {
		fprintf(stderr, "--%s is given more than %d times\n", name, OPTION_LIST_MAX);
		exit(2);
	}
	list->items[list->count++] = item;
}

static void env_name(const char *flag, char *out, size_t size)
{
	size_t len = (size_t)snprintf(out, size, "NVMEOT_%s", flag);

	for (size_t i = 0; i < len && i < size; i++)
		out[i] = out[i] == '-' ? '_' : (char)toupper((unsigned char)out[i]);
}

static bool parse_switch(const char *name, const char *value)
{
	bool on = strcmp(value, "1") == 0 || strcmp(value, "true") == 0;

	if (!on && strcmp(value, "0") != 0 && strcmp(value, "false") != 0) {
		fprintf(stderr, "%s \"%.40s\" is not 1, true, 0 or false\n", name, value);
		exit(2);
	}
	return on;
}

static void apply_env(const struct option_spec *spec)
{
	char name[64];
	const char *value;
	char *rest, *item;

	env_name(spec->name, name, sizeof(name));
	value = getenv(name);
	if (!value || !*value)
		return;
	if (spec->text) {
		*spec->text = value;
	} else if (spec->flag) {
		*spec->flag = parse_switch(name, value);
	} else {
		rest = xstrdup(value); /* lives as long as the process: the list borrows from it */
		while ((item = strsep(&rest, " ")))
			if (*item)
				list_add(spec->list, item, spec->name);
	}
}

static int key_of(const struct option_spec *spec, int index)
{
	return spec->letter ?: KEY_BASE + index;
}

/* The flag's index; -1 when the key is of argp's own. */
static int spec_find(const struct option_program *program, int key)
{
	for (int i = 0; program->specs[i].name; i++)
		if (key_of(&program->specs[i], i) == key)
			return i;
	return -1;
}

static error_t parse_one(int key, char *arg, struct argp_state *argp)
{
	struct parse_state *state = argp->input;
	const struct option_spec *spec;
	int index;

	if (key == ARGP_KEY_ARGS) {
		state->first = argp->next;
		argp->next = argp->argc;
		return 0;
	}
	if (key == ARGP_KEY_ARG)
		return state->program->args_doc ?
			       ARGP_ERR_UNKNOWN :
			       (argp_error(argp, "unexpected argument \"%s\"", arg), 0);
	index = spec_find(state->program, key);
	if (index < 0)
		return ARGP_ERR_UNKNOWN;
	spec = &state->program->specs[index];
	if (spec->text) {
		*spec->text = arg;
	} else if (spec->flag) {
		*spec->flag = true;
	} else {
		if (!state->from_argv[index])
			spec->list->count = 0;
		list_add(spec->list, arg, spec->name);
	}
	state->from_argv[index] = true;
	return 0;
}

void options_parse(const struct option_program *program, int argc, char **argv, int *ret_first)
{
	struct parse_state state = { .program = program, .first = argc };
	struct argp_option table[ARRAY_SIZE(state.from_argv) + 1] = { 0 };
	struct argp argp = { .options = table,
			     .parser = parse_one,
			     .args_doc = program->args_doc,
			     .doc = program->doc };

	for (int i = 0; program->specs[i].name; i++) {
		const struct option_spec *spec = &program->specs[i];

		apply_env(spec);
		table[i] = (struct argp_option) { .name = spec->name,
						  .key = key_of(spec, i),
						  .arg = spec->arg,
						  .doc = spec->help };
	}
	argp_parse(&argp, argc, argv, 0, NULL, &state);
	if (ret_first)
		*ret_first = state.first;
}

bool option_split(const char *item, char *name, size_t name_size, const char **ret_value)
{
	const char *equals = strchr(item, '=');

	if (!equals || equals == item || (size_t)(equals - item) >= name_size)
		return false;
	memcpy(name, item, (size_t)(equals - item));
	name[equals - item] = '\0';
	*ret_value = equals + 1;
	return true;
}

int option_target(const char *item, char ret_name[TARGET_NAME_SIZE], const char **ret_address,
		  struct err *err)
{
	char name[TARGET_NAME_SIZE];
	const char *address;

	if (!option_split(item, name, sizeof(name), &address) || !parse_is_name(name))
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "--target \"%.100s\" is not NAME=HOST:PORT with a NAME of 1 to 32 "
			       "characters a-z, 0-9 and -",
			       item);
	strcpy(ret_name, name);
	*ret_address = address;
	return 0;
}
