/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What agents say, as JSON objects with the field names that README.md promises. Pure; the caller
 * owns the objects. A field is always there: null, or an empty array or object, when the agent says
 * nothing.
 */
#ifndef CMD_NVMEOTCTL_FIELDS_H
#define CMD_NVMEOTCTL_FIELDS_H

#include <json-c/json.h>

#include "nvme/base/err.h"
#include "target.pb-c.h"

struct json_object *fields_of_volume(const char *target, const Nvmeot__Target__V1__Volume *volume);

struct json_object *fields_of_export(const char *target, const Nvmeot__Target__V1__Volume *volume,
				     const Nvmeot__Target__V1__Export *export);

struct json_object *fields_of_snapshot(const char *target,
				       const Nvmeot__Target__V1__Snapshot *snapshot);

/* With its pools, as an array. */
struct json_object *fields_of_target(const Nvmeot__Target__V1__GetInfoResponse *info);

struct json_object *fields_of_orphan(const char *target, const Nvmeot__Target__V1__Orphan *orphan);

/* A target that could not be asked, or not to the end. */
struct json_object *fields_of_error(const char *target, const struct err *err);

#endif
