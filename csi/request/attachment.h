/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a volume is and what it is, as the node gets it: keys of the publish context (written by
 * our controller at publish) or, for statically provisioned volumes, of the volume context (written
 * by the administrator). Portals are in the publish context because they may change between
 * publishes; the volume context holds only identity.
 */
#ifndef CSI_REQUEST_ATTACHMENT_H
#define CSI_REQUEST_ATTACHMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "csi/request/map.h"
#include "nvme/base/dhchap.h"
#include "nvme/base/parse.h"
#include "nvme/base/portal.h"

#define ATTACHMENT_NQN "nqn"
#define ATTACHMENT_PORTALS "portals"
#define ATTACHMENT_NS_UUID "nsUuid"
#define ATTACHMENT_NSID "nsid"
#define ATTACHMENT_SIZE "sizeBytes"
#define ATTACHMENT_BLANK "blank"
#define ATTACHMENT_READONLY "readonly"		   /* "true", or left out */
#define ATTACHMENT_AUTHENTICATION "authentication" /* "one-way", "both-ways", or left out */
#define ATTACHMENT_SECRET_ID "secretId"		   /* beside it: authentication_id of the keys */

struct attachment {
	char nqn[NQN_SIZE];
	bool has_uuid; /* else nsid names the namespace */
	struct uuid uuid;
	uint32_t nsid;
	struct portal portals[PORTAL_MAX];
	size_t portal_count;
	uint64_t size_bytes; /* 0: not known (static) */
	bool blank; /* the target says that nothing was ever written; never true for static volumes */
	struct uuid secret_id;		 /* of the keys it was published with; "": with none */
	enum dhchap_mode authentication; /* what the target asks for; static volumes: not known */
	bool readonly; /* the target refuses every write to it; never true for static volumes */
};

/* True when the volume context describes a statically provisioned volume. */
bool attachment_is_static(struct map volume_context);

/* Reads and checks all keys; ERR_INVALID_ARGUMENT names the missing or malformed one. */
int attachment_parse(struct map volume_context, struct map publish_context, struct attachment *ret,
		     struct err *err);

/*
 * Checks that what the publish context says is of this volume: subsystem and namespace follow from
 * an ID of ours. Not for static volumes. ERR_INVALID_ARGUMENT.
 */
int attachment_check_volume(const struct attachment *attachment, const char *volume_id,
			    struct err *err);

#endif
