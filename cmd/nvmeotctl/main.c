/* SPDX-License-Identifier: Apache-2.0 */
/* nvmeotctl: the operator's tool. Lists what target agents have, and makes raw calls. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/nvmeotctl/raw.h"
#include "cmd/nvmeotctl/show.h"
#include "cmd/nvmeotctl/text.h"
#include "cmd/options.h"
#include "csi/rpc/status.h"
#include "nvme/base/parse.h"
#include "nvme/base/strb.h"

struct settings {
	struct option_list targets;
	const char *endpoint, *tls_dir, *timeout, *output;
};

static void parse_options(struct settings *s, int argc, char **argv, int *ret_first)
{
	const struct option_spec specs[] = {
		{ .name = "target",
		  .arg = "NAME=HOST:PORT",
		  .list = &s->targets,
		  .help = "a target agent to ask; repeatable" },
		{ .name = "output",
		  .letter = 'o',
		  .arg = "table|json",
		  .text = &s->output,
		  .help = "of the lists (default: table)" },
		{ .name = "endpoint",
		  .arg = "ADDRESS",
		  .text = &s->endpoint,
		  .help = "rpc: unix:///PATH of a CSI socket, or HOST:PORT of a target agent" },
		{ .name = "tls-dir",
		  .arg = "DIR",
		  .text = &s->tls_dir,
		  .help = "ca.crt, tls.crt and tls.key; without it no TLS" },
		{ .name = "timeout",
		  .arg = "DURATION",
		  .text = &s->timeout,
		  .help = "how long to wait for an answer (default: 30s; of rpc: 2m)" },
		{ 0 },
	};
	const struct option_program program = {
		.doc = "Shows what target agents have, or calls any method of a CSI plugin or an "
		       "agent. Lists come from every --target at once; one that fails is named on "
		       "stderr, the others are shown. The exit status is the gRPC code (of the "
		       "first failure)."
		       "\v"
		       "volumes: all volumes, how they are exported, and what is wrong with them\n"
		       "targets: the agents and the room in their pools\n"
		       "exports: which hosts may reach which volumes\n"
		       "snapshots: what was kept of volumes, and when\n"
		       "orphans: what lies in pools and in the kernel and belongs to no volume\n"
		       "rpc: one call at --endpoint, JSON in and out; with - calls from stdin, a "
		       "line each\n\n"
		       "Every flag has an environment variable: --tls-dir is NVMEOT_TLS_DIR.",
		.args_doc = "volumes\ntargets\nexports\nsnapshots\norphans\n"
			    "rpc SERVICE METHOD [JSON]\nrpc -",
		.specs = specs,
	};

	options_parse(&program, argc, argv, ret_first);
}

static int run_raw(const struct settings *s, int argc, char **argv, struct err *err)
{
	struct raw_config config = { .endpoint = s->endpoint, .tls_dir = s->tls_dir };

	if (parse_duration_ms("--timeout", s->timeout ?: "2m", &config.timeout_ms, err) < 0)
		return -1;
	return raw_run(&config, argc, argv, err);
}

static int run_view(const struct settings *s, const struct view *view, int argc, char **argv,
		    struct err *err)
{
	struct show_config config = { .targets = &s->targets,
				      .tls_dir = s->tls_dir,
				      .json = strcmp(s->output, "json") == 0 };

	if (argc)
		return err_set(err, ERR_INVALID_ARGUMENT, "%s takes no argument, so no \"%.64s\"",
			       view->command, argv[0]);
	if (!config.json && strcmp(s->output, "table") != 0)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "--output \"%.64s\" is neither table nor json", s->output);
	if (parse_duration_ms("--timeout", s->timeout ?: "30s", &config.timeout_ms, err) < 0)
		return -1;
	return show_run(view, &config, stdout, stderr, err);
}

static int run(const struct settings *s, int argc, char **argv, struct err *err)
{
	const char *command = argc ? argv[0] : "";
	char known[256];
	struct strb list = strb_over(known, sizeof(known));

	if (strcmp(command, "rpc") == 0)
		return run_raw(s, argc - 1, argv + 1, err);
	for (const struct view *view = view_all; view->command; view++) {
		if (strcmp(command, view->command) == 0)
			return run_view(s, view, argc - 1, argv + 1, err);
		strb_addf(&list, "%s, ", view->command);
	}
	return err_set(err, ERR_INVALID_ARGUMENT,
		       "command \"%.64s\" is none of %srpc; see nvmeotctl --help", command, known);
}

int main(int argc, char **argv)
{
	struct settings settings = { .output = "table" };
	struct err err = ERR_INIT;
	int first;

	parse_options(&settings, argc, argv, &first);
	if (run(&settings, argc - first, argv + first, &err) == 0)
		return EXIT_SUCCESS;
	text_tidy(err.msg);
	fprintf(stderr, "%s: %s\n", err_code_name(err.code), err.msg);
	return rpc_status_of(err.code);
}
