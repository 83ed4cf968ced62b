/* SPDX-License-Identifier: Apache-2.0 */
/* gRPC's log lines: to our log, or into what a thread knows of its peer. */
#include "csi/rpc/logtap.h"

#include <grpc/grpc.h>
#include <grpc/support/log.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "csi/rpc/handshake.h"
#include "csi/rpc/refusal.h"
#include "nvme/base/log.h"

#define POINTER_SIZE 24
#define RECENT 32

/* A connection as gRPC names it, by an address in memory, and its peer. */
struct connection {
	char socket[POINTER_SIZE];
	char peer[RPC_PEER_SIZE];
};

static _Thread_local struct connection last; /* that this thread read from */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct connection recent[RECENT]; /* of all threads, for one that ends what another read */
static size_t recent_next;
static bool verbose;

const char *rpc_logtap_peer(void)
{
	return last.peer;
}

void rpc_peer_text(const char *uri, char text[RPC_PEER_SIZE])
{
	const char *at = strchr(uri, ':');
	size_t len = 0;

	for (at = at ? at + 1 : uri; *at && len < RPC_PEER_SIZE - 1; at++) {
		if (strncmp(at, "%5B", 3) == 0 || strncmp(at, "%5D", 3) == 0) {
			text[len++] = at[2] == 'B' ? '[' : ']';
			at += 2;
		} else {
			text[len++] = *at;
		}
	}
	text[len] = '\0';
}

static void remember(const struct connection *connection)
{
	size_t at;

	pthread_mutex_lock(&lock);
	at = recent_next;
	for (size_t i = 0; i < RECENT; i++)
		if (strcmp(recent[i].socket, connection->socket) == 0)
			at = i;
	if (at == recent_next)
		recent_next = (recent_next + 1) % RECENT;
	recent[at] = *connection;
	pthread_mutex_unlock(&lock);
}

static void look_up(struct connection *connection)
{
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < RECENT; i++)
		if (strcmp(recent[i].socket, connection->socket) == 0)
			*connection = recent[i];
	pthread_mutex_unlock(&lock);
}

/* "READ 0x7f… (peer=ipv4:127.0.0.1:45622) error=OK" */
static bool note_read(const char *text)
{
	struct connection now = { 0 };
	char uri[RPC_PEER_SIZE];

	if (sscanf(text, "READ %23s (peer=%79[^)])", now.socket, uri) != 2)
		return false;
	rpc_peer_text(uri, now.peer);
	if (memcmp(&now, &last, sizeof(now)) != 0)
		remember(&now);
	last = now;
	return true;
}

/* "TCP:0x7f… got_error: …": a server without TLS says only here that it was not sent HTTP/2. */
static void note_end(const char *text)
{
	struct connection ended = { 0 };
	bool tls = strstr(text, "(22) at byte 0") != NULL;

	if (sscanf(text, "TCP:%23s got_error:", ended.socket) != 1 ||
	    !strstr(text, "Connect string mismatch"))
		return;
	look_up(&ended);
	rpc_refusal_log_client("client refused", ended.peer,
			       tls ? "the client speaks TLS, which this server does not" :
				     "the client does not speak HTTP/2",
			       "");
}

static bool is_from(const gpr_log_func_args *args, const char *file)
{
	size_t len = strlen(args->file), tail = strlen(file);

	return len >= tail && strcmp(args->file + len - tail, file) == 0;
}

/* The library's last words before it aborts come this way too. */
static void on_line(gpr_log_func_args *args)
{
	static const char failed[] = "Handshake failed with fatal error ";
	bool error = args->severity == GPR_LOG_SEVERITY_ERROR;

	if (is_from(args, "/ssl_transport_security.cc")) {
		if (strncmp(args->message, failed, strlen(failed)) == 0)
			rpc_handshake_failed(args->message);
		error = false;
	} else if (is_from(args, "/tcp_posix.cc") && !note_read(args->message)) {
		note_end(args->message);
	}
	if (error)
		log_error("grpc", KV("text", args->message));
	else if (verbose)
		log_debug("grpc", KV("text", args->message));
}

void rpc_logtap_install(void)
{
	verbose = getenv("GRPC_VERBOSITY") != NULL;
	gpr_set_log_function(on_line);
}

void rpc_logtap_follow_peers(void)
{
	grpc_tracer_set_enabled("tcp", 1);
	if (!verbose)
		gpr_set_log_verbosity(GPR_LOG_SEVERITY_INFO);
}
