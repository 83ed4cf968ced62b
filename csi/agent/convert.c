/* SPDX-License-Identifier: Apache-2.0 */
/* Enumerations of the agent protocol. */
#include "csi/agent/convert.h"

#include "nvme/base/cleanup.h"

#define MODE(name) NVMEOT__TARGET__V1__ACCESS_MODE__ACCESS_MODE_##name
#define CONDITION(name) NVMEOT__TARGET__V1__CONDITION_STATUS__CONDITION_##name
#define AUTHENTICATION(name) NVMEOT__TARGET__V1__AUTHENTICATION__AUTHENTICATION_##name
#define CACHE(name) NVMEOT__TARGET__V1__WRITE_CACHE__WRITE_CACHE_##name

static const Nvmeot__Target__V1__AccessMode modes[] = {
	[VOLUME_SINGLE_NODE] = MODE(SINGLE_NODE),
	[VOLUME_MULTI_WRITER] = MODE(MULTI_NODE_WRITER),
	[VOLUME_MULTI_READER] = MODE(MULTI_NODE_READER),
};

Nvmeot__Target__V1__AccessMode convert_access_to_wire(enum volume_access access)
{
	return modes[access];
}

int convert_access_from_wire(Nvmeot__Target__V1__AccessMode mode, enum volume_access *ret,
			     struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (modes[i] == mode && mode != MODE(UNKNOWN)) {
			*ret = (enum volume_access)i;
			return 0;
		}
	}
	return err_set(err, ERR_INVALID_ARGUMENT, "mode %d is not an access mode", (int)mode);
}

Nvmeot__Target__V1__WriteCache convert_cache_to_wire(bool volatile_cache)
{
	return volatile_cache ? CACHE(VOLATILE) : CACHE(NONE);
}

int convert_cache_from_wire(Nvmeot__Target__V1__WriteCache cache, bool *ret_volatile,
			    struct err *err)
{
	if (cache != CACHE(NONE) && cache != CACHE(VOLATILE))
		return err_set(err, ERR_INVALID_ARGUMENT, "write_cache %d is not a write cache",
			       (int)cache);
	*ret_volatile = cache == CACHE(VOLATILE);
	return 0;
}

Nvmeot__Target__V1__Authentication convert_authentication_to_wire(enum dhchap_mode mode)
{
	static const Nvmeot__Target__V1__Authentication values[] = {
		[DHCHAP_NONE] = AUTHENTICATION(NONE),
		[DHCHAP_ONE_WAY] = AUTHENTICATION(ONE_WAY),
		[DHCHAP_BOTH_WAYS] = AUTHENTICATION(BOTH_WAYS),
	};

	return values[mode];
}

Nvmeot__Target__V1__ConditionStatus convert_status_to_wire(enum volume_condition_status status)
{
	static const Nvmeot__Target__V1__ConditionStatus statuses[] = {
		[VOLUME_DEGRADED] = CONDITION(DEGRADED),
		[VOLUME_INACCESSIBLE] = CONDITION(INACCESSIBLE),
		[VOLUME_DATA_LOSS] = CONDITION(DATA_LOSS),
	};

	return statuses[status];
}
