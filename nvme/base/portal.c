/* SPDX-License-Identifier: Apache-2.0 */
/* Portals: parsing into the canonical form, and back. */
#include "nvme/base/portal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "nvme/base/cleanup.h"
#include "nvme/base/parse.h"

#define SCHEME "tcp://"

static int refuse(struct err *err, const char *text)
{
	return err_set(
		err, ERR_INVALID_ARGUMENT,
		"portal \"%.80s\" is not of the form tcp://IP:PORT or tcp://[IPv6]:PORT with a "
		"numeric address and a port from 1 to 65535",
		text);
}

/* A portal is one machine's address: neither "all of mine" nor a group. */
static int set_v4(struct portal *portal, const struct in_addr *in)
{
	uint32_t addr = ntohl(in->s_addr);

	if (addr == INADDR_ANY || addr == INADDR_BROADCAST || IN_MULTICAST(addr))
		return -1;
	portal->family = AF_INET;
	return inet_ntop(AF_INET, in, portal->addr, sizeof(portal->addr)) ? 0 : -1;
}

static int set_v6(struct portal *portal, const struct in6_addr *in6)
{
	struct in_addr in;

	if (IN6_IS_ADDR_V4MAPPED(in6)) {
		memcpy(&in, &in6->s6_addr[12], sizeof(in));
		return set_v4(portal, &in);
	}
	if (IN6_IS_ADDR_UNSPECIFIED(in6) || IN6_IS_ADDR_MULTICAST(in6))
		return -1;
	portal->family = AF_INET6;
	return inet_ntop(AF_INET6, in6, portal->addr, sizeof(portal->addr)) ? 0 : -1;
}

static int canonical_address(const char *host, bool bracketed, struct portal *portal)
{
	struct in_addr in;
	struct in6_addr in6;

	if (bracketed)
		return inet_pton(AF_INET6, host, &in6) == 1 ? set_v6(portal, &in6) : -1;
	return inet_pton(AF_INET, host, &in) == 1 ? set_v4(portal, &in) : -1;
}

int portal_parse(const char *text, struct portal *ret, struct err *err)
{
	struct portal portal = { 0 };
	char host[INET6_ADDRSTRLEN + 2];
	const char *colon, *start;
	bool bracketed;
	uint64_t port;
	size_t len;

	text = text ?: "";
	if (strncmp(text, SCHEME, strlen(SCHEME)) != 0)
		return refuse(err, text);
	start = text + strlen(SCHEME);
	colon = strrchr(start, ':');
	if (!colon || (size_t)(colon - start) >= sizeof(host) || colon == start)
		return refuse(err, text);
	bracketed = *start == '[' && colon[-1] == ']';
	len = (size_t)(colon - start) - (bracketed ? 2 : 0);
	snprintf(host, sizeof(host), "%.*s", (int)len, start + bracketed);
	if (canonical_address(host, bracketed, &portal) < 0 ||
	    parse_u64("port", colon + 1, 1, UINT16_MAX, &port, err) < 0)
		return refuse(err, text);
	portal.port = (uint16_t)port;
	*ret = portal;
	return 0;
}

bool portal_equal(const struct portal *a, const struct portal *b)
{
	return a->family == b->family && a->port == b->port && strcmp(a->addr, b->addr) == 0;
}

bool portal_is_in(const struct portal *portal, const struct portal *portals, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (portal_equal(&portals[i], portal))
			return true;
	return false;
}

int portal_parse_list(const char *text, struct portal ret[PORTAL_MAX], size_t *ret_count,
		      struct err *err)
{
	cleanup_free char *copy = xstrdup(text ?: "");
	struct portal portals[PORTAL_MAX];
	size_t count = 0;
	char *rest = copy, *item;

	while ((item = strsep(&rest, ","))) {
		struct portal portal;

		if (portal_parse(item, &portal, err) < 0)
			return -1;
		if (portal_is_in(&portal, portals, count))
			continue;
		if (count == PORTAL_MAX)
			return err_set(err, ERR_INVALID_ARGUMENT,
				       "portals \"%.80s…\": more than %d of them", text,
				       PORTAL_MAX);
		portals[count++] = portal;
	}
	memcpy(ret, portals, count * sizeof(*portals));
	*ret_count = count;
	return 0;
}

void portal_format(const struct portal *portal, char out[PORTAL_TEXT_SIZE])
{
	bool v6 = portal->family == AF_INET6;

	snprintf(out, PORTAL_TEXT_SIZE, "tcp://%s%s%s:%u", v6 ? "[" : "", portal->addr,
		 v6 ? "]" : "", portal->port);
}

socklen_t portal_sockaddr(const struct portal *portal, struct sockaddr_storage *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (portal->family == AF_INET) {
		struct sockaddr_in *in = (struct sockaddr_in *)ret;

		in->sin_family = AF_INET;
		in->sin_port = htons(portal->port);
		inet_pton(AF_INET, portal->addr, &in->sin_addr);
		return sizeof(*in);
	}
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(portal->port);
	inet_pton(AF_INET6, portal->addr, &in6->sin6_addr);
	return sizeof(*in6);
}
