/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the rpc core share: a small service whose handlers can be held and let go, a
 * server of it in a temporary directory, calls from threads, and the captured log.
 */
#ifndef TESTS_UNIT_RPC_FIXTURE_H
#define TESTS_UNIT_RPC_FIXTURE_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "csi.pb-c.h"
#include "csi/rpc/client.h"
#include "csi/rpc/server.h"
#include "nvme/base/log.h"
#include "tests/unit/listener.h"

/*
 * libgrpc is not instrumented: its own hand-overs are invisible to TSan and would all be reported.
 * What is left to see is our code, whose hand-overs must then be ordered without gRPC's help.
 */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "ignore_noninstrumented_modules=1";
}

#define STAGE "/csi.v1.Node/NodeStageVolume"
#define PROBE "/csi.v1.Identity/Probe"
#define CALL_MS 60000

/*
 * Handlers of volumes named "hold…" count themselves in and wait until they are let go, those of
 * volumes named "leave…" until the client goes away.
 */
struct fixture {
	char dir[64];
	char endpoint[96];
	pthread_mutex_t lock;
	pthread_cond_t changed;
	size_t begun; /* handlers, held or not */
	size_t held;
	size_t finished;
	bool let_go;
	bool saw_cancel;
	char peer[80]; /* of the last stage */
	int log_fd;
	int saved_stderr;
	struct rpc_service services[2]; /* constant */
	struct rpc_server *server;
	struct rpc_client *client;
};

static inline void fixture_wake(void *context)
{
	struct fixture *f = context;

	pthread_mutex_lock(&f->lock);
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
}

static inline void fixture_await_leave(struct fixture *f, struct rpc_call *call)
{
	rpc_call_watch(call, fixture_wake, f);
	pthread_mutex_lock(&f->lock);
	f->held++;
	pthread_cond_broadcast(&f->changed);
	while (!rpc_call_cancelled(call))
		pthread_cond_wait(&f->changed, &f->lock);
	f->finished++;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
	rpc_call_unwatch(call);
}

static inline int fixture_stage(struct rpc_call *call, const void *request, void *response,
				struct err *err)
{
	const Csi__V1__NodeStageVolumeRequest *in = request;
	struct fixture *f = call->context;

	(void)response;
	pthread_mutex_lock(&f->lock);
	f->begun++;
	snprintf(f->peer, sizeof(f->peer), "%s", call->peer);
	pthread_mutex_unlock(&f->lock);
	if (strcmp(in->volume_id, "missing") == 0)
		return err_set(err, ERR_NOT_FOUND, "volume %s: 100%% gone\n\"r\303\251ally\"",
			       in->volume_id);
	if (strncmp(in->volume_id, "leave", 5) == 0)
		fixture_await_leave(f, call);
	if (strncmp(in->volume_id, "hold", 4) != 0)
		return 0;
	pthread_mutex_lock(&f->lock);
	f->held++;
	pthread_cond_broadcast(&f->changed);
	while (!f->let_go)
		pthread_cond_wait(&f->changed, &f->lock);
	f->saw_cancel = rpc_call_cancelled(call);
	f->finished++;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
	return 0;
}

static inline const char *fixture_key(struct rpc_call *call, const void *request)
{
	(void)call;
	return ((const Csi__V1__NodeStageVolumeRequest *)request)->volume_id;
}

static inline int fixture_probe(struct rpc_call *call, const void *request, void *response,
				struct err *err)
{
	Csi__V1__ProbeResponse *out = response;

	(void)request;
	(void)err;
	out->ready = rpc_alloc(call, sizeof(*out->ready));
	google__protobuf__bool_value__init(out->ready);
	out->ready->value = 1;
	return 0;
}

static const struct rpc_method fixture_node[] = {
	{
		.name = "NodeStageVolume",
		.request = &csi__v1__node_stage_volume_request__descriptor,
		.response = &csi__v1__node_stage_volume_response__descriptor,
		.handle = fixture_stage,
		.lock_key = fixture_key,
	},
};

static const struct rpc_method fixture_identity[] = {
	{
		.name = "Probe",
		.request = &csi__v1__probe_request__descriptor,
		.response = &csi__v1__probe_response__descriptor,
		.handle = fixture_probe,
		.quiet = true,
	},
};

static inline void fixture_services(struct fixture *f, struct rpc_service services[2])
{
	services[0] = (struct rpc_service) { "csi.v1.Node", fixture_node, 1, f, NULL };
	services[1] = (struct rpc_service) { "csi.v1.Identity", fixture_identity, 1, f, NULL };
}

static inline void fixture_init(struct fixture *f)
{
	*f = (struct fixture) { .dir = "/tmp/rpcXXXXXX", .log_fd = -1 };
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->endpoint, sizeof(f->endpoint), "unix://%s/s.sock", f->dir);
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->changed, NULL);
	fixture_services(f, f->services);
}

/* Fails when a test or the server left anything in the directory. */
static inline void fixture_fini(struct fixture *f)
{
	assert_int_equal(rmdir(f->dir), 0);
	pthread_cond_destroy(&f->changed);
	pthread_mutex_destroy(&f->lock);
}

/* Starts a server, which is the caller's, of the fixture's services; at its endpoint by default. */
static inline struct rpc_server *fixture_serve(struct fixture *f, struct rpc_server_config config)
{
	struct rpc_server *server = NULL;
	struct err err = ERR_INIT;

	config.services = f->services;
	config.service_count = ARRAY_SIZE(f->services);
	if (!config.endpoint)
		config.endpoint = f->endpoint;
	if (rpc_server_new(&config, &server, &err) < 0 || rpc_server_start(server, &err) < 0)
		fail_msg("%s", err.msg);
	return server;
}

static inline struct rpc_client *fixture_client(const char *address, const char *tls_dir)
{
	struct rpc_client *client = NULL;
	struct err err = ERR_INIT;

	if (rpc_client_new(address, tls_dir, &client, &err) < 0)
		fail_msg("%s", err.msg);
	return client;
}

/* A server that takes connections and never says a word: the socket is the caller's. */
static inline int fixture_silence(char address[32])
{
	struct portal portal;
	int fd = listener_open(&portal);

	snprintf(address, 32, "127.0.0.1:%u", portal.port);
	return fd;
}

/* With a server and a client of it. */
static inline void fixture_begin_as(struct fixture *f, struct rpc_server_config config)
{
	fixture_init(f);
	f->server = fixture_serve(f, config);
	f->client = fixture_client(f->endpoint, NULL);
}

static inline void fixture_begin(struct fixture *f)
{
	fixture_begin_as(f, (struct rpc_server_config) { 0 });
}

static inline void fixture_end(struct fixture *f)
{
	rpc_client_free(f->client);
	rpc_server_free(f->server);
	fixture_fini(f);
}

static inline int fixture_call_stage(struct rpc_client *client, const char *volume_id,
				     struct deadline deadline, struct err *err)
{
	Csi__V1__NodeStageVolumeRequest request = CSI__V1__NODE_STAGE_VOLUME_REQUEST__INIT;
	ProtobufCMessage *response = NULL;
	int rc;

	request.volume_id = (char *)volume_id;
	rc = rpc_client_call(client, STAGE, &request.base,
			     &csi__v1__node_stage_volume_response__descriptor, deadline, &response,
			     err);
	if (rc == 0)
		protobuf_c_message_free_unpacked(response, NULL);
	return rc;
}

static inline int fixture_call_probe(struct rpc_client *client, struct err *err)
{
	Csi__V1__ProbeRequest request = CSI__V1__PROBE_REQUEST__INIT;
	ProtobufCMessage *response = NULL;

	if (rpc_client_call(client, PROBE, &request.base, &csi__v1__probe_response__descriptor,
			    deadline_after_ms(CALL_MS), &response, err) < 0)
		return -1;
	assert_true(((Csi__V1__ProbeResponse *)response)->ready->value);
	protobuf_c_message_free_unpacked(response, NULL);
	return 0;
}

/* By a client of its own. */
static inline int fixture_probe_at(const char *address, const char *tls_dir, struct err *err)
{
	struct rpc_client *client = fixture_client(address, tls_dir);
	int rc = fixture_call_probe(client, err);

	rpc_client_free(client);
	return rc;
}

/* A stage call from a thread of its own. */
struct fixture_call {
	pthread_t thread;
	struct rpc_client *client;
	char volume_id[32];
	struct deadline deadline;
	int rc;
	struct err err;
};

static inline void *fixture_call_main(void *data)
{
	struct fixture_call *call = data;

	call->rc = fixture_call_stage(call->client, call->volume_id, call->deadline, &call->err);
	return NULL;
}

static inline void fixture_call_begin(struct fixture_call *call, struct rpc_client *client,
				      const char *volume_id)
{
	*call = (struct fixture_call) { .client = client, .deadline = deadline_after_ms(CALL_MS) };
	snprintf(call->volume_id, sizeof(call->volume_id), "%s", volume_id);
	assert_int_equal(pthread_create(&call->thread, NULL, fixture_call_main, call), 0);
}

static inline void fixture_call_end(struct fixture_call *call)
{
	pthread_join(call->thread, NULL);
}

/* One whose call never came would be waited for for ever: fails instead. */
static inline void fixture_await(struct fixture *f, const size_t *counter, size_t count)
{
	struct timespec until = deadline_timespec(deadline_after_ms(2 * CALL_MS));
	size_t reached;
	int rc = 0;

	pthread_mutex_lock(&f->lock);
	while (*counter < count && rc == 0)
		rc = pthread_cond_clockwait(&f->changed, &f->lock, CLOCK_MONOTONIC, &until);
	reached = *counter;
	pthread_mutex_unlock(&f->lock);
	if (reached < count)
		fail_msg("%zu of %zu handlers", reached, count);
}

/* Waits until count handlers are held. */
static inline void fixture_await_held(struct fixture *f, size_t count)
{
	fixture_await(f, &f->held, count);
}

static inline void fixture_await_finished(struct fixture *f, size_t count)
{
	fixture_await(f, &f->finished, count);
}

static inline size_t fixture_finished(struct fixture *f)
{
	size_t finished;

	pthread_mutex_lock(&f->lock);
	finished = f->finished;
	pthread_mutex_unlock(&f->lock);
	return finished;
}

static inline void fixture_let_go(struct fixture *f)
{
	pthread_mutex_lock(&f->lock);
	f->let_go = true;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
}

static inline void fixture_log_begin(struct fixture *f)
{
	f->log_fd = memfd_create("log", MFD_CLOEXEC);
	f->saved_stderr = dup(STDERR_FILENO);
	dup2(f->log_fd, STDERR_FILENO);
}

/* What was logged since fixture_log_begin; owned. */
static inline char *fixture_log_end(struct fixture *f)
{
	off_t size = lseek(f->log_fd, 0, SEEK_END);
	char *text = calloc(1, (size_t)size + 1);

	assert_int_equal(pread(f->log_fd, text, (size_t)size, 0), size);
	dup2(f->saved_stderr, STDERR_FILENO);
	close(f->saved_stderr);
	close(f->log_fd);
	return text;
}

/*
 * For the end of a program: gRPC's threads go some time after its shutdown, and what one that is
 * just ending still holds would pass for lost.
 */
static inline void fixture_await_threads(void)
{
	struct deadline limit = deadline_after_ms(20000);
	struct stat st;

	/* A directory has two links and one for each in it. */
	while (stat("/proc/self/task", &st) == 0 && st.st_nlink > 3 && !deadline_passed(limit))
		usleep(1000);
}

#endif
