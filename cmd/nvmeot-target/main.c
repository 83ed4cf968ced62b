/* SPDX-License-Identifier: Apache-2.0 */
/* nvmeot-target: the agent of one storage box. Parses, restores the exports, then serves. */
#include <stdlib.h>
#include <string.h>

#include "cmd/nvmeot-target/figures.h"
#include "cmd/options.h"
#include "cmd/serve.h"
#include "csi/agent/attendance.h"
#include "csi/agent/service.h"
#include "nvme/base/log.h"
#include "nvme/target/target.h"

struct settings {
	const char *name, *listen;
	struct option_list portals, pools, topology, overcommit, clients;
	const char *tls_dir;
	bool insecure;
	const char *http;
	const char *log_format, *log_level;
};

static void parse_options(struct settings *s, int argc, char **argv)
{
	const struct option_spec specs[] = {
		{ .name = "name",
		  .arg = "ID",
		  .text = &s->name,
		  .help = "the target's ID, unique among all targets: a-z, 0-9, -" },
		{ .name = "listen",
		  .arg = "HOST:PORT",
		  .text = &s->listen,
		  .help = "where to serve the controller (default: 127.0.0.1:9500)" },
		{ .name = "portal",
		  .arg = "tcp://IP:PORT",
		  .list = &s->portals,
		  .help = "where hosts reach the volumes; repeatable" },
		{ .name = "pool",
		  .arg = "NAME=KIND:WHERE",
		  .list = &s->pools,
		  .help = "where volumes are kept: NAME=dir:/PATH or NAME=lvm:VG/THINPOOL; "
			  "repeatable" },
		{ .name = "overcommit",
		  .arg = "POOL=RATIO",
		  .list = &s->overcommit,
		  .help = "how many times its capacity a pool may promise to volumes, 1 to 100 "
			  "(default: 1, so that no volume meets a full pool); repeatable" },
		{ .name = "topology",
		  .arg = "KEY=VALUE",
		  .list = &s->topology,
		  .help = "where this target stands, like topology.kubernetes.io/zone=a (default: "
			  "reachable from everywhere); repeatable" },
		{ .name = "tls-dir",
		  .arg = "DIR",
		  .text = &s->tls_dir,
		  .help = "ca.crt, tls.crt and tls.key towards the controller" },
		{ .name = "client-name",
		  .arg = "NAME",
		  .list = &s->clients,
		  .help = "a name that a client's certificate must carry to be served (default: "
			  "nvmeot-controller and nvmeotctl); repeatable" },
		{ .name = "insecure",
		  .flag = &s->insecure,
		  .help = "serve without TLS; only on loopback" },
		OPTION_HTTP(&s->http),
		OPTION_LOG(&s->log_format, &s->log_level),
		{ 0 },
	};
	const struct option_program program = {
		.doc = "Target agent: serves volumes of this machine over NVMe/TCP. Every flag has "
		       "an "
		       "environment variable: --tls-dir is NVMEOT_TLS_DIR.",
		.specs = specs,
	};

	options_parse(&program, argc, argv, NULL);
}

static int check_settings(const struct settings *s, struct err *err)
{
	if (!s->name)
		return err_set(err, ERR_INVALID_ARGUMENT, "--name=ID is required and missing");
	if (!s->portals.count)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "--portal=tcp://IP:PORT is required and missing");
	if (!s->pools.count)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "--pool=NAME=dir:/PATH or --pool=NAME=lvm:VG/THINPOOL is required "
			       "and missing");
	if (!s->tls_dir && !s->insecure)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "give --tls-dir, or --insecure on loopback");
	return 0;
}

static int open_target(const struct settings *s, struct target **ret, struct err *err)
{
	struct portal portals[PORTAL_MAX];
	struct target_config config = { .id = s->name,
					.pools = s->pools.items,
					.pool_count = s->pools.count,
					.portals = portals,
					.topology = s->topology.items,
					.topology_count = s->topology.count,
					.overcommit = s->overcommit.items,
					.overcommit_count = s->overcommit.count };

	for (size_t i = 0; i < s->portals.count; i++) {
		if (config.portal_count == PORTAL_MAX)
			return err_set(err, ERR_INVALID_ARGUMENT, "more than %d portals",
				       PORTAL_MAX);
		if (portal_parse(s->portals.items[i], &portals[config.portal_count++], err) < 0)
			return -1;
	}
	return target_new(&config, ret, err);
}

/* The names that deploy/make-certs gives to clients. */
static const char *const default_clients[] = { "nvmeot-controller", "nvmeotctl" };

static void put_figures(void *target, FILE *out)
{
	figures_put_target(*(struct target **)target, out);
}

static void end_attendance(void *attendance)
{
	attendance_end(attendance);
}

static int run(const struct settings *s, struct err *err)
{
	struct target *target cleanup_target = NULL;
	struct attendance *attendance cleanup_attendance = NULL;
	struct monitor *monitor cleanup_monitor = NULL;
	const struct monitor_config monitor_config = { .address = s->http,
						       .program = "nvmeot-target",
						       .role = "target",
						       .metrics = put_figures,
						       .context = &target };
	cleanup_free char *endpoint = xasprintf("tcp://%s", s->listen);
	struct serve_work streams = { .begin = end_attendance };
	struct rpc_service services[2];
	struct rpc_server_config config = {
		.endpoint = endpoint,
		.tls_dir = s->tls_dir,
		.client_names = s->clients.count ? s->clients.items : default_clients,
		.client_name_count = s->clients.count ?: ARRAY_SIZE(default_clients),
		.services = services,
		.service_count = ARRAY_SIZE(services),
		/* Each node that attends holds one; there are no others. */
		.max_streams = ATTENDANCE_MAX,
	};

	if (check_settings(s, err) < 0 || monitor_new(&monitor_config, &monitor, err) < 0)
		return -1;
	monitor_doing(monitor, "opening pools and restoring exports");
	if (open_target(s, &target, err) < 0 || target_restore(target, err) < 0)
		return -1;
	attendance = attendance_new(target);
	streams.context = attendance;
	services[0] = agent_service(target);
	services[1] = attendance_service(attendance);
	return serve_until_signal(&config, &streams, monitor, err);
}

int main(int argc, char **argv)
{
	struct settings settings = { .listen = "127.0.0.1:9500",
				     .log_format = "text",
				     .log_level = "info" };
	struct err err = ERR_INIT;
	int rc;

	serve_prepare();
	setenv("LC_ALL", "C", 1); /* lvm2's words are looked at */
	parse_options(&settings, argc, argv);
	rc = log_init(settings.log_format, settings.log_level, &err);
	if (rc == 0)
		rc = run(&settings, &err);
	if (rc < 0)
		log_error("cannot run", KV_ERR(&err));
	return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
