/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A controller over two fake agents, "a" and "b", for each test anew; calls of handlers; and a
 * target that accepts connections and never says a word.
 */
#ifndef TESTS_UNIT_CONTROLLER_FIXTURE_H
#define TESTS_UNIT_CONTROLLER_FIXTURE_H

#include <sys/socket.h>
#include <sys/un.h>

#include "csi.pb-c.h"
#include "csi/controller/controller.h"
#include "tests/unit/agent_fixture.h"

#define ID_A "a/fast/" FAKE_UUID
#define ARENA_BYTES (4U << 20)

static struct fake_agent a, b;
static struct controller controller;

static inline int setup(void **state)
{
	struct err err;

	(void)state;
	fake_start(&a, "a");
	fake_start(&b, "b");
	controller = (struct controller) { 0 };
	if (controller_add_target(&controller, fake_client(&a, "a"), &err) < 0)
		return -1;
	return controller_add_target(&controller, fake_client(&b, "b"), &err);
}

static inline int teardown(void **state)
{
	(void)state;
	controller_fini(&controller);
	fake_stop(&a);
	fake_stop(&b);
	return 0;
}

static inline struct deadline soon(void)
{
	return deadline_after_ms(FAKE_MS);
}

/* Calls a handler; the response lives until rpc_call_fini, which every CALL needs. */
#define CALL(call, handler, request, response, err)                                                \
	({                                                                                         \
		rpc_call_init(call, soon(), ARENA_BYTES);                                          \
		(call)->context = &controller;                                                     \
		*(err) = ERR_INIT;                                                                 \
		handler(call, request, response, err);                                             \
	})

/* The call fails with this code and a message that says this. */
#define CALL_FAILS(handler, request, response, wanted, says)                                       \
	do {                                                                                       \
		struct rpc_call call_;                                                             \
		struct err err_;                                                                   \
                                                                                                   \
		assert_int_equal(CALL(&call_, handler, request, response, &err_), -1);             \
		if (err_.code != (wanted) || !strstr(err_.msg, says))                              \
			fail_msg("%s \"%s\" does not say \"%s\"", err_code_name(err_.code),        \
				 err_.msg, says);                                                  \
		rpc_call_fini(&call_);                                                             \
	} while (0)

struct silent {
	int fd;
	struct sockaddr_un socket;
	char *address;
};

static inline void silent_start(struct silent *silent)
{
	static int number;

	*silent = (struct silent) { .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
				    .socket.sun_family = AF_UNIX };
	snprintf(silent->socket.sun_path, sizeof(silent->socket.sun_path),
		 "/tmp/nvmeot-silent-%d-%d", getpid(), number++);
	silent->address = xasprintf("unix://%s", silent->socket.sun_path);
	unlink(silent->socket.sun_path);
	assert_int_equal(
		bind(silent->fd, (struct sockaddr *)&silent->socket, sizeof(silent->socket)), 0);
	assert_int_equal(listen(silent->fd, 8), 0);
}

static inline void silent_stop(struct silent *silent)
{
	close(silent->fd);
	unlink(silent->socket.sun_path);
	free(silent->address);
}

#endif
