/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small HTTP server for probes and metrics: plain HTTP, GET and HEAD, a fixed set of paths. One
 * thread serves all connections, so an answer must not block. What others can make of it is
 * bounded: connections (also by address), the size of a request's head, the time of a silence.
 * The only code that knows libmicrohttpd.
 */
#ifndef CSI_HTTP_SERVER_H
#define CSI_HTTP_SERVER_H

#include <stdio.h>

#include "nvme/base/cleanup.h"
#include "nvme/base/err.h"

#define HTTP_CONNECTIONS_MAX 32
#define HTTP_CONNECTIONS_PER_ADDRESS_MAX 16
#define HTTP_REQUEST_MAX_BYTES 8192 /* of request line and headers, and what they take in memory */
#define HTTP_IDLE_S 10		    /* a connection that is silent for so long is closed */

struct http_server;

/* What a request gets. */
struct http_answer {
	unsigned int status; /* 200 unless it is changed */
	const char *type; /* Content-Type; borrowed for the answer's time; plain text by default */
	FILE *body;	  /* written to; not closed */
};

/* One path. Another one is 404, another method than GET and HEAD is 405. */
struct http_route {
	const char *path; /* "/livez" */
	void (*answer)(void *context, struct http_answer *answer);
};

/*
 * Listens at address, "IP:PORT" or "[IPv6]:PORT" with port 0 for any free one, and serves. At
 * "[::]:PORT" IPv4 is served, too. routes and context must outlive the server.
 * ERR_INVALID_ARGUMENT names a malformed address; one that is in use is the system's error.
 */
int http_server_new(const char *address, const struct http_route *routes, size_t count,
		    void *context, struct http_server **ret, struct err *err);

/* Where it listens, with the port it has got. Borrowed. */
const char *http_server_address(const struct http_server *server);

/* Ends the connections. Waits for the answer under way. */
void http_server_free(struct http_server *server);

DEFINE_CLEANUP(struct http_server *, http_server_free)
#define cleanup_http_server CLEANUP(http_server_freep)

#endif
