/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP by libmicrohttpd: listening, the routes, the bounds. */
#include "csi/http/server.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "csi/rpc/endpoint.h"
#include "nvme/base/log.h"

#define STACK_BYTES ((size_t)256 * 1024)
#define BACKLOG 32
#define TEXT "text/plain; charset=utf-8"

struct http_server {
	const struct http_route *routes;
	size_t count;
	void *context;
	char address[RPC_LISTEN_SIZE];
	struct MHD_Daemon *daemon;
};

/* What the library says is mostly about what strangers send. */
static void on_log(void *context, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));
static void on_log(void *context, const char *format, va_list args)
{
	char text[256];

	(void)context;
	vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = '\0';
	log_debug("http", KV("message", text));
}

static enum MHD_Result send_text(struct MHD_Connection *connection, unsigned int status,
				 const char *type, char *text, size_t len)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);
	enum MHD_Result result;

	if (!response) {
		free(text);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned int status,
			      const char *why)
{
	char *text = xasprintf("%s\n", why);

	return send_text(connection, status, TEXT, text, strlen(text));
}

static enum MHD_Result answer(const struct http_server *server, const struct http_route *route,
			      struct MHD_Connection *connection)
{
	struct http_answer answer = { .status = MHD_HTTP_OK, .type = TEXT };
	char *text = NULL;
	size_t len = 0;

	answer.body = open_memstream(&text, &len);
	if (!answer.body)
		return MHD_NO;
	route->answer(server->context, &answer);
	if (fclose(answer.body) != 0) {
		free(text);
		return MHD_NO;
	}
	return send_text(connection, answer.status, answer.type, text, len);
}

static const struct http_route *route_of(const struct http_server *server, const char *path)
{
	for (size_t i = 0; i < server->count; i++)
		if (strcmp(server->routes[i].path, path) == 0)
			return &server->routes[i];
	return NULL;
}

/* Called with the head of a request, then with each part of its body, then at its end. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_len, void **request)
{
	const struct http_server *server = context;
	const struct http_route *route;

	(void)version, (void)upload;
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED,
			      "only GET and HEAD are served");
	if (!*request) {
		*request = context;
		return MHD_YES;
	}
	if (*upload_len)
		return MHD_NO; /* the connection is closed */
	route = route_of(server, url);
	return route ? answer(server, route, connection) :
		       refuse(connection, MHD_HTTP_NOT_FOUND, "there is nothing here");
}

/* gRPC's endpoints are of the same form. */
static int parse(const char *address, struct rpc_endpoint *ret, struct err *err)
{
	cleanup_free char *url = xasprintf("tcp://%s", address);

	if (rpc_endpoint_parse(url, ret, err) == 0)
		return 0;
	return err_set(err, ERR_INVALID_ARGUMENT,
		       "\"%.200s\" is not IP:PORT or [IPv6]:PORT, with a PORT of 0 to 65535",
		       address);
}

static int note_address(const struct rpc_endpoint *endpoint, int fd, char text[RPC_LISTEN_SIZE],
			struct err *err)
{
	const char *colon = strrchr(endpoint->listen, ':');
	struct sockaddr_storage bound;
	socklen_t len = sizeof(bound);

	if (getsockname(fd, (struct sockaddr *)&bound, &len) < 0)
		return err_sys(err, errno, "ask for the port of %s", endpoint->listen);
	/* The port has the same place in both families. */
	snprintf(text, RPC_LISTEN_SIZE, "%.*s:%u", (int)(colon - endpoint->listen),
		 endpoint->listen, ntohs(((struct sockaddr_in *)&bound)->sin_port));
	return 0;
}

/* The library would not say why it cannot listen. */
static int listen_at(const char *address, char text[RPC_LISTEN_SIZE], int *ret_fd, struct err *err)
{
	cleanup_close int fd = -1;
	struct rpc_endpoint endpoint;
	int on = 1, off = 0;

	if (parse(address, &endpoint, err) < 0)
		return -1;
	fd = socket(endpoint.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(err, errno, "socket for %s", endpoint.listen);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (endpoint.address.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, (const struct sockaddr *)&endpoint.address, endpoint.address_len) < 0 ||
	    listen(fd, BACKLOG) < 0)
		return err_sys(err, errno, "listen at %s", endpoint.listen);
	if (note_address(&endpoint, fd, text, err) < 0)
		return -1;
	*ret_fd = steal_fd(&fd);
	return 0;
}

int http_server_new(const char *address, const struct http_route *routes, size_t count,
		    void *context, struct http_server **ret, struct err *err)
{
	cleanup_free struct http_server *server = xcalloc(1, sizeof(*server));
	int fd = -1;

	if (listen_at(address, server->address, &fd, err) < 0)
		return -1;
	server->routes = routes;
	server->count = count;
	server->context = context;
	/* The socket is the library's from here on. */
	server->daemon = MHD_start_daemon(
		MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_USE_ERROR_LOG, 0, NULL, NULL,
		on_request, server, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, HTTP_CONNECTIONS_MAX,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT, HTTP_CONNECTIONS_PER_ADDRESS_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, HTTP_IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)HTTP_REQUEST_MAX_BYTES, MHD_OPTION_THREAD_STACK_SIZE, STACK_BYTES,
		MHD_OPTION_END);
	if (!server->daemon)
		return err_set(err, ERR_INTERNAL, "cannot serve HTTP at %s", server->address);
	log_info("serving HTTP", KV("address", server->address));
	*ret = steal_ptr(&server);
	return 0;
}

const char *http_server_address(const struct http_server *server)
{
	return server->address;
}

void http_server_free(struct http_server *server)
{
	MHD_stop_daemon(server->daemon);
	free(server);
}
