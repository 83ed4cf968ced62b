/* SPDX-License-Identifier: Apache-2.0 */
/* Reading secrets. */
#include "csi/request/authentication.h"

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

static int check_agreement(enum dhchap_mode published, enum dhchap_mode given, struct err *err)
{
	if (given == published)
		return 0;
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
	    (attachment->size_bytes &&
	     check_agreement(attachment->authentication, dhchap_keys_mode(&keys), err) < 0))
		return -1;
	*ret = keys;
	return 0;
}
