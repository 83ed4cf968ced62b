/* SPDX-License-Identifier: Apache-2.0 */
/* Names and identifiers. */
#include "csi/request/ids.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <uuid/uuid.h>

#include "nvme/base/cleanup.h"

/* The namespace of every UUIDv5 of ours. It is part of the format of volume IDs: never change it. */
static const uuid_t driver_namespace = { 0x5b, 0x1d, 0x3c, 0x6e, 0x0f, 0x7a, 0x4c, 0x52,
					 0x9a, 0x41, 0x6e, 0x76, 0x6d, 0x65, 0x6f, 0x74 };

static struct uuid uuid_v5(const char *kind, const char *text)
{
	/* Locks are keyed by it before the text is checked, so it may be of any length. */
	cleanup_free char *seed = xasprintf("%s:%s", kind, text);
	struct uuid ret;
	uuid_t bytes;

	uuid_generate_sha1(bytes, driver_namespace, seed, strlen(seed));
	uuid_unparse_lower(bytes, ret.text);
	explicit_bzero(seed, strlen(seed));
	return ret;
}

int volume_id_check_static(const char *volume_id, struct err *err)
{
	struct volume_id id;

	if (!volume_id_parse(volume_id, &id))
		return 0;
	return err_set(
		err, ERR_INVALID_ARGUMENT,
		"volume \"%s\" is statically provisioned (its volume_context has an nqn), but "
		"its handle has the form target/pool/uuid of volumes that this driver makes; "
		"give it another handle, or leave the volume_context out if it is such one",
		volume_id);
}

struct uuid secret_uuid(const char *secret)
{
	return uuid_v5("secret", secret);
}

struct uuid volume_uuid_of_name(const char *name)
{
	return uuid_v5("volume", name);
}

struct uuid snapshot_uuid_of_name(const char *name)
{
	return uuid_v5("snapshot", name);
}

struct uuid group_uuid_of_name(const char *name)
{
	return uuid_v5("group", name);
}

struct uuid snapshot_uuid_of_member(const struct uuid *group, const struct uuid *volume)
{
	char text[2 * UUID_TEXT_SIZE];

	snprintf(text, sizeof(text), "%s/%s", group->text, volume->text);
	return uuid_v5("member", text);
}

struct uuid volume_uuid_of_id(const char *volume_id)
{
	return uuid_v5("handle", volume_id);
}

static bool take_part(const char **rest, char ret[TARGET_NAME_SIZE])
{
	const char *slash = strchr(*rest, '/');

	if (!slash || slash - *rest >= TARGET_NAME_SIZE)
		return false;
	memcpy(ret, *rest, (size_t)(slash - *rest));
	ret[slash - *rest] = '\0';
	*rest = slash + 1;
	return parse_is_name(ret);
}

static bool take_mark(const char **rest, const char *mark)
{
	size_t len = strlen(mark);

	if (strncmp(*rest, mark, len) != 0)
		return false;
	*rest += len;
	return true;
}

/* What is left is a UUID in our spelling. */
static bool take_uuid(const char *text, struct uuid *ret)
{
	struct err ignored;

	return parse_uuid("uuid", text, ret, &ignored) == 0 && strcmp(text, ret->text) == 0;
}

static bool id_parse(const char *text, const char *mark, struct volume_id *ret)
{
	struct volume_id id = { 0 };

	_Static_assert(TARGET_NAME_SIZE == VOLUME_POOL_SIZE, "take_part serves both");
	if (!take_part(&text, id.target) || !take_part(&text, id.pool) || !take_mark(&text, mark) ||
	    !take_uuid(text, &id.uuid))
		return false;
	*ret = id;
	return true;
}

bool volume_id_parse(const char *text, struct volume_id *ret)
{
	return id_parse(text, "", ret);
}

bool snapshot_id_parse(const char *text, struct volume_id *ret)
{
	return id_parse(text, "@", ret);
}

bool group_id_parse(const char *text, struct group_id *ret)
{
	struct group_id id = { 0 };

	if (!take_part(&text, id.target) || !take_mark(&text, "@@") || !take_uuid(text, &id.uuid))
		return false;
	*ret = id;
	return true;
}

void volume_id_format(const struct volume_id *id, char ret[VOLUME_ID_SIZE])
{
	snprintf(ret, VOLUME_ID_SIZE, "%s/%s/%s", id->target, id->pool, id->uuid.text);
}

void snapshot_id_format(const struct volume_id *id, char ret[VOLUME_ID_SIZE])
{
	snprintf(ret, VOLUME_ID_SIZE, "%s/%s/@%s", id->target, id->pool, id->uuid.text);
}

void group_id_format(const struct group_id *id, char ret[VOLUME_ID_SIZE])
{
	snprintf(ret, VOLUME_ID_SIZE, "%s/@@%s", id->target, id->uuid.text);
}

int require_text(const char *field, const char *text, size_t max, struct err *err)
{
	if (!text || !*text)
		return err_set(err, ERR_INVALID_ARGUMENT, "%s is required and missing", field);
	if (strlen(text) > max)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "%s \"%.32s…\" is %zu bytes long; at most %zu are allowed", field,
			       text, strlen(text), max);
	for (const unsigned char *p = (const unsigned char *)text; *p; p++)
		if (*p < 0x20 || *p == 0x7f)
			return err_set(err, ERR_INVALID_ARGUMENT,
				       "%s holds the control character 0x%02x at offset %td", field,
				       *p, p - (const unsigned char *)text);
	return 0;
}

static bool has_dot_part(const char *path)
{
	for (const char *part = path; part; part = strchr(part, '/')) {
		size_t len;

		part += *part == '/';
		len = strcspn(part, "/");
		if ((len == 1 && part[0] == '.') || (len == 2 && part[0] == '.' && part[1] == '.'))
			return true;
	}
	return false;
}

int require_path(const char *field, const char *text, struct err *err)
{
	if (require_text(field, text, PATH_BYTES_MAX, err) < 0)
		return -1;
	if (text[0] != '/' || !text[strspn(text, "/")] || has_dot_part(text))
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "%s \"%.200s\" is not an absolute path without \".\" and \"..\"",
			       field, text);
	return 0;
}
