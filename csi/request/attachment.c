/* SPDX-License-Identifier: Apache-2.0 */
/* Reading publish and volume contexts. */
#include "csi/request/attachment.h"

#include <string.h>

#include "csi/request/ids.h"

bool attachment_is_static(struct map volume_context)
{
	return map_get(volume_context, ATTACHMENT_NQN) != NULL;
}

static int parse_namespace(struct map map, const char *what, struct attachment *a, struct err *err)
{
	const char *uuid = map_get(map, ATTACHMENT_NS_UUID), *nsid = map_get(map, ATTACHMENT_NSID);
	uint64_t number;

	if (uuid) {
		a->has_uuid = true;
		return parse_uuid(ATTACHMENT_NS_UUID, uuid, &a->uuid, err);
	}
	if (!nsid)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "%s has neither " ATTACHMENT_NS_UUID " nor " ATTACHMENT_NSID, what);
	if (parse_u64(ATTACHMENT_NSID, nsid, 1, UINT32_MAX - 1, &number, err) < 0)
		return -1;
	a->nsid = (uint32_t)number;
	return 0;
}

static int parse_flag(const char *key, const char *value, bool *ret, struct err *err)
{
	if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "publish_context %s \"%.16s\" is not true or false", key, value);
	*ret = strcmp(value, "true") == 0;
	return 0;
}

/* Our controller says this of static volumes, too. */
static int parse_readonly(struct map publish_context, struct attachment *a, struct err *err)
{
	const char *readonly = map_get(publish_context, ATTACHMENT_READONLY);

	return readonly ? parse_flag(ATTACHMENT_READONLY, readonly, &a->readonly, err) : 0;
}

static int parse_authentication(const char *value, const char *id, struct attachment *a,
				struct err *err)
{
	for (int mode = DHCHAP_NONE; mode < DHCHAP_MODE_COUNT; mode++) {
		if (strcmp(value, dhchap_mode_name((enum dhchap_mode)mode)) != 0)
			continue;
		a->authentication = (enum dhchap_mode)mode;
		return mode == DHCHAP_NONE ?
			       0 :
			       parse_uuid(ATTACHMENT_SECRET_ID, id, &a->secret_id, err);
	}
	return err_set(err, ERR_INVALID_ARGUMENT,
		       "publish_context " ATTACHMENT_AUTHENTICATION
		       " \"%.16s\" is not none, one-way or both-ways",
		       value);
}

/* What only our own controller says; a static volume has none of it. */
static int parse_provisioned(struct map map, struct attachment *a, struct err *err)
{
	const char *blank = map_get(map, ATTACHMENT_BLANK);
	const char *authentication = map_get(map, ATTACHMENT_AUTHENTICATION);

	/* What may be formatted has to be known by more than a number that any namespace may have. */
	if (!a->has_uuid)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "publish_context needs " ATTACHMENT_NS_UUID);
	if (parse_u64(ATTACHMENT_SIZE, map_get(map, ATTACHMENT_SIZE), 1, INT64_MAX, &a->size_bytes,
		      err) < 0 ||
	    (authentication &&
	     parse_authentication(authentication, map_get(map, ATTACHMENT_SECRET_ID), a, err) < 0))
		return -1;
	return parse_flag(ATTACHMENT_BLANK, blank ?: "", &a->blank, err);
}

int attachment_parse(struct map volume_context, struct map publish_context, struct attachment *ret,
		     struct err *err)
{
	bool is_static = attachment_is_static(volume_context);
	struct map map = is_static ? volume_context : publish_context;
	const char *what = is_static ? "volume_context" : "publish_context";
	struct attachment a = { 0 };

	if (!map_get(map, ATTACHMENT_NQN) || !map_get(map, ATTACHMENT_PORTALS))
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "%s needs " ATTACHMENT_NQN " and " ATTACHMENT_PORTALS, what);
	if (parse_nqn(ATTACHMENT_NQN, map_get(map, ATTACHMENT_NQN), a.nqn, err) < 0 ||
	    portal_parse_list(map_get(map, ATTACHMENT_PORTALS), a.portals, &a.portal_count, err) <
		    0 ||
	    parse_namespace(map, what, &a, err) < 0 ||
	    parse_readonly(publish_context, &a, err) < 0 ||
	    (!is_static && parse_provisioned(map, &a, err) < 0))
		return -1;
	*ret = a;
	return 0;
}

int attachment_check_volume(const struct attachment *attachment, const char *volume_id,
			    struct err *err)
{
	char nqn[NQN_SIZE];
	struct volume_id id;

	if (!volume_id_parse(volume_id, &id))
		return 0;
	volume_nqn(&id.uuid, nqn);
	if (strcmp(attachment->nqn, nqn) == 0 && strcmp(attachment->uuid.text, id.uuid.text) == 0)
		return 0;
	return err_set(err, ERR_INVALID_ARGUMENT,
		       "publish_context is another volume's: it names %s with namespace %s, and "
		       "volume \"%s\" is namespace %s of %s",
		       attachment->nqn, attachment->uuid.text, volume_id, id.uuid.text, nqn);
}
