/* SPDX-License-Identifier: Apache-2.0 */
/* Topology: what covers what, and the order in which targets fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "csi/request/topology.h"
#include "nvme/base/cleanup.h"
#include "tests/unit/request_fixture.h"

/* A place with up to two segments; do not move it. */
struct place {
	struct fixture_map map;
	Csi__V1__Topology topology;
};

static Csi__V1__Topology *place(struct place *p, const char *zone, const char *rack)
{
	*p = (struct place) { 0 };
	csi__v1__topology__init(&p->topology);
	if (zone)
		fixture_map_set(&p->map, "zone", zone);
	if (rack)
		fixture_map_set(&p->map, "rack", rack);
	FIXTURE_MAP_INTO(&p->topology, segments, &p->map);
	return &p->topology;
}

static void test_covers(void **state)
{
	struct place reach, there;

	(void)state;
	place(&reach, NULL, NULL);
	assert_true(topology_covers(fixture_map_of(&reach.map), NULL));
	assert_true(topology_covers(fixture_map_of(&reach.map), place(&there, "a", NULL)));
	assert_true(topology_covers(fixture_map_of(&reach.map), place(&there, NULL, NULL)));
	place(&reach, "a", NULL);
	assert_true(topology_covers(fixture_map_of(&reach.map), NULL));
	assert_true(topology_covers(fixture_map_of(&reach.map), place(&there, "a", NULL)));
	assert_true(topology_covers(fixture_map_of(&reach.map), place(&there, "a", "r1")));
	assert_false(topology_covers(fixture_map_of(&reach.map), place(&there, "b", NULL)));
	assert_false(topology_covers(fixture_map_of(&reach.map), place(&there, "A", NULL)));
	assert_false(topology_covers(fixture_map_of(&reach.map), place(&there, NULL, "r1")));
	/* Only a part of the place can reach it. */
	place(&reach, "a", "r1");
	assert_false(topology_covers(fixture_map_of(&reach.map), place(&there, "a", NULL)));
	assert_true(topology_covers(fixture_map_of(&reach.map), place(&there, "a", "r1")));
	/* Keys know no case. */
	reach = (struct place) { 0 };
	fixture_map_set(&reach.map, "ZONE", "a");
	assert_true(topology_covers(fixture_map_of(&reach.map), place(&there, "a", NULL)));
}

static void test_rank(void **state)
{
	Csi__V1__TopologyRequirement r = CSI__V1__TOPOLOGY_REQUIREMENT__INIT;
	struct place a, b, c, here, nowhere;
	Csi__V1__Topology *abc[] = { place(&a, "a", NULL), place(&b, "b", NULL),
				     place(&c, "c", NULL) };
	Csi__V1__Topology *ba[] = { abc[1], abc[0] };

	(void)state;
	place(&here, "c", NULL);
	place(&nowhere, "d", NULL);
	assert_int_equal(topology_rank(NULL, fixture_map_of(&here.map)), 0);
	assert_int_equal(topology_rank(&r, fixture_map_of(&here.map)), 0);
	r.requisite = abc;
	r.n_requisite = 3;
	assert_int_equal(topology_rank(&r, fixture_map_of(&here.map)), 0);
	assert_int_equal(topology_rank(&r, fixture_map_of(&nowhere.map)), -1);
	assert_int_equal(topology_rank(&r, (struct map) { 0 }), 0);
	r.preferred = ba;
	r.n_preferred = 2;
	assert_int_equal(topology_rank(&r, fixture_map_of(&b.map)), 0);
	assert_int_equal(topology_rank(&r, fixture_map_of(&a.map)), 1);
	assert_int_equal(topology_rank(&r, fixture_map_of(&c.map)), 2);
	assert_int_equal(topology_rank(&r, fixture_map_of(&nowhere.map)), -1);
	/* What is only preferred rules nothing out. */
	r.n_requisite = 0;
	assert_int_equal(topology_rank(&r, fixture_map_of(&nowhere.map)), 2);
}

static void test_sizes(void **state)
{
	Csi__V1__TopologyRequirement r = CSI__V1__TOPOLOGY_REQUIREMENT__INIT;
	char text[4097];
	struct place here;
	Csi__V1__Topology *one[] = { place(&here, "a", NULL) };
	struct err err = ERR_INIT;

	(void)state;
	memset(text, 'a', 4096);
	text[4096] = '\0';
	assert_int_equal(topology_check_requirement(NULL, &err), 0);
	assert_int_equal(topology_check(NULL, &err), 0);
	assert_int_equal(topology_check(one[0], &err), 0);
	r.preferred = one;
	r.n_preferred = 1;
	assert_int_equal(topology_check_requirement(&r, &err), 0);
	fixture_map_set(&here.map, "zone", text);
	assert_int_equal(topology_check_requirement(&r, &err), -1);
	assert_non_null(strstr(err.msg, "accessibility_requirements.preferred takes"));
	r.requisite = one;
	r.n_requisite = 1;
	assert_int_equal(topology_check_requirement(&r, &err), -1);
	assert_non_null(strstr(err.msg, "accessibility_requirements.requisite takes"));
	assert_int_equal(topology_check(one[0], &err), -1);
	assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_covers),
		cmocka_unit_test(test_rank),
		cmocka_unit_test(test_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
