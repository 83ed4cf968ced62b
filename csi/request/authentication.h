/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a node authenticates itself for a volume, as the secrets of a request say it: the keys of
 * DH-HMAC-CHAP. The controller gives them to the target when it publishes, the node to its kernel
 * when it stages; neither end notices that the other has none, so they are compared here.
 */
#ifndef CSI_REQUEST_AUTHENTICATION_H
#define CSI_REQUEST_AUTHENTICATION_H

#include "csi/request/attachment.h"
#include "csi/request/ids.h"
#include "csi/request/map.h"
#include "nvme/base/dhchap.h"

#define AUTHENTICATION_SECRET "dhchapSecret"	      /* the host's key */
#define AUTHENTICATION_CTRL_SECRET "dhchapCtrlSecret" /* the target's, if it proves itself, too */

/*
 * The keys in the secrets of a request, checked; none are fine. ERR_INVALID_ARGUMENT names the
 * secret, and one of another name; never a value.
 */
int authentication_parse(struct map secrets, struct dhchap_keys *ret, struct err *err);

/* Says whether two pairs of keys are the same, and nothing else of them. */
struct uuid authentication_id(const struct dhchap_keys *keys);

/*
 * The same of a stage, whose secrets must be those that the volume was published with: a wrong key
 * ends live sessions, and a connect with one may hold the kernel's only turn for a minute.
 * ERR_UNAUTHENTICATED: the target asks for a key, and none or another one is given.
 * ERR_FAILED_PRECONDITION: it does not ask for what is given, so that nobody would be
 * authenticated. Of a static volume, whose target nobody of ours has seen, that is not known.
 */
int authentication_parse_stage(struct map secrets, const struct attachment *attachment,
			       struct dhchap_keys *ret, struct err *err);

#endif
