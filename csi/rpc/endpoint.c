/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing of listen addresses. */
#include "csi/rpc/endpoint.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "nvme/base/cleanup.h"
#include "nvme/base/parse.h"
#include "nvme/base/strb.h"

static int parse_unix(const char *path, struct rpc_endpoint *ret, struct err *err)
{
	if (path[0] != '/' || path[1] == '\0' || path[strlen(path) - 1] == '/')
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "endpoint \"unix://%.200s\": the path must be absolute and name a "
			       "socket",
			       path);
	if (strlen(path) > RPC_SOCKET_PATH_MAX)
		return err_set(
			err, ERR_INVALID_ARGUMENT,
			"endpoint \"unix://%.200s\": the path has %zu bytes, at most %zu fit", path,
			strlen(path), RPC_SOCKET_PATH_MAX);
	ret->is_unix = true;
	strcpy(ret->path, path);
	return 0;
}

/* Splits "IP:PORT" or "[IPv6]:PORT" into host, without brackets, and the text of the port. */
static bool split(const char *text, char host[INET6_ADDRSTRLEN], bool *ret_v6,
		  const char **ret_port)
{
	bool v6 = *text == '[';
	const char *start = text + v6;
	const char *end = strchr(start, v6 ? ']' : ':');

	if (!end || end == start || end - start >= INET6_ADDRSTRLEN)
		return false;
	memcpy(host, start, (size_t)(end - start));
	host[end - start] = '\0';
	end += v6;
	if (*end != ':')
		return false;
	*ret_v6 = v6;
	*ret_port = end + 1;
	return true;
}

static bool fill_v4(const char *host, uint16_t port, struct rpc_endpoint *ret)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&ret->address;

	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	ret->address_len = sizeof(*in);
	if (inet_pton(AF_INET, host, &in->sin_addr) != 1)
		return false;
	ret->loopback = ntohl(in->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	snprintf(ret->listen, sizeof(ret->listen), "%s:%u", host, port);
	return true;
}

static bool fill_v6(const char *host, uint16_t port, struct rpc_endpoint *ret)
{
	struct sockaddr_in6 *in = (struct sockaddr_in6 *)&ret->address;

	in->sin6_family = AF_INET6;
	in->sin6_port = htons(port);
	ret->address_len = sizeof(*in);
	if (inet_pton(AF_INET6, host, &in->sin6_addr) != 1)
		return false;
	ret->loopback = IN6_IS_ADDR_LOOPBACK(&in->sin6_addr) ||
			(IN6_IS_ADDR_V4MAPPED(&in->sin6_addr) && in->sin6_addr.s6_addr[12] == 127);
	snprintf(ret->listen, sizeof(ret->listen), "[%s]:%u", host, port);
	return true;
}

static int parse_tcp(const char *text, struct rpc_endpoint *ret, struct err *err)
{
	char host[INET6_ADDRSTRLEN];
	const char *port_text;
	uint64_t port;
	bool v6;

	if (!split(text, host, &v6, &port_text))
		return err_set(
			err, ERR_INVALID_ARGUMENT,
			"endpoint \"tcp://%.200s\" is not tcp://IP:PORT or tcp://[IPv6]:PORT",
			text);
	if (parse_u64("port", port_text, 0, UINT16_MAX, &port, err) < 0)
		return err_wrap(err, "endpoint \"tcp://%.200s\"", text);
	if (!(v6 ? fill_v6 : fill_v4)(host, (uint16_t)port, ret))
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "endpoint \"tcp://%.200s\": \"%s\" is not an %s address", text, host,
			       v6 ? "IPv6" : "IPv4");
	return 0;
}

int rpc_endpoint_parse(const char *text, struct rpc_endpoint *ret, struct err *err)
{
	struct rpc_endpoint parsed = { 0 };
	int rc;

	if (strncmp(text, "unix://", 7) == 0)
		rc = parse_unix(text + 7, &parsed, err);
	else if (strncmp(text, "tcp://", 6) == 0)
		rc = parse_tcp(text + 6, &parsed, err);
	else
		rc = err_set(err, ERR_INVALID_ARGUMENT,
			     "endpoint \"%.200s\" is not unix:///path or tcp://IP:PORT", text);
	if (rc == 0)
		*ret = parsed;
	return rc;
}

char *rpc_unix_target(const char *path)
{
	size_t size = sizeof("unix:") + strlen(path) * 3;
	char *target = xcalloc(1, size);
	struct strb text = strb_over(target, size);

	strb_add(&text, "unix:");
	for (; *path; path++) {
		if (isalnum((unsigned char)*path) || strchr("/._~-", *path))
			strb_addc(&text, *path);
		else
			strb_addf(&text, "%%%02X", (unsigned char)*path);
	}
	return target;
}
