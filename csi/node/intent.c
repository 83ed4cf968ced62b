/* SPDX-License-Identifier: Apache-2.0 */
/* Intents to format, as files. */
#include "csi/node/intent.h"

#include <stdio.h>
#include <string.h>

#include "csi/volume/fs.h"
#include "nvme/base/file.h"

static int open_dir(const struct root *state, struct root *ret, struct err *err)
{
	cleanup_free char *path = xasprintf("%s/formatting", state->path);

	return root_open(ret, path, err);
}

int intent_save(const struct root *state, const struct uuid *key, const char *fs_type,
		struct err *err)
{
	struct root dir cleanup_root = ROOT_INIT;
	cleanup_free char *text = xasprintf("%s\n", fs_type);

	if (open_dir(state, &dir, err) < 0)
		return -1;
	return file_replace(&dir, key->text, text, err);
}

int intent_find(const struct root *state, const struct uuid *key, char ret[INTENT_FS_TYPE_SIZE],
		struct err *err)
{
	struct root dir cleanup_root = ROOT_INIT;
	cleanup_free char *text = NULL;
	int found;

	if (open_dir(state, &dir, err) < 0)
		return -1;
	found = file_read(&dir, key->text, &text, err);
	if (found <= 0)
		return found;
	text[strcspn(text, "\n")] = '\0';
	snprintf(ret, INTENT_FS_TYPE_SIZE, "%s", fs_find(text) ? text : "");
	return 1;
}

int intent_remove(const struct root *state, const struct uuid *key, struct err *err)
{
	struct root dir cleanup_root = ROOT_INIT;

	if (open_dir(state, &dir, err) < 0)
		return -1;
	return file_remove(&dir, key->text, err);
}
