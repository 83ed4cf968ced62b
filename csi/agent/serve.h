/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's side of the calls about snapshots, and the checks that they share with the others:
 * for service.c's table only. The context of each call is the target.
 */
#ifndef CSI_AGENT_SERVE_H
#define CSI_AGENT_SERVE_H

#include "csi/rpc/service.h"
#include "nvme/base/parse.h"

struct target;

#define SERVE_LIST_MAX 1000 /* items of a page */

/* Whether the request is for this agent: ERR_FAILED_PRECONDITION names both. */
int serve_check_target(struct rpc_call *call, const char *asked, struct err *err);
/* The same of calls that change nothing, which may leave it out. */
int serve_check_looker(struct rpc_call *call, const char *asked, struct err *err);
/* serve_check_target of a call whose context is another one. */
int serve_check_name(const struct target *target, const char *asked, struct err *err);

/* Before they are copied: as many entries as a volume may have parameters. */
int serve_check_count(const char *field, size_t count, struct err *err);

/* How many items a request for a page wants at most. */
size_t serve_page_max(int32_t max_entries);

int serve_create_snapshots(struct rpc_call *call, const void *request, void *response,
			   struct err *err);
int serve_get_snapshot(struct rpc_call *call, const void *request, void *response, struct err *err);
int serve_list_snapshots(struct rpc_call *call, const void *request, void *response,
			 struct err *err);
int serve_list_extents(struct rpc_call *call, const void *request, void *response, struct err *err);
int serve_delete_snapshot(struct rpc_call *call, const void *request, void *response,
			  struct err *err);

#endif
