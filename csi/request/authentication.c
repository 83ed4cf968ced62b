/* SPDX-License-Identifier: Apache-2.0 */
/* Reading secrets. */
#include "csi/request/authentication.h"

#include <stdio.h>
#include <string.h>

int authentication_parse(struct map secrets, struct dhchap_keys *ret, struct err *err)
{
	/* A misspelt name would be a volume without authentication. */
	for (size_t i = 0; i < secrets.count; i++)
		if (strcmp(secrets.entries[i]->key, AUTHENTICATION_SECRET) != 0 &&
		    strcmp(secrets.entries[i]->key, AUTHENTICATION_CTRL_SECRET) != 0)
			return err_set(err, ERR_INVALID_ARGUMENT,
				       "secrets have the unknown name \"%.64s\"; known "
				       "are " AUTHENTICATION_SECRET
				       " and " AUTHENTICATION_CTRL_SECRET,
				       secrets.entries[i]->key);
	return dhchap_keys_parse(AUTHENTICATION_SECRET, map_get(secrets, AUTHENTICATION_SECRET),
				 AUTHENTICATION_CTRL_SECRET,
				 map_get(secrets, AUTHENTICATION_CTRL_SECRET), ret, err);
}

struct uuid authentication_id(const struct dhchap_keys *keys)
{
	char both[2 * DHCHAP_KEY_SIZE];
	struct uuid id;

	snprintf(both, sizeof(both), "%s %s", keys->host, keys->ctrl);
	id = secret_uuid(both);
	explicit_bzero(both, sizeof(both));
	return id;
}

static int check_same(const struct attachment *attachment, const struct dhchap_keys *keys,
		      struct err *err)
{
	struct uuid id = authentication_id(keys);

	if (strcmp(id.text, attachment->secret_id.text) == 0)
		return 0;
	return err_set(err, ERR_UNAUTHENTICATED,
		       "the secrets of this call are not those that the volume was published with: "
		       "controller-publish-secret-name and node-stage-secret-name of the "
		       "StorageClass have to be the same secret, and once it is changed the volume "
		       "has to be published again");
}

static int check_agreement(const struct attachment *attachment, const struct dhchap_keys *keys,
			   struct err *err)
{
	enum dhchap_mode published = attachment->authentication, given = dhchap_keys_mode(keys);

	if (given == published)
		return given == DHCHAP_NONE ? 0 : check_same(attachment, keys, err);
	if (given == DHCHAP_NONE)
		return err_set(err, ERR_UNAUTHENTICATED,
			       "the volume was published with authentication %s, and this call has "
			       "no " AUTHENTICATION_SECRET ": name the secret of the publish as "
			       "csi.storage.k8s.io/node-stage-secret-name, too",
			       dhchap_mode_name(published));
	return err_set(err, ERR_FAILED_PRECONDITION,
		       "the volume was published with authentication %s, and the secrets of this "
		       "call are for %s: name the same secret as "
		       "csi.storage.k8s.io/controller-publish-secret-name and "
		       "csi.storage.k8s.io/node-stage-secret-name, and publish the volume again",
		       dhchap_mode_name(published), dhchap_mode_name(given));
}

int authentication_parse_stage(struct map secrets, const struct attachment *attachment,
			       struct dhchap_keys *ret, struct err *err)
{
	cleanup_dhchap_keys struct dhchap_keys keys = { 0 };

	if (authentication_parse(secrets, &keys, err) < 0 ||
	    (attachment->size_bytes && check_agreement(attachment, &keys, err) < 0))
		return -1;
	*ret = keys;
	return 0;
}
