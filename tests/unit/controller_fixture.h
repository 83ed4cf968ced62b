/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A controller over two fake agents, "a" and "b", for each test anew; calls of handlers; and a
 * target that accepts connections and never says a word.
 */
#ifndef TESTS_UNIT_CONTROLLER_FIXTURE_H
#define TESTS_UNIT_CONTROLLER_FIXTURE_H

#include "csi.pb-c.h"
#include "csi/controller/controller.h"
#include "tests/unit/agent_fixture.h"
#include "tests/unit/listener.h"

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
	char address[32];
};

static inline void silent_start(struct silent *silent)
{
	struct portal portal;

	silent->fd = listener_open(&portal);
	snprintf(silent->address, sizeof(silent->address), "127.0.0.1:%u", portal.port);
}

static inline void silent_stop(struct silent *silent)
{
	close(silent->fd);
}

#endif
