/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publishes and unpublishes a volume again and again while a thread reads mountinfo without a
 * pause: no mount may ever be seen read-write at the target path. `old SOURCE TARGET` makes the
 * binds in two steps instead, as a proof that the watcher would see it.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "csi.pb-c.h"
#include "csi/rpc/client.h"
#include "csi/rpc/json.h"

#define ROUNDS 200
#define PROOF_MS 30000

struct watch {
	const char *target;
	atomic_bool stop;
	atomic_ulong reads, readonly, readwrite;
};

static void look(struct watch *watch)
{
	char line[8192], target[4096], options[4096];
	FILE *file = fopen("/proc/self/mountinfo", "re");

	if (!file)
		abort();
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%*u %*u %*s %*s %4095s %4095s", target, options) != 2 ||
		    strcmp(target, watch->target) != 0)
			continue;
		if (strncmp(options, "ro", 2) == 0)
			watch->readonly++;
		else
			watch->readwrite++;
	}
	fclose(file);
	watch->reads++;
}

static void *run_watch(void *context)
{
	struct watch *watch = context;

	while (!watch->stop)
		look(watch);
	return NULL;
}

/* Until it is seen, which takes long where the two threads hardly ever run at the same time. */
static int in_two_steps(const struct watch *watch, const char *source, const char *target)
{
	struct deadline deadline = deadline_after_ms(PROOF_MS);

	while (!watch->readwrite && !deadline_passed(deadline)) {
		if (mount(source, target, NULL, MS_BIND, NULL) < 0 ||
		    mount(NULL, target, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) < 0 ||
		    umount(target) < 0)
			return -1;
	}
	return 0;
}

static int call(struct rpc_client *client, const char *method,
		const ProtobufCMessageDescriptor *request_type, const char *json,
		const ProtobufCMessageDescriptor *response_type, struct err *err)
{
	ProtobufCMessage *request = NULL, *response = NULL;
	int rc;

	if (rpc_json_to_message(request_type, json, NULL, &request, err) < 0)
		return -1;
	rc = rpc_client_call(client, method, request, response_type, deadline_after_ms(60000),
			     &response, err);
	protobuf_c_message_free_unpacked(request, NULL);
	if (rc == 0)
		protobuf_c_message_free_unpacked(response, NULL);
	return rc;
}

static int by_calls(const char *endpoint, const char *publish, const char *unpublish)
{
	struct rpc_client *client cleanup_rpc_client = NULL;
	struct err err = ERR_INIT;
	int rc = rpc_client_new(endpoint, NULL, &client, &err);

	for (int i = 0; i < ROUNDS && rc == 0; i++) {
		rc = call(client, "/csi.v1.Node/NodePublishVolume",
			  &csi__v1__node_publish_volume_request__descriptor, publish,
			  &csi__v1__node_publish_volume_response__descriptor, &err);
		if (rc == 0)
			rc = call(client, "/csi.v1.Node/NodeUnpublishVolume",
				  &csi__v1__node_unpublish_volume_request__descriptor, unpublish,
				  &csi__v1__node_unpublish_volume_response__descriptor, &err);
	}
	if (rc < 0)
		fprintf(stderr, "%s\n", err.msg);
	return rc;
}

int main(int argc, char **argv)
{
	struct watch watch = { 0 };
	pthread_t thread;
	bool old = argc == 4 && strcmp(argv[1], "old") == 0;
	int rc;

	if (!old && argc != 5) {
		fprintf(stderr, "usage: publish_watch ENDPOINT TARGET PUBLISH-JSON UNPUBLISH-JSON\n"
				"       publish_watch old SOURCE TARGET\n");
		return 2;
	}
	watch.target = old ? argv[3] : argv[2];
	if (pthread_create(&thread, NULL, run_watch, &watch) != 0)
		return 2;
	rc = old ? in_two_steps(&watch, argv[2], argv[3]) : by_calls(argv[1], argv[3], argv[4]);
	watch.stop = true;
	pthread_join(thread, NULL);
	printf("%lu reads of mountinfo, seen read-only %lu times, read-write %lu times\n",
	       watch.reads, watch.readonly, watch.readwrite);
	if (rc < 0)
		return 2;
	if (watch.readwrite)
		return 1;
	return watch.readonly ? 0 : 2;
}
