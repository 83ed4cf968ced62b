/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command lines of all programs: glibc's argp, plus an environment variable for every flag
 * (--host-nqn-file is NVMEOT_HOST_NQN_FILE). A flag on the command line beats its variable. A
 * repeatable flag takes a blank-separated list from its variable; a switch takes 1, true, 0, false.
 * An empty variable counts as absent. Flags may stand before, between and after other arguments.
 */
#ifndef CMD_OPTIONS_H
#define CMD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "csi/request/ids.h"
#include "nvme/base/err.h"

#define OPTION_LIST_MAX 256

/* The values of a repeatable flag; borrowed from argv or the environment. */
struct option_list {
	const char *items[OPTION_LIST_MAX];
	size_t count;
};

/* One flag. Exactly one of text, list and flag says where its value goes. */
struct option_spec {
	const char *name; /* without dashes; NULL ends a table */
	char letter;	  /* its short form, "-o"; 0: none */
	const char *arg;  /* what the help calls the value; NULL: a switch */
	const char *help;
	const char **text; /* holds the default */
	struct option_list *list;
	bool *flag;
};

/* Where a server answers probes; see cmd/monitor.h. */
#define OPTION_HTTP(address)                                                                       \
	{                                                                                          \
		.name = "http", .arg = "IP:PORT", .text = (address),                               \
		.help = "serve /livez, /readyz and /metrics there; [IPv6]:PORT, too (default: "    \
			"nowhere)"                                                                 \
	}

/* The flags of a server's log; log_init has the last word on their values. */
#define OPTION_LOG(format, level)                                                                  \
	{ .name = "log-format", .arg = "text|json", .text = (format), .help = "(default: text)" }, \
	{                                                                                          \
		.name = "log-level", .arg = "LEVEL", .text = (level),                              \
		.help = "debug, info, warning or error (default: info)"                            \
	}

/* Positional arguments; args_doc NULL: none are taken. */
struct option_program {
	const char *doc;
	const char *args_doc;
	const struct option_spec *specs;
};

/*
 * Parses the environment, then argv. Ends the process with usage on --help, --version and wrong
 * flags. Other arguments are moved to the end of argv, from *ret_first on.
 */
void options_parse(const struct option_program *program, int argc, char **argv, int *ret_first);

/* Splits "NAME=VALUE" at the first '='; false when there is none or NAME is empty. */
bool option_split(const char *item, char *name, size_t name_size, const char **ret_value);

/*
 * Splits an item of --target, "NAME=HOST:PORT"; the address is borrowed from it and is not looked
 * at. ERR_INVALID_ARGUMENT: no '=', or NAME is not one of a target.
 */
int option_target(const char *item, char ret_name[TARGET_NAME_SIZE], const char **ret_address,
		  struct err *err);

#endif
