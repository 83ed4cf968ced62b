/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The DH-HMAC-CHAP keys that a controller of this node holds, as sysfs shows them. The kernel does
 * not insist on them: 6.1 passes over the keys of a connect, and every version takes a target that
 * asks for none. So who wants a session to be authenticated looks here, and has to know from
 * elsewhere that its target asks. Nothing here blocks for more than the kernel's own handlers.
 */
#ifndef NVME_HOST_DHCHAP_H
#define NVME_HOST_DHCHAP_H

#include "nvme/base/dhchap.h"
#include "nvme/host/controller.h"

/*
 * Makes sure that a controller holds exactly these keys (not none), and that only root can read
 * them in sysfs. One that was connected with another key is given the new one, with which the
 * kernel authenticates itself anew while I/O goes on; if the target does not take that key the
 * kernel ends the session. ERR_FAILED_PRECONDITION: it was connected without a key, or in the other
 * way (one-way, both ways); both keys are new, which no session survives; or this kernel has no
 * DH-HMAC-CHAP.
 */
int host_dhchap_ensure(const struct root *sysfs, const struct host_controller *controller,
		       const struct dhchap_keys *keys, struct err *err);

/* Whether a controller holds a key at all. */
bool host_dhchap_is_used(const struct root *sysfs, const struct host_controller *controller);

#endif
