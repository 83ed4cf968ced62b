/* SPDX-License-Identifier: Apache-2.0 */
/* nvmeot-csi: the CSI plugin, as controller, node or both. Parses, wires up, serves, drains. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/nvmeot-csi/figures.h"
#include "cmd/nvmeot-csi/first.h"
#include "cmd/options.h"
#include "cmd/serve.h"
#include "csi/controller/controller.h"
#include "csi/controller/metadata.h"
#include "csi/group/group.h"
#include "csi/identity/identity.h"
#include "csi/node/attend.h"
#include "csi/node/keeper.h"
#include "csi/node/node.h"
#include "csi/node/startup.h"
#include "csi/node/vitals.h"
#include "csi/registration/registration.h"
#include "csi/request/topology.h"
#include "csi/volume/guard.h"
#include "nvme/base/log.h"

#define STARTUP_MAX_MS 15000
#define TOPOLOGY_KEY_SIZE 320 /* of a prefix, a slash and a name */

struct settings {
	const char *role, *endpoint, *driver_name;
	struct option_list targets;
	const char *tls_dir;
	bool insecure;
	const char *host_nqn_file, *state_dir, *max_volumes, *kubelet_dir;
	struct option_list topology;
	bool topology_aware;
	const char *http;
	const char *log_format, *log_level;
};

/* Everything the process holds; which parts are open depends on the role. */
struct plugin {
	bool is_controller, is_node;
	struct controller controller;
	struct host host;
	struct node node;
	struct identity identity;
	struct registration registration;
};

static void parse_options(struct settings *s, int argc, char **argv)
{
	const struct option_spec specs[] = {
		{ .name = "role",
		  .arg = "controller|node|all",
		  .text = &s->role,
		  .help = "what to serve (default: all)" },
		{ .name = "endpoint",
		  .arg = "unix:///PATH",
		  .text = &s->endpoint,
		  .help = "where to serve CSI" },
		{ .name = "driver-name",
		  .arg = "NAME",
		  .text = &s->driver_name,
		  .help = "CSI driver name (default: csi.nvmeot.io)" },
		{ .name = "target",
		  .arg = "NAME=HOST:PORT",
		  .list = &s->targets,
		  .help = "a target agent, of the controller's and for the node to attend; "
			  "repeatable" },
		{ .name = "tls-dir",
		  .arg = "DIR",
		  .text = &s->tls_dir,
		  .help = "ca.crt, tls.crt and tls.key towards the agents" },
		{ .name = "insecure", .flag = &s->insecure, .help = "talk to agents without TLS" },
		{ .name = "host-nqn-file",
		  .arg = "FILE",
		  .text = &s->host_nqn_file,
		  .help = "node: the host's NQN (default: /etc/nvme/hostnqn)" },
		{ .name = "state-dir",
		  .arg = "DIR",
		  .text = &s->state_dir,
		  .help = "node: what must outlive the process (default: /var/lib/nvmeot)" },
		{ .name = "max-volumes",
		  .arg = "N",
		  .text = &s->max_volumes,
		  .help = "node: volumes it can take in all (default: 128)" },
		{ .name = "kubelet-dir",
		  .arg = "DIR",
		  .text = &s->kubelet_dir,
		  .help = "node: register with the kubelet that has this directory, which is "
			  "mounted at the same path; --endpoint has to be below it (default: "
			  "node-driver-registrar does it)" },
		{ .name = "topology",
		  .arg = "KEY=VALUE",
		  .list = &s->topology,
		  .help = "node: a topology segment; repeatable" },
		{ .name = "topology-aware",
		  .flag = &s->topology_aware,
		  .help = "controller: targets have topology, and so have all nodes" },
		OPTION_HTTP(&s->http),
		OPTION_LOG(&s->log_format, &s->log_level),
		{ 0 },
	};
	const struct option_program program = {
		.doc = "CSI plugin for NVMe over TCP volumes. Every flag has an environment "
		       "variable: "
		       "--host-nqn-file is NVMEOT_HOST_NQN_FILE.",
		.specs = specs,
	};

	options_parse(&program, argc, argv, NULL);
}

static int check_role(const char *role, struct plugin *plugin, struct err *err)
{
	plugin->is_controller = strcmp(role, "controller") == 0 || strcmp(role, "all") == 0;
	plugin->is_node = strcmp(role, "node") == 0 || strcmp(role, "all") == 0;
	if (!plugin->is_controller && !plugin->is_node)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "--role \"%.32s\" is not controller, node or all", role);
	return 0;
}

static int open_agent(const struct settings *s, const char *item, struct agent **ret,
		      struct err *err)
{
	char name[TARGET_NAME_SIZE];
	const char *address;

	if (option_target(item, name, &address, err) < 0)
		return -1;
	return agent_new(name, address, s->tls_dir, ret, err);
}

static int add_target(const struct settings *s, const char *item, struct controller *controller,
		      struct err *err)
{
	struct agent *agent = NULL;

	if (open_agent(s, item, &agent, err) < 0)
		return -1;
	if (controller_add_target(controller, agent, err) < 0) {
		agent_free(agent);
		return -1;
	}
	return 0;
}

static int check_tls(const struct settings *s, struct err *err)
{
	if (s->targets.count && !s->tls_dir && !s->insecure)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "give --tls-dir to talk to the target agents, or --insecure");
	return 0;
}

static int open_controller(const struct settings *s, struct plugin *plugin, struct err *err)
{
	if (check_tls(s, err) < 0)
		return -1;
	for (size_t i = 0; i < s->targets.count; i++)
		if (add_target(s, s->targets.items[i], &plugin->controller, err) < 0)
			return -1;
	plugin->identity.checks[0] = (struct identity_check) { .check = controller_check,
							       .context = &plugin->controller };
	return 0;
}

static int add_topology(const struct settings *s, struct node *node, struct err *err)
{
	for (size_t i = 0; i < s->topology.count; i++) {
		char *key = xcalloc(1, TOPOLOGY_KEY_SIZE); /* lives as long as the process */
		const char *item = s->topology.items[i], *value;

		if (!option_split(item, key, TOPOLOGY_KEY_SIZE, &value))
			return err_set(err, ERR_INVALID_ARGUMENT,
				       "--topology \"%.100s\" is not KEY=VALUE", item);
		if (parse_label("--topology", key, value, err) < 0)
			return -1;
		if (node->topology_count == NODE_TOPOLOGY_MAX)
			return err_set(err, ERR_INVALID_ARGUMENT,
				       "--topology is given more than %d times", NODE_TOPOLOGY_MAX);
		node->topology[node->topology_count++] =
			(struct node_segment) { .key = key, .value = value };
	}
	return 0;
}

/* Without targets it attends none. */
static int open_attend(const struct settings *s, struct node *node, struct err *err)
{
	struct agent *agent = NULL;

	if (!s->targets.count)
		return 0;
	if (check_tls(s, err) < 0)
		return -1;
	node->attend = attend_new(node);
	for (size_t i = 0; i < s->targets.count; i++) {
		if (open_agent(s, s->targets.items[i], &agent, err) < 0)
			return -1;
		if (attend_add(node->attend, agent, err) < 0) {
			agent_free(agent);
			return -1;
		}
	}
	return 0;
}

static int open_node(const struct settings *s, struct plugin *plugin, struct err *err)
{
	struct host_paths paths = { .nqn_file = s->host_nqn_file, .state_dir = s->state_dir };
	uint64_t max_volumes;

	if (parse_u64("--max-volumes", s->max_volumes, 1, 65535, &max_volumes, err) < 0 ||
	    host_open(&plugin->host, &paths, err) < 0 ||
	    node_open(&plugin->node, &plugin->host, s->state_dir, err) < 0 ||
	    add_topology(s, &plugin->node, err) < 0 || open_attend(s, &plugin->node, err) < 0)
		return -1;
	plugin->node.max_volumes = (int64_t)max_volumes;
	plugin->identity.checks[1] =
		(struct identity_check) { .check = node_check, .context = &plugin->node };
	log_info("node", KV("host_nqn", plugin->host.identity.nqn),
		 KV("host_id", plugin->host.identity.id.text), KV("state_dir", s->state_dir));
	return 0;
}

/* Nobody is served meanwhile, so that no call meets what is half tidied. */
static int start_node(const struct settings *s, struct node *node, struct err *err)
{
	startup_warn(s->kubelet_dir);
	startup_reconcile(node, deadline_after_ms(STARTUP_MAX_MS));
	if (node->attend)
		attend_start(node->attend);
	return keeper_start(node, err);
}

/* Else it would freeze on order for as long as calls are drained. */
static void end_attending(void *node)
{
	attend_stop(((struct node *)node)->attend);
}

static size_t drain_node(void *node, struct deadline deadline)
{
	return node_drain(node, deadline);
}

static int is_fit(void *plugin, struct err *err)
{
	return node_vitals_fit(&((struct plugin *)plugin)->node, err);
}

static void put_figures(void *plugin, FILE *out)
{
	figures_put_node(&((struct plugin *)plugin)->node, out);
}

static int open_monitor(const struct settings *s, struct plugin *plugin, struct monitor **ret,
			struct err *err)
{
	const struct monitor_config config = { .address = s->http,
					       .program = "nvmeot-csi",
					       .role = s->role,
					       .ready = plugin->is_node ? is_fit : NULL,
					       .metrics = plugin->is_node ? put_figures : NULL,
					       .context = plugin };

	return monitor_new(&config, ret, err);
}

static void on_rejected(const char *why)
{
	char text[ERR_MESSAGE_SIZE];

	snprintf(text, sizeof(text), "the kubelet does not register this driver: %s", why);
	serve_fail(text);
}

static int open_registration(const struct settings *s, struct plugin *plugin, char **ret_endpoint,
			     struct err *err)
{
	plugin->registration =
		(struct registration) { .driver_name = s->driver_name, .rejected = on_rejected };
	return registration_place(&plugin->registration, s->kubelet_dir, s->endpoint, ret_endpoint,
				  err);
}

static int run(const struct settings *s, struct plugin *plugin, struct err *err)
{
	struct monitor *monitor cleanup_monitor = NULL;
	struct rpc_service services[6];
	cleanup_free char *also = NULL;
	struct rpc_server_config config = { .endpoint = s->endpoint, .services = services };
	struct serve_work jobs = { .begin = end_attending,
				   .drain = drain_node,
				   .context = &plugin->node };

	/* Whoever reaches the endpoint can mount as root: only a socket file has an owner. */
	if (!s->endpoint || strncmp(s->endpoint, "unix://", strlen("unix://")) != 0)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "--endpoint \"%.100s\" is not of the form unix:///PATH",
			       s->endpoint ?: "");
	if (check_role(s->role, plugin, err) < 0 || open_monitor(s, plugin, &monitor, err) < 0 ||
	    (plugin->is_controller && open_controller(s, plugin, err) < 0) ||
	    (plugin->is_node && open_node(s, plugin, err) < 0))
		return -1;
	plugin->identity.driver_name = s->driver_name;
	if (plugin->is_node && s->kubelet_dir && open_registration(s, plugin, &also, err) < 0)
		return -1;
	config.also = also;
	plugin->identity.topology_aware = s->topology_aware || s->topology.count;
	monitor_doing(monitor, "settling what an earlier process left");
	if (plugin->is_node && start_node(s, &plugin->node, err) < 0)
		return -1;
	services[config.service_count++] = identity_service(&plugin->identity);
	if (plugin->is_controller) {
		services[config.service_count++] = controller_service(&plugin->controller);
		services[config.service_count++] = group_service(&plugin->controller);
		services[config.service_count++] = metadata_service(&plugin->controller);
	}
	if (plugin->is_node) {
		config.max_workers = node_max_workers(&plugin->node);
		services[config.service_count++] = node_service(&plugin->node);
	}
	if (also)
		services[config.service_count++] = registration_service(&plugin->registration);
	return serve_until_signal(&config, plugin->is_node ? &jobs : NULL, monitor, err);
}

int main(int argc, char **argv)
{
	struct settings settings = { .role = "all",
				     .driver_name = "csi.nvmeot.io",
				     .host_nqn_file = "/etc/nvme/hostnqn",
				     .state_dir = "/var/lib/nvmeot",
				     .max_volumes = "128",
				     .log_format = "text",
				     .log_level = "info" };
	static struct plugin plugin = { .host = HOST_INIT, .node.state = ROOT_INIT };
	struct err err = ERR_INIT;
	int rc;

	if (argc == 3 && strcmp(argv[1], GUARD_COMMAND) == 0)
		return guard_main(argv[2]);
	parse_options(&settings, argc, argv);
	if (settings.targets.count && strcmp(settings.role, "controller") != 0 && first_is_us())
		return first_run(argv);
	serve_prepare();
	rc = log_init(settings.log_format, settings.log_level, &err);
	if (rc == 0)
		rc = run(&settings, &plugin, &err);
	if (rc < 0)
		log_error("cannot run", KV_ERR(&err));
	controller_fini(&plugin.controller);
	node_close(&plugin.node);
	host_close(&plugin.host);
	return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
