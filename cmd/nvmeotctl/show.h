/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a view: every target is asked at the same time, lists page by page, and what one of them
 * cannot say takes nothing from the others.
 */
#ifndef CMD_NVMEOTCTL_SHOW_H
#define CMD_NVMEOTCTL_SHOW_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cmd/nvmeotctl/view.h"
#include "cmd/options.h"

struct show_config {
	const struct option_list *targets; /* "NAME=HOST:PORT" */
	const char *tls_dir;		   /* NULL: no TLS, which only goes to loopback */
	uint64_t timeout_ms;		   /* of each call */
	bool json;
};

/*
 * Prints what the targets say, in the order of the flags: a table, or one JSON object with an array
 * of the command's name and one of errors. Errors go to error_out as well, a line each. Blocks
 * until the slowest target has answered or run out of time. -1 without any output: the flags are
 * wrong (ERR_INVALID_ARGUMENT, ERR_FAILED_PRECONDITION). -1 after it: some target failed, and err
 * has the code of the first.
 */
int show_run(const struct view *view, const struct show_config *config, FILE *out, FILE *error_out,
	     struct err *err);

#endif
