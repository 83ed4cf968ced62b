/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bad input to the whole plugin, over a real socket: each row is answered with the right code and a
 * sentence that names field and value, nothing is left behind, and the server goes on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "csi.pb-c.h"
#include "csi/agent/service.h"
#include "csi/controller/controller.h"
#include "csi/group/group.h"
#include "csi/identity/identity.h"
#include "csi/node/node.h"
#include "csi/rpc/client.h"
#include "csi/rpc/json.h"
#include "csi/rpc/server.h"
#include "target.pb-c.h"

#define CONTROLLER "csi.v1.Controller"
#define GROUP "csi.v1.GroupController"
#define NODE "csi.v1.Node"
#define TARGET "nvmeot.target.v1.Target"

#define RWO "\"access_mode\":{\"mode\":\"SINGLE_NODE_WRITER\"}"
#define MOUNT "{\"mount\":{}," RWO "}"
#define BLOCK "{\"block\":{}," RWO "}"
#define CAPS "\"volume_capabilities\":[" MOUNT "]"
#define UUID "11111111-2222-5333-8444-555555555555"
#define ID "\"volume_id\":\"t1/p1/" UUID "\""
#define HOST "nqn.2014-08.org.nvmexpress:uuid:" UUID
#define SUBSYSTEM "nqn.2026-11.io.nvmeot:" UUID
#define CONTEXT(nqn, portals, uuid, size, blank)                                                   \
	"\"publish_context\":{\"nqn\":\"" nqn "\",\"portals\":\"" portals "\",\"nsUuid\":\"" uuid  \
	"\",\"sizeBytes\":\"" size "\",\"blank\":\"" blank "\"}"
#define GOOD_CONTEXT CONTEXT(SUBSYSTEM, "tcp://127.0.0.1:4420", UUID, "1073741824", "true")
#define STAGING "\"staging_target_path\":\"@/staging\""
#define STAGE_WITH(context) "{" ID "," STAGING ",\"volume_capability\":" MOUNT "," context "}"
#define X16 "xxxxxxxxxxxxxxxx"
#define LONG_128 X16 X16 X16 X16 X16 X16 X16 X16

/* "@" in a request stands for the test's directory. */
struct row {
	const char *service, *method, *request;
	enum err_code code;
	const char *regex;
};

static const struct row rows[] = {
	/* CreateVolume */
	{ CONTROLLER, "CreateVolume", "{" CAPS "}", ERR_INVALID_ARGUMENT, "^name is required" },
	{ CONTROLLER, "CreateVolume", "{\"name\":\"" LONG_128 "y\"," CAPS "}", ERR_INVALID_ARGUMENT,
	  "name .* is 129 bytes long; at most 128" },
	{ CONTROLLER, "CreateVolume", "{\"name\":\"a\\u0007b\"," CAPS "}", ERR_INVALID_ARGUMENT,
	  "name holds the control character 0x07" },
	{ CONTROLLER, "CreateVolume", "{\"name\":\"v\"}", ERR_INVALID_ARGUMENT,
	  "volume_capabilities is required" },
	{ CONTROLLER, "CreateVolume", "{\"name\":\"v\",\"volume_capabilities\":[{\"mount\":{}}]}",
	  ERR_INVALID_ARGUMENT, "access_mode is required" },
	{ CONTROLLER, "CreateVolume", "{\"name\":\"v\",\"volume_capabilities\":[{" RWO "}]}",
	  ERR_INVALID_ARGUMENT, "neither block nor mount" },
	{ CONTROLLER, "CreateVolume",
	  "{\"name\":\"v\",\"volume_capabilities\":[" MOUNT "," BLOCK "]}", ERR_INVALID_ARGUMENT,
	  "both block and mount" },
	{ CONTROLLER, "CreateVolume",
	  "{\"name\":\"v\",\"volume_capabilities\":[{\"mount\":{\"fs_type\":\"ntfs\"}," RWO "}]}",
	  ERR_INVALID_ARGUMENT, "fs_type \"ntfs\" is not supported; use ext4" },
	{ CONTROLLER, "CreateVolume",
	  "{\"name\":\"v\"," CAPS ",\"parameters\":{\"colour\":\"red\"}}", ERR_INVALID_ARGUMENT,
	  "parameter \"colour\" is unknown; known are: .*writeCache" },
	{ CONTROLLER, "CreateVolume",
	  "{\"name\":\"v\"," CAPS ",\"parameters\":{\"nrIoQueues\":\"many\"}}",
	  ERR_INVALID_ARGUMENT, "nrIoQueues \"many\" is not a whole number from 1 to 128" },
	{ CONTROLLER, "CreateVolume",
	  "{\"name\":\"v\"," CAPS ",\"parameters\":{\"pool\":\"../etc\"}}", ERR_INVALID_ARGUMENT,
	  "pool \"\\.\\./etc\"" },
	{ CONTROLLER, "CreateVolume",
	  "{\"name\":\"v\"," CAPS ",\"parameters\":{\"mkfsOptions\":\"-d /etc\"}}",
	  ERR_INVALID_ARGUMENT, "mkfsOptions" },
	{ CONTROLLER, "CreateVolume",
	  "{\"name\":\"v\"," CAPS ",\"capacity_range\":{\"required_bytes\":-1}}",
	  ERR_INVALID_ARGUMENT, "required_bytes -1 .* must not be negative" },
	{ CONTROLLER, "CreateVolume", "{\"name\":\"v\"," CAPS ",\"capacity_range\":{}}",
	  ERR_INVALID_ARGUMENT, "both 0" },
	{ CONTROLLER, "CreateVolume",
	  "{\"name\":\"v\"," CAPS ",\"capacity_range\":{\"required_bytes\":2,\"limit_bytes\":1}}",
	  ERR_INVALID_ARGUMENT, "limit_bytes 1 is less than required_bytes 2" },
	{ CONTROLLER, "CreateVolume",
	  "{\"name\":\"v\"," CAPS ",\"capacity_range\":{\"required_bytes\":9223372036854775807}}",
	  ERR_OUT_OF_RANGE, "9223372036854775807 is more than the largest" },
	{ CONTROLLER, "CreateVolume",
	  "{\"name\":\"v\"," CAPS
	  ",\"volume_content_source\":{\"snapshot\":{\"snapshot_id\":\"s\"}}}",
	  ERR_NOT_FOUND, "snapshot \"s\" does not exist: .*target/pool/@uuid" },
	{ CONTROLLER, "CreateVolume", "{\"name\":\"v\"," CAPS ",\"volume_content_source\":{}}",
	  ERR_INVALID_ARGUMENT, "neither a snapshot nor a volume" },
	{ CONTROLLER, "CreateVolume",
	  "{\"name\":\"v\"," CAPS ",\"volume_content_source\":{\"volume\":{}}}",
	  ERR_INVALID_ARGUMENT, "volume_content_source.volume.volume_id is required" },
	{ CONTROLLER, "CreateVolume",
	  "{\"name\":\"v\"," CAPS ",\"mutable_parameters\":{\"iops\":\"5\"}}", ERR_INVALID_ARGUMENT,
	  "parameter \"iops\" is unknown; known mutable ones are: nrIoQueues" },
	{ CONTROLLER, "CreateVolume",
	  "{\"name\":\"v\"," CAPS ",\"mutable_parameters\":{\"queueSize\":\"5\"}}",
	  ERR_INVALID_ARGUMENT,
	  "mutable_parameters: parameter queueSize \"5\" is not a whole number from 16 to 1024" },
	/* snapshots and groups */
	{ CONTROLLER, "CreateSnapshot", "{\"name\":\"s\"}", ERR_INVALID_ARGUMENT,
	  "source_volume_id is required" },
	{ CONTROLLER, "CreateSnapshot", "{\"source_volume_id\":\"t1/p1/" UUID "\"}",
	  ERR_INVALID_ARGUMENT, "^name is required" },
	{ CONTROLLER, "CreateSnapshot",
	  "{\"name\":\"s\",\"source_volume_id\":\"v\",\"parameters\":{\"colour\":\"red\"}}",
	  ERR_INVALID_ARGUMENT, "parameter \"colour\" is unknown: snapshots take freeze" },
	{ CONTROLLER, "CreateSnapshot", "{\"name\":\"s\",\"source_volume_id\":\"t1/p1/x\"}",
	  ERR_NOT_FOUND, "target/pool/uuid" },
	{ CONTROLLER, "DeleteSnapshot", "{}", ERR_INVALID_ARGUMENT, "snapshot_id is required" },
	{ CONTROLLER, "GetSnapshot", "{\"snapshot_id\":\"t1/../x\"}", ERR_NOT_FOUND,
	  "\"t1/\\.\\./x\" does not exist: .*target/pool/@uuid" },
	{ CONTROLLER, "ListSnapshots", "{\"max_entries\":-1}", ERR_INVALID_ARGUMENT,
	  "max_entries -1 is negative" },
	{ CONTROLLER, "ListSnapshots", "{\"starting_token\":\"x\"}", ERR_ABORTED,
	  "starting_token \"x\"" },
	{ GROUP, "CreateVolumeGroupSnapshot", "{\"name\":\"g\"}", ERR_INVALID_ARGUMENT,
	  "source_volume_ids is required" },
	{ GROUP, "CreateVolumeGroupSnapshot", "{\"name\":\"g\",\"source_volume_ids\":[\"v\"]}",
	  ERR_NOT_FOUND, "target/pool/uuid" },
	{ GROUP, "DeleteVolumeGroupSnapshot", "{}", ERR_INVALID_ARGUMENT,
	  "group_snapshot_id is required" },
	{ GROUP, "GetVolumeGroupSnapshot", "{\"group_snapshot_id\":\"t1/p1/" UUID "\"}",
	  ERR_NOT_FOUND, "target/@@uuid" },
	/* the other controller calls */
	{ CONTROLLER, "DeleteVolume", "{}", ERR_INVALID_ARGUMENT, "volume_id is required" },
	{ CONTROLLER, "DeleteVolume", "{" ID "}", ERR_FAILED_PRECONDITION, "target \"t1\"" },
	{ CONTROLLER, "ControllerPublishVolume", "{}", ERR_INVALID_ARGUMENT,
	  "volume_id is required" },
	{ CONTROLLER, "ControllerPublishVolume", "{" ID "}", ERR_INVALID_ARGUMENT,
	  "node_id is required" },
	{ CONTROLLER, "ControllerPublishVolume", "{" ID ",\"node_id\":\"" HOST "\"}",
	  ERR_INVALID_ARGUMENT, "volume_capability is required" },
	{ CONTROLLER, "ControllerPublishVolume",
	  "{\"volume_id\":\"t1/../../x\",\"node_id\":\"" HOST "\",\"volume_capability\":" MOUNT "}",
	  ERR_NOT_FOUND, "\"t1/\\.\\./\\.\\./x\" does not exist: .*target/pool/uuid" },
	{ CONTROLLER, "ControllerPublishVolume",
	  "{\"volume_id\":\"v\",\"node_id\":\"" HOST "\",\"volume_capability\":" MOUNT
	  ",\"volume_context\":{\"nqn\":\"nonsense\",\"portals\":\"tcp://127.0.0.1:4420\"}}",
	  ERR_INVALID_ARGUMENT, "nqn \"nonsense\" is not an NQN" },
	{ CONTROLLER, "ControllerPublishVolume",
	  "{\"volume_id\":\"v\",\"node_id\":\"" HOST
	  "\",\"volume_capability\":{\"mount\":{},\"access_mode\":{\"mode\":\"MULTI_NODE_MULTI_"
	  "WRITER\"}}"
	  ",\"volume_context\":{\"nqn\":\"" SUBSYSTEM
	  "\",\"portals\":\"tcp://127.0.0.1:4420\",\"nsid\":\"1\"}}",
	  ERR_INVALID_ARGUMENT, "MULTI_NODE_MULTI_WRITER: a statically provisioned file system" },
	{ CONTROLLER, "ControllerUnpublishVolume", "{}", ERR_INVALID_ARGUMENT,
	  "volume_id is required" },
	{ CONTROLLER, "ValidateVolumeCapabilities", "{" ID "}", ERR_INVALID_ARGUMENT,
	  "volume_capabilities is required" },
	{ CONTROLLER, "ListVolumes", "{\"starting_token\":\"nonsense\"}", ERR_ABORTED,
	  "starting_token \"nonsense\" is none of" },
	{ CONTROLLER, "ListVolumes", "{\"max_entries\":-1}", ERR_INVALID_ARGUMENT,
	  "max_entries -1 is negative" },
	{ CONTROLLER, "ControllerGetVolume", "{}", ERR_INVALID_ARGUMENT, "volume_id is required" },
	{ CONTROLLER, "ControllerGetVolume", "{\"volume_id\":\"x\"}", ERR_NOT_FOUND,
	  "\"x\" does not exist: .*target/pool/uuid" },
	{ CONTROLLER, "ControllerExpandVolume", "{}", ERR_INVALID_ARGUMENT,
	  "volume_id is required" },
	{ CONTROLLER, "ControllerExpandVolume", "{" ID "}", ERR_INVALID_ARGUMENT,
	  "capacity_range is required" },
	{ CONTROLLER, "ControllerExpandVolume",
	  "{" ID ",\"capacity_range\":{\"required_bytes\":1},\"volume_capability\":{\"mount\":{}}}",
	  ERR_INVALID_ARGUMENT, "access_mode is required" },
	{ CONTROLLER, "ControllerExpandVolume",
	  "{" ID ",\"capacity_range\":{\"required_bytes\":1}}", ERR_NOT_FOUND, "target \"t1\"" },
	{ CONTROLLER, "ControllerModifyVolume", "{}", ERR_INVALID_ARGUMENT,
	  "volume_id is required" },
	{ CONTROLLER, "ControllerModifyVolume", "{" ID "}", ERR_INVALID_ARGUMENT,
	  "mutable_parameters is required" },
	{ CONTROLLER, "ControllerModifyVolume", "{" ID ",\"mutable_parameters\":{\"pool\":\"p2\"}}",
	  ERR_INVALID_ARGUMENT, "\"pool\" cannot be changed after creation" },
	{ CONTROLLER, "ControllerModifyVolume",
	  "{" ID ",\"mutable_parameters\":{\"queueSize\":\"64\"}}", ERR_NOT_FOUND, "\"t1\"" },
	{ CONTROLLER, "ControllerGetVolumeHealth", "{}", ERR_INVALID_ARGUMENT,
	  "volume_id is required" },
	{ CONTROLLER, "ControllerGetVolumeHealth", "{" ID "}", ERR_NOT_FOUND, "target \"t1\"" },
	{ CONTROLLER, "ControllerListVolumeHealth", "{\"starting_token\":\"nonsense\"}",
	  ERR_ABORTED, "starting_token \"nonsense\" is none of" },
	{ CONTROLLER, "ControllerListVolumeHealth", "{\"max_entries\":-1}", ERR_INVALID_ARGUMENT,
	  "max_entries -1 is negative" },
	{ CONTROLLER, "GetCapacity", "{\"parameters\":{\"colour\":\"red\"}}", ERR_INVALID_ARGUMENT,
	  "parameter \"colour\" is unknown" },
	/* NodeStageVolume */
	{ NODE, "NodeStageVolume", "{}", ERR_INVALID_ARGUMENT, "volume_id is required" },
	{ NODE, "NodeStageVolume", "{" ID "}", ERR_INVALID_ARGUMENT,
	  "staging_target_path is required" },
	{ NODE, "NodeStageVolume", "{" ID "," STAGING "}", ERR_INVALID_ARGUMENT,
	  "volume_capability is required" },
	{ NODE, "NodeStageVolume", "{" ID "," STAGING ",\"volume_capability\":" MOUNT "}",
	  ERR_INVALID_ARGUMENT, "publish_context needs nqn and portals" },
	{ NODE, "NodeStageVolume",
	  STAGE_WITH(CONTEXT("nqn.bad", "tcp://127.0.0.1:4420", UUID, "1", "true")),
	  ERR_INVALID_ARGUMENT, "nqn \"nqn.bad\" is not an NQN" },
	{ NODE, "NodeStageVolume", STAGE_WITH(CONTEXT(SUBSYSTEM, "127.0.0.1", UUID, "1", "true")),
	  ERR_INVALID_ARGUMENT, "portal \"127.0.0.1\" is not of the form tcp://IP:PORT" },
	{ NODE, "NodeStageVolume",
	  STAGE_WITH(CONTEXT(SUBSYSTEM, "tcp://storage.example:4420", UUID, "1", "true")),
	  ERR_INVALID_ARGUMENT, "storage.example" },
	{ NODE, "NodeStageVolume",
	  STAGE_WITH(CONTEXT(SUBSYSTEM, "tcp://127.0.0.1:4420", "1-2-3", "1", "true")),
	  ERR_INVALID_ARGUMENT, "nsUuid \"1-2-3\" is not a UUID" },
	{ NODE, "NodeStageVolume",
	  STAGE_WITH(CONTEXT(SUBSYSTEM, "tcp://127.0.0.1:4420", UUID, "0", "true")),
	  ERR_INVALID_ARGUMENT, "sizeBytes \"0\"" },
	{ NODE, "NodeStageVolume",
	  STAGE_WITH(CONTEXT(SUBSYSTEM, "tcp://127.0.0.1:4420", UUID, "1", "maybe")),
	  ERR_INVALID_ARGUMENT, "blank \"maybe\" is not true or false" },
	{ NODE, "NodeStageVolume",
	  "{" ID ",\"staging_target_path\":\"relative\",\"volume_capability\":" MOUNT
	  "," GOOD_CONTEXT "}",
	  ERR_INVALID_ARGUMENT, "staging_target_path \"relative\" is not an absolute path" },
	{ NODE, "NodeStageVolume",
	  "{" ID ",\"staging_target_path\":\"@/../etc\",\"volume_capability\":" MOUNT
	  "," GOOD_CONTEXT "}",
	  ERR_INVALID_ARGUMENT, "is not an absolute path without" },
	{ NODE, "NodeStageVolume",
	  "{" ID ",\"staging_target_path\":\"@/absent\",\"volume_capability\":" MOUNT
	  "," GOOD_CONTEXT "}",
	  ERR_INVALID_ARGUMENT, "/absent\": No such file" },
	{ NODE, "NodeStageVolume",
	  "{" ID ",\"staging_target_path\":\"@/link\",\"volume_capability\":" MOUNT "," GOOD_CONTEXT
	  "}",
	  ERR_INVALID_ARGUMENT, "/link\" is a symbolic link, not a directory" },
	{ NODE, "NodeStageVolume",
	  "{" ID ",\"staging_target_path\":\"@/file\",\"volume_capability\":" MOUNT "," GOOD_CONTEXT
	  "}",
	  ERR_INVALID_ARGUMENT, "/file\" is a file, not a directory" },
	{ NODE, "NodeUnstageVolume", "{}", ERR_INVALID_ARGUMENT, "volume_id is required" },
	{ NODE, "NodeUnstageVolume", "{" ID "}", ERR_INVALID_ARGUMENT,
	  "staging_target_path is required" },
	/* NodePublishVolume */
	{ NODE, "NodePublishVolume", "{}", ERR_INVALID_ARGUMENT, "volume_id is required" },
	{ NODE, "NodePublishVolume", "{" ID "}", ERR_INVALID_ARGUMENT, "target_path is required" },
	{ NODE, "NodePublishVolume", "{" ID ",\"target_path\":\"@/pod\"}", ERR_INVALID_ARGUMENT,
	  "volume_capability is required" },
	{ NODE, "NodePublishVolume",
	  "{" ID ",\"target_path\":\"@/pod\",\"volume_capability\":" MOUNT "}",
	  ERR_INVALID_ARGUMENT, "staging_target_path is required" },
	{ NODE, "NodePublishVolume",
	  "{" ID ",\"target_path\":\"@/no/such/pod\",\"volume_capability\":" MOUNT "," STAGING
	  "," GOOD_CONTEXT "}",
	  ERR_INVALID_ARGUMENT, "target_path .*/no/such/pod\": the directory above it does not" },
	{ NODE, "NodePublishVolume",
	  "{" ID ",\"target_path\":\"@/pod\",\"volume_capability\":" MOUNT "," STAGING
	  "," GOOD_CONTEXT "}",
	  ERR_FAILED_PRECONDITION, "t1/p1/" UUID "\" is not staged at .*/staging" },
	{ NODE, "NodeUnpublishVolume", "{}", ERR_INVALID_ARGUMENT, "volume_id is required" },
	{ NODE, "NodeUnpublishVolume", "{" ID "}", ERR_INVALID_ARGUMENT,
	  "target_path is required" },
	{ NODE, "NodeUnpublishVolume", "{" ID ",\"target_path\":\"/\"}", ERR_INVALID_ARGUMENT,
	  "target_path \"/\" is not an absolute path" },
	{ NODE, "NodeUnpublishVolume", "{" ID ",\"target_path\":\"@\"}", ERR_FAILED_PRECONDITION,
	  "holds files; it is left alone" },
	/* what looks at a volume, or grows it */
	{ NODE, "NodeGetVolumeStats", "{}", ERR_INVALID_ARGUMENT, "volume_id is required" },
	{ NODE, "NodeGetVolumeStats", "{" ID "}", ERR_INVALID_ARGUMENT, "volume_path is required" },
	{ NODE, "NodeGetVolumeStats", "{" ID ",\"volume_path\":\"@/pod\"}", ERR_NOT_FOUND,
	  "t1/p1/" UUID "\" is not at .*/pod: no mount is there" },
	{ NODE, "NodeGetVolumeStats", "{\"volume_id\":\"other\",\"volume_path\":\"@/pod\"}",
	  ERR_NOT_FOUND, "volume \"other\" is not staged on this node" },
	{ NODE, "NodeGetVolumeHealth", "{}", ERR_INVALID_ARGUMENT, "volume_id is required" },
	{ NODE, "NodeGetVolumeHealth", "{" ID ",\"volume_publish_path\":\"pod\"}", ERR_NOT_FOUND,
	  "pod" },
	{ NODE, "NodeGetVolumeHealth", "{" ID "}", ERR_NOT_FOUND, "is not staged on this node" },
	{ NODE, "NodeExpandVolume", "{" ID "}", ERR_INVALID_ARGUMENT, "volume_path is required" },
	{ NODE, "NodeExpandVolume", "{" ID ",\"volume_path\":\"@/pod\"}", ERR_NOT_FOUND,
	  "no mount is there" },
	/* the target agent */
	{ TARGET, "CreateVolume", "{\"uuid\":\"x\",\"name\":\"v\",\"size_bytes\":4096}",
	  ERR_INVALID_ARGUMENT, "uuid \"x\" is not a UUID" },
	{ TARGET, "CreateVolume", "{\"uuid\":\"" UUID "\",\"size_bytes\":4096}",
	  ERR_INVALID_ARGUMENT, "name is required" },
	{ TARGET, "CreateVolume", "{\"uuid\":\"" UUID "\",\"name\":\"v\"}", ERR_INVALID_ARGUMENT,
	  "size_bytes 0 is not positive" },
	{ TARGET, "CreateVolume",
	  "{\"uuid\":\"" UUID "\",\"name\":\"v\",\"size_bytes\":4096,\"pool\":\"../x\"}",
	  ERR_INVALID_ARGUMENT, "pool \"\\.\\./x\"" },
	{ TARGET, "GetVolume", "{}", ERR_INVALID_ARGUMENT, "uuid is required" },
	{ TARGET, "DeleteVolume", "{\"uuid\":\"" UUID "\",\"pool\":\"p1\"}",
	  ERR_FAILED_PRECONDITION, "for target \"\", but this is the agent of target \"t1\"" },
	{ TARGET, "DeleteVolume", "{\"uuid\":\"" UUID "\",\"pool\":\"other\",\"target_id\":\"t1\"}",
	  ERR_FAILED_PRECONDITION, "has no pool \"other\"" },
	{ TARGET, "Export",
	  "{\"uuid\":\"" UUID
	  "\",\"host_nqn\":\"../../hosts\",\"mode\":\"ACCESS_MODE_SINGLE_NODE\"}",
	  ERR_INVALID_ARGUMENT, "host_nqn \"\\.\\./\\.\\./hosts\" is not an NQN" },
	{ TARGET, "Export", "{\"uuid\":\"" UUID "\",\"host_nqn\":\"" HOST "\"}",
	  ERR_INVALID_ARGUMENT, "mode 0 is not an access mode" },
};

static const ProtobufCServiceDescriptor *const descriptors[] = {
	&csi__v1__controller__descriptor,
	&csi__v1__group_controller__descriptor,
	&csi__v1__node__descriptor,
	&nvmeot__target__v1__target__descriptor,
};

/* The whole plugin and an agent's service behind one socket, in a directory of its own. */
struct fixture {
	char dir[64];
	struct host host;
	struct node node;
	struct controller controller;
	struct identity identity;
	struct target *target;
	struct rpc_server *server;
	struct rpc_client *client;
};

static char *below(const struct fixture *f, const char *name)
{
	return xasprintf("%s/%s", f->dir, name);
}

static void make(const struct fixture *f, const char *name)
{
	cleanup_free char *path = below(f, name);

	assert_int_equal(mkdir(path, 0755), 0);
}

static void make_tree(const struct fixture *f)
{
	static const char *const dirs[] = { "staging",	       "state",	      "pool",
					    "nvmet",	       "nvmet/hosts", "nvmet/ports",
					    "nvmet/subsystems" };
	cleanup_free char *link = below(f, "link");
	cleanup_free char *file = below(f, "file");
	cleanup_free char *machine_id = below(f, "machine-id");
	FILE *out;

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		make(f, dirs[i]);
	assert_int_equal(symlink("staging", link), 0);
	assert_non_null(out = fopen(file, "w"));
	fclose(out);
	assert_non_null(out = fopen(machine_id, "w"));
	fputs("0123456789abcdef0123456789abcdef\n", out);
	fclose(out);
}

static void open_parts(struct fixture *f)
{
	cleanup_free char *state = below(f, "state");
	cleanup_free char *machine_id = below(f, "machine-id");
	cleanup_free char *nvmet = below(f, "nvmet");
	cleanup_free char *pool = xasprintf("p1=dir:%s/pool", f->dir);
	const char *pools[] = { pool };
	struct host_paths paths = { .nqn_file = "/nonexistent",
				    .machine_id_file = machine_id,
				    .state_dir = state };
	struct target_config config = {
		.id = "t1", .pools = pools, .pool_count = 1, .nvmet_path = nvmet, .portal_count = 1
	};
	struct err err = ERR_INIT;
	struct portal portal;

	config.portals = &portal;
	f->host = HOST_INIT;
	assert_int_equal(portal_parse("tcp://127.0.0.1:4420", &portal, &err), 0);
	if (host_open(&f->host, &paths, &err) < 0 ||
	    node_open(&f->node, &f->host, state, &err) < 0 ||
	    target_new(&config, &f->target, &err) < 0)
		fail_msg("%s", err.msg);
}

static void serve(struct fixture *f)
{
	cleanup_free char *endpoint = xasprintf("unix://%s/csi.sock", f->dir);
	struct rpc_service services[] = {
		identity_service(&f->identity), controller_service(&f->controller),
		group_service(&f->controller),	node_service(&f->node),
		agent_service(f->target),
	};
	static struct rpc_service kept[ARRAY_SIZE(services)];
	struct rpc_server_config config = { .endpoint = endpoint,
					    .services = kept,
					    .service_count = ARRAY_SIZE(kept) };
	struct err err = ERR_INIT;

	memcpy(kept, services, sizeof(kept));
	f->identity.driver_name = "csi.nvmeot.io";
	if (rpc_server_new(&config, &f->server, &err) < 0 ||
	    rpc_server_start(f->server, &err) < 0 ||
	    rpc_client_new(endpoint, NULL, &f->client, &err) < 0)
		fail_msg("%s", err.msg);
}

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/nvmeot-bad-input.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	make_tree(f);
	open_parts(f);
	serve(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *command = xasprintf("rm -rf '%s'", f->dir);

	rpc_client_free(f->client);
	rpc_server_free(f->server);
	target_free(f->target);
	node_close(&f->node);
	host_close(&f->host);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

/* The request with every "@" replaced by the directory; owned. */
static char *expand(const struct fixture *f, const char *request)
{
	char *text = xcalloc(strlen(request) + 16 * sizeof(f->dir), 1);
	size_t len = 0;

	for (const char *p = request; *p; p++)
		len += (size_t)sprintf(text + len, *p == '@' ? "%s" : "%.1s",
				       *p == '@' ? f->dir : p);
	return text;
}

static const ProtobufCMethodDescriptor *method_of(const struct row *row)
{
	for (size_t i = 0; i < ARRAY_SIZE(descriptors); i++)
		if (strcmp(descriptors[i]->name, row->service) == 0)
			return protobuf_c_service_descriptor_get_method_by_name(descriptors[i],
										row->method);
	return NULL;
}

static bool matches(const char *regex, const char *text)
{
	regex_t compiled;
	int rc;

	assert_int_equal(regcomp(&compiled, regex, REG_EXTENDED | REG_NOSUB), 0);
	rc = regexec(&compiled, text, 0, NULL, 0);
	regfree(&compiled);
	return rc == 0;
}

static int call(const struct fixture *f, const struct row *row, struct err *err)
{
	const ProtobufCMethodDescriptor *method = method_of(row);
	cleanup_free char *path = xasprintf("/%s/%s", row->service, row->method);
	cleanup_free char *json = expand(f, row->request);
	ProtobufCMessage *request = NULL, *response = NULL;
	int rc;

	assert_non_null(method);
	if (rpc_json_to_message(method->input, json, NULL, &request, err) < 0)
		fail_msg("%s %s: %s", row->method, json, err->msg);
	rc = rpc_client_call(f->client, path, request, method->output, deadline_after_ms(20000),
			     &response, err);
	protobuf_c_message_free_unpacked(request, NULL);
	if (rc == 0)
		protobuf_c_message_free_unpacked(response, NULL);
	return rc;
}

/* How many files there are: records, volumes, mount points, exports. */
static size_t count_files(const struct fixture *f)
{
	cleanup_free char *command = xasprintf("find '%s' | wc -l", f->dir);
	FILE *out = popen(command, "r");
	size_t count = 0;

	assert_non_null(out);
	assert_int_equal(fscanf(out, "%zu", &count), 1);
	pclose(out);
	return count;
}

static void test_bad_input(void **state)
{
	const struct fixture *f = *state;
	const struct row alive = { "csi.v1.Node", "NodeGetInfo", "{}", ERR_NONE, "" };
	size_t before = count_files(f);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		struct err err = ERR_INIT;

		if (call(f, row, &err) == 0)
			fail_msg("%s %s: succeeded", row->method, row->request);
		if (err.code != row->code || !matches(row->regex, err.msg))
			fail_msg("%s %s:\n  got %s: %s\n  not %s: %s", row->method, row->request,
				 err_code_name(err.code), err.msg, err_code_name(row->code),
				 row->regex);
		assert_int_equal(count_files(f), before);
		assert_int_equal(call(f, &alive, &err), 0);
	}
}

/* What is absent is as good as removed: malformed IDs name nothing, and that is no error. */
static void test_absent_is_removed(void **state)
{
	static const struct row fine[] = {
		{ CONTROLLER, "DeleteVolume", "{\"volume_id\":\"no such volume\"}", 0, "" },
		{ CONTROLLER, "DeleteVolume", "{\"volume_id\":\"a/b/c\"}", 0, "" },
		{ CONTROLLER, "ControllerUnpublishVolume", "{\"volume_id\":\"x\"}", 0, "" },
		{ CONTROLLER, "ControllerUnpublishVolume", "{" ID ",\"node_id\":\"no NQN\"}", 0,
		  "" },
		{ NODE, "NodeUnstageVolume",
		  "{\"volume_id\":\"x\",\"staging_target_path\":\"@/staging\"}", 0, "" },
		{ NODE, "NodeUnstageVolume", "{" ID ",\"staging_target_path\":\"@/no/such/path\"}",
		  0, "" },
		{ NODE, "NodeUnpublishVolume", "{" ID ",\"target_path\":\"@/no/such/path\"}", 0,
		  "" },
		{ TARGET, "DeleteVolume",
		  "{\"uuid\":\"" UUID "\",\"pool\":\"p1\",\"target_id\":\"t1\"}", 0, "" },
		{ TARGET, "Unexport",
		  "{\"uuid\":\"" UUID "\",\"pool\":\"p1\",\"target_id\":\"t1\"}", 0, "" },
	};
	const struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(fine); i++) {
		struct err err = ERR_INIT;

		if (call(f, &fine[i], &err) < 0)
			fail_msg("%s %s: %s: %s", fine[i].method, fine[i].request,
				 err_code_name(err.code), err.msg);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_bad_input, setup, teardown),
		cmocka_unit_test_setup_teardown(test_absent_is_removed, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
