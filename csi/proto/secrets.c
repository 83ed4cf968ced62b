/* SPDX-License-Identifier: Apache-2.0 */
/* Looks a field up in the generated table of secrets. The table has some twenty rows. */
#include "csi/proto/secrets.h"

#include <string.h>

bool proto_field_is_secret(const char *message, uint32_t number)
{
	for (size_t i = 0; i < proto_secrets_count; i++) {
		if (proto_secrets[i].number == number && !strcmp(proto_secrets[i].message, message))
			return true;
	}
	return false;
}
