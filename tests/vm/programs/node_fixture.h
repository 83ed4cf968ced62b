/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What programs share that drive the node's operations below gRPC: one volume of a target in the
 * same guest, a node opened as a process opens it, and the requests of a CO that always sends the
 * same contexts, as Kubernetes does: the volume is "blank" in them for ever.
 * Includes target_fixture.h, whose UUID, NQN and HOST_A are used.
 */
#ifndef TESTS_VM_NODE_FIXTURE_H
#define TESTS_VM_NODE_FIXTURE_H

#include "tests/vm/programs/target_fixture.h"

#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "csi.pb-c.h"
#include "csi/node/expand.h"
#include "csi/node/paths.h"
#include "csi/node/publish.h"
#include "csi/node/stage.h"
#include "csi/request/authentication.h"
#include "csi/rpc/json.h"
#include "nvme/base/file.h"
#include "nvme/base/log.h"
#include "tests/unit/dhchap_keys.h"

#define WORK_DIR "/run/node"
#define STATE_DIR WORK_DIR "/state"
#define STAGING WORK_DIR "/staging"
#define STAGED STAGING "/volume"
#define POD WORK_DIR "/pod/volume"
#define NQN_FILE WORK_DIR "/hostnqn"
#define VOLUME_ID "guest/p/" UUID
#define OPERATION_MS 60000

static const char *fs_type = "ext4"; /* or "block" */
static uint64_t volume_bytes;	     /* as it was made, and as its contexts always say */
static uint64_t grown_bytes;	     /* as it is */
static bool with_keys;		     /* the node authenticates itself, by KEY_32 */
static struct host host;
static struct node node;

static inline bool is_block(void)
{
	return strcmp(fs_type, "block") == 0;
}

/* --- the target's side ------------------------------------------------------------------------ */

static inline struct dhchap_keys the_keys(void)
{
	struct dhchap_keys keys = { 0 };

	strcpy(keys.host, KEY_32);
	return keys;
}

static inline int export_keyed(struct err *err)
{
	cleanup_volume struct volume made = { 0 };
	struct volume_export want = { .host_nqn = HOST_A,
				      .access = VOLUME_SINGLE_NODE,
				      .dhchap = DHCHAP_ONE_WAY };
	struct dhchap_keys keys = the_keys();

	return target_export_keyed(target, UUID, &want, &keys, &made, err);
}

static inline void export_volume(void)
{
	cleanup_volume struct volume want = { .uuid = { UUID } }, made = { 0 };
	struct err err = ERR_INIT;

	/* What mkfs of each asks for at least; a btrfs of two copies of metadata wants some. */
	volume_bytes = (strcmp(fs_type, "ext4") == 0 || is_block() ? 64ULL : 384ULL) << 20;
	want.size_bytes = grown_bytes = volume_bytes;
	want.name = xstrdup("pvc-1");
	must(start(&err), &err);
	must(target_create(target, &want, &made, &err), &err);
	if (with_keys)
		must(export_keyed(&err), &err);
	else
		must(do_export(HOST_A, VOLUME_SINGLE_NODE, &err), &err);
}

/* As the target does it, but its event is lost: the node has to ask for the new size. */
static inline void grow_unannounced(uint64_t by_bytes)
{
	cleanup_free char *path = xasprintf("%s/" UUID ".img", pool_path);

	grown_bytes += by_bytes;
	assert_int_equal(truncate(path, (off_t)grown_bytes), 0);
}

static inline void remove_volume(void)
{
	struct err err = ERR_INIT;

	must(target_unexport(target, UUID, HOST_A, &err), &err);
	must(target_delete(target, UUID, "", &err), &err);
	stop();
}

/* --- the node --------------------------------------------------------------------------------- */

static inline void make_work_dir(void)
{
	cleanup_root struct root root = ROOT_INIT;
	struct err err = ERR_INIT;

	must(file_mkdirs(STATE_DIR, &err), &err);
	must(file_mkdirs(STAGING, &err), &err);
	must(file_mkdirs(WORK_DIR "/pod", &err), &err);
	must(root_open(&root, WORK_DIR, &err), &err);
	must(file_replace(&root, "hostnqn", HOST_A "\n", &err), &err);
}

/* All that a process does before it serves. */
static inline int open_node(struct err *err)
{
	struct host_paths paths = { .nqn_file = NQN_FILE, .state_dir = STATE_DIR };

	host = HOST_INIT;
	if (log_init("text", "error", err) < 0 || host_open(&host, &paths, err) < 0)
		return -1;
	return node_open(&node, &host, STATE_DIR, err);
}

static inline struct node_time operation_time(void)
{
	return (struct node_time) { .work = deadline_after_ms(OPERATION_MS),
				    .wait = { .deadline = deadline_after_ms(OPERATION_MS) } };
}

/* What the publish context says of the keys; owned. */
static inline char *key_context(void)
{
	struct dhchap_keys keys = the_keys();

	if (!with_keys)
		return xstrdup("");
	return xasprintf(",\"" ATTACHMENT_AUTHENTICATION "\":\"%s\",\"" ATTACHMENT_SECRET_ID
			 "\":\"%s\"",
			 dhchap_mode_name(DHCHAP_ONE_WAY), authentication_id(&keys).text);
}

/* The fields that stage and publish have in common; owned. */
static inline char *common_fields(void)
{
	cleanup_free char *key = key_context();
	cleanup_free char *kind = is_block() ? xstrdup("\"block\":{}") :
					       xasprintf("\"mount\":{\"fs_type\":\"%s\"}", fs_type);

	return xasprintf("\"volume_id\":\"" VOLUME_ID "\",\"staging_target_path\":\"" STAGING "\","
			 "\"volume_capability\":{%s,"
			 "\"access_mode\":{\"mode\":\"SINGLE_NODE_WRITER\"}},"
			 "\"volume_context\":{\"nrIoQueues\":\"1\"}," /* connects sooner */
			 "\"publish_context\":{\"nqn\":\"" NQN "\",\"nsUuid\":\"" UUID "\","
			 "\"portals\":\"tcp://127.0.0.1:4420\",\"sizeBytes\":\"%" PRIu64 "\","
			 "\"blank\":\"true\"%s}%s",
			 kind, volume_bytes, key,
			 with_keys ? ",\"secrets\":{\"" AUTHENTICATION_SECRET "\":\"" KEY_32 "\"}" :
				     "");
}

static inline int call_stage(struct err *err)
{
	struct stage_spec *spec = xcalloc(1, sizeof(*spec));
	cleanup_free char *fields = common_fields(), *json = xasprintf("{%s}", fields);
	struct node_time time = operation_time();
	ProtobufCMessage *request;

	if (rpc_json_to_message(&csi__v1__node_stage_volume_request__descriptor, json, NULL,
				&request, err) < 0 ||
	    stage_spec_parse((Csi__V1__NodeStageVolumeRequest *)request, spec, err) < 0 ||
	    paths_check_staging(STAGING, spec->staging_path, err) < 0)
		return -1;
	protobuf_c_message_free_unpacked(request, NULL);
	return stage_volume(&node, spec, &time, err);
}

static inline int call_publish(bool readonly, struct err *err)
{
	struct publish_spec *spec = xcalloc(1, sizeof(*spec));
	cleanup_free char *fields = common_fields();
	cleanup_free char *json = xasprintf("{%s,\"target_path\":\"" POD "\",\"readonly\":%s}",
					    fields, readonly ? "true" : "false");
	struct node_time time = operation_time();
	ProtobufCMessage *request;

	if (rpc_json_to_message(&csi__v1__node_publish_volume_request__descriptor, json, NULL,
				&request, err) < 0 ||
	    publish_spec_parse((Csi__V1__NodePublishVolumeRequest *)request, spec, err) < 0)
		return -1;
	protobuf_c_message_free_unpacked(request, NULL);
	return publish_volume(&node, spec, &time, err);
}

/* Up to the size that the target gave it. */
static inline int call_expand(struct err *err)
{
	cleanup_free char *json = xasprintf("{\"volume_id\":\"" VOLUME_ID "\","
					    "\"volume_path\":\"" STAGING "\","
					    "\"capacity_range\":{\"required_bytes\":%" PRIu64 "}}",
					    grown_bytes);
	Csi__V1__NodeExpandVolumeResponse answer = CSI__V1__NODE_EXPAND_VOLUME_RESPONSE__INIT;
	ProtobufCMessage *request;
	struct rpc_call call;
	int rc;

	if (rpc_json_to_message(&csi__v1__node_expand_volume_request__descriptor, json, NULL,
				&request, err) < 0)
		return -1;
	rpc_call_init(&call, deadline_after_ms(OPERATION_MS), 1 << 16);
	call.context = &node;
	rc = expand_volume(&call, request, &answer, err);
	rpc_call_fini(&call);
	protobuf_c_message_free_unpacked(request, NULL);
	if (rc == 0 && (uint64_t)answer.capacity_bytes != grown_bytes)
		return err_set(err, ERR_INTERNAL, "it has %" PRIi64 " bytes instead of %" PRIu64,
			       answer.capacity_bytes, grown_bytes);
	return rc;
}

static inline int call_unpublish(struct err *err)
{
	struct node_time time = operation_time();

	return unpublish_volume(&node, VOLUME_ID, POD, &time, err);
}

static inline int call_unstage(struct err *err)
{
	struct node_time time = operation_time();

	return unstage_volume(&node, VOLUME_ID, STAGING, &time, err);
}

#endif
