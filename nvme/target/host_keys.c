/* SPDX-License-Identifier: Apache-2.0 */
/* Files of hosts' keys. */
#include "nvme/target/host_keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nvme/base/file.h"

#define SUFFIX ".keys"
#define VERSION "1"
#define FILE_NAME_SIZE (NQN_SIZE + sizeof(SUFFIX))

static void file_name(const char *host_nqn, char out[FILE_NAME_SIZE])
{
	snprintf(out, FILE_NAME_SIZE, "%.*s" SUFFIX, NQN_MAX_LEN, host_nqn);
}

static void wipe(char **text)
{
	if (*text)
		explicit_bzero(*text, strlen(*text));
	free(*text);
}

void host_keys_wipe(struct host_keys *keys)
{
	explicit_bzero(keys, sizeof(*keys));
}

static int parse(char *text, struct host_keys *ret, struct err *err)
{
	char *rest = text, *line = strsep(&rest, "\n");
	const char *version = strsep(&line, " "), *serial = strsep(&line, " ");
	const char *host = strsep(&line, " "), *ctrl = strsep(&line, " ");
	struct host_keys keys;

	if (!host || !*host || (ctrl && !*ctrl) || line || !rest || *rest ||
	    strcmp(version, VERSION) != 0)
		return err_set(err, ERR_DATA_LOSS, "it is not one line of version " VERSION);
	if (parse_u64("serial", serial, 1, UINT64_MAX - 1, &keys.serial, err) < 0)
		return err_set(err, ERR_DATA_LOSS, "its serial is not a number from 1 on");
	if (dhchap_keys_parse("the host's key", host, "the target's key", ctrl, &keys.keys, err) <
	    0)
		return err_recode(err, ERR_DATA_LOSS);
	*ret = keys;
	return 0;
}

int host_keys_load(const struct root *root, const char *host_nqn, struct host_keys *ret,
		   struct err *err)
{
	char *text CLEANUP(wipe) = NULL;
	char name[FILE_NAME_SIZE];
	int found;

	file_name(host_nqn, name);
	found = file_read(root, name, &text, err);
	if (found <= 0)
		return found;
	if (parse(text, ret, err) < 0)
		return err_wrap(err, "keys %s/%s", root->path, name);
	return 1;
}

int host_keys_save(const struct root *root, const char *host_nqn, const struct host_keys *keys,
		   struct err *err)
{
	char *text CLEANUP(wipe) = NULL;
	char name[FILE_NAME_SIZE];

	text = xasprintf(VERSION " %" PRIu64 " %s%s%s\n", keys->serial, keys->keys.host,
			 keys->keys.ctrl[0] ? " " : "", keys->keys.ctrl);
	file_name(host_nqn, name);
	return file_replace(root, name, text, err);
}

int host_keys_remove(const struct root *root, const char *host_nqn, struct err *err)
{
	char name[FILE_NAME_SIZE];

	file_name(host_nqn, name);
	return root_exists(root, "%s", name) ? file_remove(root, name, err) : 0;
}

/* The NQN that a file's name stands for; false: it is no such file. */
static bool nqn_of(char *name, const void *context)
{
	size_t len = strlen(name), suffix = strlen(SUFFIX);
	char nqn[NQN_SIZE];
	struct err ignored;

	(void)context;
	if (len <= suffix || strcmp(name + len - suffix, SUFFIX) != 0)
		return false;
	name[len - suffix] = '\0';
	return parse_nqn("host", name, nqn, &ignored) == 0;
}

int host_keys_list(const struct root *root, struct root_names *ret, struct err *err)
{
	if (root_list(root, ret, err, ".") < 0)
		return -1;
	root_names_filter(ret, nqn_of, NULL);
	return 0;
}
