/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel tells of TCP connections, with those of this process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "nvme/target/nvmet_diag.h"

static struct nvmet_connections list;
static int diag = -1;

static int setup(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	return nvmet_diag_open(&diag, &err);
}

static int teardown(void **state)
{
	(void)state;
	nvmet_connections_fini(&list);
	return close(diag);
}

/* Listens at the portal, at a free port if it has none. */
static int listen_at(struct portal *portal)
{
	struct sockaddr_storage addr;
	socklen_t len = portal_sockaddr(portal, &addr);
	int fd = socket(portal->family, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	portal->port = ntohs(portal->family == AF_INET ? ((struct sockaddr_in *)&addr)->sin_port :
							 ((struct sockaddr_in6 *)&addr)->sin6_port);
	return fd;
}

static int dial(const struct portal *portal)
{
	struct sockaddr_storage addr;
	socklen_t len = portal_sockaddr(portal, &addr);
	int fd = socket(portal->family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&addr, len), 0);
	return fd;
}

static struct portal loopback(int family, const char *addr)
{
	struct portal portal = { .family = family };

	strcpy(portal.addr, addr);
	return portal;
}

static void look(const struct portal *portal)
{
	struct err err = ERR_INIT;

	nvmet_connections_fini(&list);
	if (nvmet_diag_list(diag, portal, &list, &err) < 0)
		fail_msg("%s", err.msg);
}

static void check_family(int family, const char *address)
{
	struct portal portal = loopback(family, address);
	int listener = listen_at(&portal), host, target;
	char bytes[100] = { 0 };

	look(&portal);
	assert_int_equal(list.count, 0);
	host = dial(&portal);
	look(&portal);
	assert_int_equal(list.count, 1);
	assert_true(list.items[0].open && list.items[0].established && list.items[0].held);

	target = accept(listener, NULL, NULL);
	assert_int_equal(send(host, bytes, 100, 0), 100);
	assert_int_equal(recv(target, bytes, 100, MSG_WAITALL), 100);
	assert_int_equal(send(target, bytes, 7, 0), 7);
	look(&portal);
	assert_int_equal(list.items[0].bytes_in, 100);
	assert_int_equal(list.items[0].bytes_out, 7);

	assert_int_equal(shutdown(target, SHUT_RDWR), 0);
	look(&portal);
	assert_true(list.items[0].held && !list.items[0].open);
	assert_int_equal(close(target), 0);
	look(&portal);
	assert_true(list.count == 0 || !list.items[0].held);
	close(host);
	close(listener);
}

static void test_both_families(void **state)
{
	(void)state;
	check_family(AF_INET, "127.0.0.1");
	check_family(AF_INET6, "::1");
}

static void test_other_addresses_and_ports(void **state)
{
	struct portal ours = loopback(AF_INET, "127.0.0.1"), theirs;
	int our_listener = listen_at(&ours), their_listener, host;

	(void)state;
	theirs = ours;
	strcpy(theirs.addr, "127.0.0.2");
	their_listener = listen_at(&theirs);
	host = dial(&theirs);
	look(&ours);
	assert_int_equal(list.count, 0);
	look(&theirs);
	assert_int_equal(list.count, 1);
	close(host);
	close(their_listener);
	close(our_listener);
}

/* More than one message of the kernel's. */
static void test_many(void **state)
{
	struct portal portal = loopback(AF_INET, "127.0.0.1");
	int listener = listen_at(&portal), hosts[200], targets[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		hosts[i] = dial(&portal);
		targets[i] = accept(listener, NULL, NULL);
	}
	look(&portal);
	assert_int_equal(list.count, ARRAY_SIZE(hosts));
	nvmet_connections_sort(&list);
	for (size_t i = 0; i < list.count; i++)
		assert_ptr_equal(nvmet_connections_find(&list, &list.items[i].id), &list.items[i]);
	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		close(hosts[i]);
		close(targets[i]);
	}
	close(listener);
}

static void note(void *data, const struct inet_diag_sockid *id)
{
	bool *seen = data;

	*seen = *seen || nvmet_connections_find(&list, id);
}

static void test_abort_and_event(void **state)
{
	struct portal portal = loopback(AF_INET, "127.0.0.1");
	int listener = listen_at(&portal), host = dial(&portal);
	int target = accept(listener, NULL, NULL);
	struct pollfd poller = { .fd = -1, .events = POLLIN };
	struct err err = ERR_INIT;
	bool seen = false;
	char byte;

	(void)state;
	look(&portal);
	assert_int_equal(nvmet_diag_watch(&portal, 1, &poller.fd, &err), 0);
	assert_int_equal(nvmet_diag_abort(diag, &list.items[0], &err), 0);
	assert_int_equal(recv(host, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	assert_int_equal(nvmet_diag_abort(diag, &list.items[0], &err), 0);

	assert_int_equal(nvmet_diag_events(poller.fd, note, &seen, &err), 0);
	assert_false(seen);
	assert_int_equal(close(target), 0);
	while (!seen) {
		assert_int_equal(poll(&poller, 1, 10000), 1);
		assert_int_equal(nvmet_diag_events(poller.fd, note, &seen, &err), 0);
	}
	close(poller.fd);
	close(host);
	close(listener);
}

/* The end of one connection to the portal, heard or not at the socket. */
static bool hears(int fd, const struct portal *portal)
{
	int listener = listen_at((struct portal *)portal), host = dial(portal);
	int target = accept(listener, NULL, NULL);
	struct pollfd poller = { .fd = fd, .events = POLLIN };
	struct err err = ERR_INIT;
	bool seen = false;

	look(portal);
	close(target);
	close(host);
	close(listener);
	/* The kernel tells of it some time after. */
	while (!seen && poll(&poller, 1, 500) == 1)
		assert_int_equal(nvmet_diag_events(fd, note, &seen, &err), 0);
	return seen;
}

static void test_only_our_ports_are_heard(void **state)
{
	struct portal ours[2], theirs;
	struct err err = ERR_INIT;
	int fd = -1;

	(void)state;
	ours[0] = theirs = loopback(AF_INET, "127.0.0.1");
	ours[1] = loopback(AF_INET6, "::1");
	close(listen_at(&ours[0]));
	close(listen_at(&ours[1]));
	close(listen_at(&theirs));
	assert_int_equal(nvmet_diag_watch(ours, 2, &fd, &err), 0);
	assert_true(hears(fd, &ours[0]) && hears(fd, &ours[1]));
	assert_false(hears(fd, &theirs));
	assert_int_equal(nvmet_diag_watch(&theirs, 1, &fd, &err), 0);
	assert_true(hears(fd, &theirs));
	assert_false(hears(fd, &ours[0]));
	/* No port is left out when there are too many for a filter. */
	assert_int_equal(nvmet_diag_watch(&theirs, NVMET_DIAG_PORTS_MAX + 1, &fd, &err), 0);
	assert_true(hears(fd, &ours[0]));
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_both_families),   TEST(test_other_addresses_and_ports), TEST(test_many),
		TEST(test_abort_and_event), TEST(test_only_our_ports_are_heard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
