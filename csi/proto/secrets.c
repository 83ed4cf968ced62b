/* SPDX-License-Identifier: Apache-2.0 */
/* Looks a field up in the generated table of secrets. The table has some twenty rows. */
#include "csi/proto/secrets.h"

#include <string.h>

/* The specification calls mount flags possibly sensitive, but has no mark on them. */
static const struct proto_secret unmarked[] = {
	{ "csi.v1.VolumeCapability.MountVolume", 2 },
};

static bool contains(const struct proto_secret *secrets, size_t count, const char *message,
		     uint32_t number)
{
	for (size_t i = 0; i < count; i++)
		if (secrets[i].number == number && !strcmp(secrets[i].message, message))
			return true;
	return false;
}

bool proto_field_is_secret(const char *message, uint32_t number)
{
	return contains(proto_secrets, proto_secrets_count, message, number) ||
	       contains(unmarked, sizeof(unmarked) / sizeof(*unmarked), message, number);
}
