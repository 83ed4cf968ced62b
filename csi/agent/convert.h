/* SPDX-License-Identifier: Apache-2.0 */
/* The few enumerations that the agent protocol and nvme/target both have. Pure. */
#ifndef CSI_AGENT_CONVERT_H
#define CSI_AGENT_CONVERT_H

#include <stdbool.h>

#include "nvme/base/err.h"
#include "nvme/target/volume.h"
#include "target.pb-c.h"

Nvmeot__Target__V1__AccessMode convert_access_to_wire(enum volume_access access);

/* ERR_INVALID_ARGUMENT for ACCESS_MODE_UNKNOWN and numbers that are no mode. */
int convert_access_from_wire(Nvmeot__Target__V1__AccessMode mode, enum volume_access *ret,
			     struct err *err);

Nvmeot__Target__V1__WriteCache convert_cache_to_wire(bool volatile_cache);
int convert_cache_from_wire(Nvmeot__Target__V1__WriteCache cache, bool *ret_volatile,
			    struct err *err);

Nvmeot__Target__V1__ConditionStatus convert_status_to_wire(enum volume_condition_status status);

Nvmeot__Target__V1__Authentication convert_authentication_to_wire(enum dhchap_mode mode);

#endif
