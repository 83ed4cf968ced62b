/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who this node is to every target: one (host NQN, host ID) pair, the same for its whole life.
 * The kernel ties the two together and refuses a second pairing of either (nvmf_host_add in
 * fabrics.c), so the ID is always the UUID in the NQN, as other NVMe tools on the node have it.
 */
#ifndef NVME_HOST_IDENTITY_H
#define NVME_HOST_IDENTITY_H

#include "nvme/base/parse.h"

#define HOST_IDENTITY_FILE "hostnqn" /* in the state directory */

struct host_identity {
	char nqn[NQN_SIZE];
	struct uuid id;
};

/*
 * Takes the host NQN from the first of: nqn_file, if it exists and is not empty; the NQN persisted
 * in state_dir; one derived from the machine ID, which is then persisted in state_dir (created if
 * absent). It is never random. The host ID is the UUID at the NQN's end (":uuid:<uuid>"), otherwise
 * the UUIDv5 of the NQN; a hostid file is not read.
 * ERR_FAILED_PRECONDITION: a malformed NQN (names file and content), or no source has one.
 */
int host_identity_resolve(const char *nqn_file, const char *state_dir, const char *machine_id_file,
			  struct host_identity *ret, struct err *err);

#endif
