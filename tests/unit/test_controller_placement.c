/* SPDX-License-Identifier: Apache-2.0 */
/* Placement from made-up surveys: the order of places, and the reason when there is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "csi/controller/placement.h"
#include "tests/unit/request_fixture.h"

#define GI (1ULL << 30)
#define PLACES 8

/* A survey of targets t0, t1, …, each with a pool "p" and, if it has one, a zone. */
struct made {
	struct survey survey;
	struct survey_entry entries[PLACES];
	Nvmeot__Target__V1__GetInfoResponse info[PLACES];
	Nvmeot__Target__V1__Pool pool[PLACES], *pools[PLACES];
	struct fixture_map zone[PLACES];
};

static struct agent *agents[PLACES];
static struct made made;
static struct placement_wish wish;

static int setup_all(void **state)
{
	(void)state;
	for (size_t i = 0; i < PLACES; i++) {
		struct err err = ERR_INIT;
		char name[8];

		snprintf(name, sizeof(name), "t%zu", i);
		if (agent_new(name, "unix:///nowhere", NULL, &agents[i], &err) < 0)
			return -1;
	}
	return 0;
}

static int teardown_all(void **state)
{
	(void)state;
	for (size_t i = 0; i < PLACES; i++)
		agent_free(agents[i]);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	made = (struct made) { .survey = { .entries = made.entries } };
	wish = (struct placement_wish) {
		.name = "pvc-1", .target = "", .pool = "", .size_bytes = GI
	};
	wish.uuid = volume_uuid_of_name("pvc-1");
	return 0;
}

static void add(uint64_t room_bytes, const char *zone)
{
	size_t i = made.survey.count++;

	nvmeot__target__v1__get_info_response__init(&made.info[i]);
	nvmeot__target__v1__pool__init(&made.pool[i]);
	made.pool[i].name = (char *)"p";
	made.pool[i].maximum_volume_bytes = (int64_t)room_bytes;
	made.pools[i] = &made.pool[i];
	made.info[i].pools = &made.pools[i];
	made.info[i].n_pools = 1;
	if (zone)
		fixture_map_set(&made.zone[i], "zone", zone);
	made.entries[i] = (struct survey_entry) {
		.target = agents[i],
		.known = true,
		.info = { .answer = &made.info[i], .topology = fixture_map_of(&made.zone[i]) },
	};
}

static void add_down(void)
{
	size_t i = made.survey.count++;

	made.entries[i] = (struct survey_entry) { .target = agents[i], .found = -1 };
	err_set(&made.entries[i].find_err, ERR_UNAVAILABLE, "target t%zu: is down", i);
}

/* The names of the places in their order: "t1 t0". */
static const char *order(void)
{
	static char text[64];
	struct placement placement;
	struct err err = ERR_INIT;

	if (placement_choose(&made.survey, &wish, &placement, &err) < 0)
		fail_msg("%s", err.msg);
	text[0] = '\0';
	for (size_t i = 0; i < placement.count; i++) {
		strcat(text, i ? " " : "");
		strcat(text, agent_name(placement.places[i]->target));
	}
	return text;
}

static void none(enum err_code code, const char *says)
{
	struct placement placement;
	struct err err = ERR_INIT;

	assert_int_equal(placement_choose(&made.survey, &wish, &placement, &err), -1);
	if (err.code != code || !strstr(err.msg, says))
		fail_msg("%s \"%s\" does not say \"%s\"", err_code_name(err.code), err.msg, says);
}

static void test_most_room(void **state)
{
	(void)state;
	add(10 * GI, NULL);
	add(30 * GI, NULL);
	add_down();
	add(20 * GI, NULL);
	add(GI / 2, NULL);
	assert_string_equal(order(), "t1 t3 t0");
	wish.size_bytes = 15 * GI;
	assert_string_equal(order(), "t1 t3");
	wish.size_bytes = 31 * GI;
	none(ERR_UNAVAILABLE, "target t2: is down; of those that answer: no target has room for "
			      "the 33285996544 bytes of volume \"pvc-1\": the largest that would "
			      "fit has 32212254720, on target t1");
	made.entries[2].found = 0;
	made.entries[2].known = true;
	made.entries[2].info = made.entries[4].info;
	none(ERR_RESOURCE_EXHAUSTED, "the largest that would fit has 32212254720, on target t1");
}

/* Equal rooms: the name decides, always in the same way, and different names go everywhere. */
static void test_lots(void **state)
{
	unsigned first[4] = { 0 };

	(void)state;
	for (size_t i = 0; i < 4; i++)
		add(100 * GI - i * GI, NULL);
	for (int i = 0; i < 400; i++) {
		char name[32], before[64];

		snprintf(name, sizeof(name), "pvc-%d", i);
		wish.uuid = volume_uuid_of_name(name);
		strcpy(before, order());
		first[before[1] - '0']++;
		/* The room changes a little between two tries. */
		made.pool[i % 4].maximum_volume_bytes -= (int64_t)(GI / 512);
		assert_string_equal(order(), before);
	}
	for (size_t i = 0; i < 4; i++)
		assert_in_range(first[i], 60, 140);
}

static void test_topology(void **state)
{
	Csi__V1__TopologyRequirement r = CSI__V1__TOPOLOGY_REQUIREMENT__INIT;
	Csi__V1__Topology za = CSI__V1__TOPOLOGY__INIT, zb = CSI__V1__TOPOLOGY__INIT;
	Csi__V1__Topology *requisite[] = { &za, &zb }, *preferred[] = { &zb };
	struct fixture_map in_a = { 0 }, in_b = { 0 };

	(void)state;
	fixture_map_set(&in_a, "zone", "a");
	fixture_map_set(&in_b, "zone", "b");
	FIXTURE_MAP_INTO(&za, segments, &in_a);
	FIXTURE_MAP_INTO(&zb, segments, &in_b);
	add(90 * GI, "a");
	add(10 * GI, "b");
	add(20 * GI, "b");
	add(99 * GI, "c");
	r.requisite = requisite;
	r.n_requisite = 2;
	r.preferred = preferred;
	r.n_preferred = 1;
	wish.topology = &r;
	/* Topology comes before room, but room there must be. */
	assert_string_equal(order(), "t2 t1 t0");
	wish.size_bytes = 15 * GI;
	assert_string_equal(order(), "t2 t0");
	wish.size_bytes = 25 * GI;
	assert_string_equal(order(), "t0");
	wish.size_bytes = 95 * GI;
	none(ERR_RESOURCE_EXHAUSTED, "on target t0");
	r.n_preferred = 0;
	r.n_requisite = 1;
	requisite[0] = &zb;
	wish.size_bytes = GI;
	assert_string_equal(order(), "t2 t1");
	fixture_map_set(&in_b, "zone", "d");
	none(ERR_RESOURCE_EXHAUSTED, "volume \"pvc-1\": no target can be reached from any of the "
				     "requisite topologies");
	add_down();
	none(ERR_UNAVAILABLE,
	     "target t4: is down; of those that answer: accessibility_requirements");
}

static void test_by_name(void **state)
{
	(void)state;
	none(ERR_FAILED_PRECONDITION, "this controller has no targets");
	add(10 * GI, NULL);
	add(30 * GI, NULL);
	wish.target = "t0";
	assert_string_equal(order(), "t0");
	wish.target = "t9";
	none(ERR_INVALID_ARGUMENT, "parameter target \"t9\" names no target");
	wish.target = "";
	wish.pool = "q";
	none(ERR_INVALID_ARGUMENT, "parameter pool: no target has pool \"q\"");
	wish.target = "t1";
	none(ERR_INVALID_ARGUMENT, "parameter pool: target t1 has no pool \"q\"");
	made.pool[0].name = (char *)"q";
	wish.target = "";
	assert_string_equal(order(), "t0");
}

/* Only when nothing else is left do silent targets count, and then it may get better. */
static void test_unreachable(void **state)
{
	(void)state;
	add_down();
	none(ERR_UNAVAILABLE, "no target can take volume \"pvc-1\": target t0: is down");
	add(10 * GI, NULL);
	assert_string_equal(order(), "t1");
	wish.pool = "q";
	none(ERR_UNAVAILABLE, "target t0: is down");
	/* It has answered the one question but not the other. */
	made.entries[1].known = false;
	err_set(&made.entries[1].info_err, ERR_DEADLINE_EXCEEDED, "target t1: too slow");
	wish.pool = "";
	none(ERR_UNAVAILABLE, "target t0: is down; target t1: too slow");
	wish.target = "t1";
	none(ERR_UNAVAILABLE, "\"pvc-1\": target t1: too slow");
}

/* However many there are and however much they say: the first are named, the others counted. */
static void test_many_unreachable(void **state)
{
	(void)state;
	for (size_t i = 0; i < PLACES; i++) {
		add_down();
		err_wrap(&made.entries[i].find_err, "t%zu %0900d", i, 0);
	}
	none(ERR_UNAVAILABLE, "; t1 0");
	none(ERR_UNAVAILABLE, "; t2 0");
	none(ERR_UNAVAILABLE, "; and 5 more");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {
		TEST(test_most_room), TEST(test_lots),	      TEST(test_topology),
		TEST(test_by_name),   TEST(test_unreachable), TEST(test_many_unreachable),
	};

	return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
