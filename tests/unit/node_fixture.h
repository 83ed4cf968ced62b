/* SPDX-License-Identifier: Apache-2.0 */
/* What stage and publish requests have in common: a volume of ours, attached in the right way. */
#ifndef TESTS_UNIT_NODE_FIXTURE_H
#define TESTS_UNIT_NODE_FIXTURE_H

#include "tests/unit/host_tree.h"
#include "tests/unit/request_fixture.h"

#define ID "box/fast/" UUID

/* Do not move it. */
struct node_fixture {
	struct fixture_capability capability;
	struct fixture_map publish, volume;
};

static inline void node_fixture_init(struct node_fixture *f, const char *fs_type)
{
	*f = (struct node_fixture) { 0 };
	fixture_map_set(&f->publish, "nqn", NQN);
	fixture_map_set(&f->publish, "portals", "tcp://192.0.2.1:4420");
	fixture_map_set(&f->publish, "nsUuid", UUID);
	fixture_map_set(&f->publish, "sizeBytes", "4096");
	fixture_map_set(&f->publish, "blank", "false");
	fixture_mount(&f->capability, MODE(SINGLE_NODE_WRITER), fs_type, NULL, 0);
}

#define NODE_FIXTURE_INTO(request, f)                                                              \
	do {                                                                                       \
		FIXTURE_MAP_INTO(request, publish_context, &(f)->publish);                         \
		FIXTURE_MAP_INTO(request, volume_context, &(f)->volume);                           \
	} while (0)

/* The call failed with this code and words. */
static inline void node_fixture_refused(int rc, const struct err *err, enum err_code code,
					const char *says)
{
	assert_int_equal(rc, -1);
	assert_int_equal(err->code, code);
	if (!strstr(err->msg, says))
		fail_msg("\"%s\" does not say \"%s\"", err->msg, says);
}

#endif
