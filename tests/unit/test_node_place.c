/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes that are not where a call says, by this process's own mount table. Those that are:
 * tests/vm/cases/stats.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "csi/node/place.h"
#include "tests/unit/node_world.h"

static void refused(const char *volume_id, const char *path, const char *says)
{
	struct place place cleanup_place = { 0 };
	struct err err;
	int rc = place_find(&node, volume_id, path, &place, &err);

	node_fixture_refused(rc, &err, ERR_NOT_FOUND, says);
}

static void test_unknown(void **state)
{
	(void)state;
	refused("nobody", "/", "volume \"nobody\" is not staged on this node");
	/* Of ours the ID says what it is, but not where it would be staged. */
	refused(ID, "", "is not staged on this node");
}

static void test_elsewhere(void **state)
{
	struct node_record record = { .block = true };
	struct err err;

	(void)state;
	refused(ID, "/no/such/directory", "is not at /no/such/directory: no such directory");
	refused(ID, "some/path", "some/path");
	refused(ID, tree.path, "no mount is there");
	refused(ID, "/proc", "not of volume \"" ID "\"");
	strcpy(record.volume_id, "any handle");
	strcpy(record.nqn, "nqn.2026-11.io.example:any");
	record.nsid = 1;
	snprintf(record.staging_path, sizeof(record.staging_path), "%.4000s/staging", tree.path);
	assert_int_equal(node_record_save(&node.state, &record, &err), 0);
	refused("any handle", "", "/staging: no mount is there");
	refused("any handle", "/proc", "not of volume \"any handle\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_WORLD(test_unknown),
		IN_WORLD(test_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
