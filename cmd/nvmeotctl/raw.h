/* SPDX-License-Identifier: Apache-2.0 */
/* Raw calls: any method of a CSI socket or of a target agent, JSON in and out. */
#ifndef CMD_NVMEOTCTL_RAW_H
#define CMD_NVMEOTCTL_RAW_H

#include <stdint.h>

#include "nvme/base/err.h"

struct raw_config {
	const char *endpoint; /* "unix:///PATH" or "HOST:PORT"; NULL is ERR_INVALID_ARGUMENT */
	const char *tls_dir;  /* NULL: no TLS */
	uint64_t timeout_ms;
};

/*
 * argv: SERVICE METHOD [JSON] makes one call and prints the answer. "-" takes such lines from stdin
 * until its end, and answers each with a line, "OK JSON" or "CODE message".
 */
int raw_run(const struct raw_config *config, int argc, char **argv, struct err *err);

#endif
