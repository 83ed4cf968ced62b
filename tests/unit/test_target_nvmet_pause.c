/* SPDX-License-Identifier: Apache-2.0 */
/* The pause's commands, and what is known of its length; what it does is for tests/vm. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "nvme/target/nvmet_pause.h"

static char text[4096];
static int runs;
static bool fails;
static struct nvmet_pause pause_;
static struct portal portals[2];

static int note(const char *commands, struct err *err)
{
	snprintf(text, sizeof(text), "%s", commands);
	runs++;
	return fails ? err_set(err, ERR_INTERNAL, "nft says no") : 0;
}

static int setup(void **state)
{
	struct err err;

	(void)state;
	runs = 0;
	fails = false;
	nvmet_pause_init(&pause_, false);
	pause_.run = note;
	return portal_parse("tcp://192.0.2.1:4420", &portals[0], &err) < 0 ||
			       portal_parse("tcp://[2001:db8::1]:4421", &portals[1], &err) < 0 ?
		       -1 :
		       0;
}

static int teardown(void **state)
{
	(void)state;
	nvmet_pause_fini(&pause_);
	return 0;
}

static void test_commands(void **state)
{
	const char *first = "add table inet nvmeot_pause\ndelete table inet nvmeot_pause\n";
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(nvmet_pause_begin(&pause_, portals, 2, &err), 0);
	assert_memory_equal(text, first, strlen(first));
	assert_non_null(strstr(text, "elements = { 192.0.2.1 . 4420 timeout 2s }"));
	assert_non_null(strstr(text, "elements = { 2001:db8::1 . 4421 timeout 2s }"));
	assert_non_null(strstr(text, "tcp flags & (syn | ack) == syn accept\n\t\tip daddr"));
	assert_non_null(strstr(text, "ip daddr . tcp dport @portals4 drop"));
	assert_non_null(strstr(text, "ip6 daddr . tcp dport @portals6 drop"));
	assert_true(nvmet_pause_end(&pause_));
	assert_int_equal(runs, 2);
	/* Which fails if somebody has done it already. */
	assert_string_equal(text, "delete table inet nvmeot_pause\n");
}

static void test_failures(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	fails = true;
	assert_int_equal(nvmet_pause_begin(&pause_, portals, 2, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "nft says no"));
	assert_string_equal(text, "add table inet nvmeot_pause\ndelete table inet nvmeot_pause\n");
	/* Nobody is kept waiting by one that failed. */
	fails = false;
	assert_int_equal(nvmet_pause_begin(&pause_, portals, 2, &err), 0);
	/* It is gone already, or ends by itself: nobody knows how long it held. */
	fails = true;
	assert_false(nvmet_pause_end(&pause_));
}

static uint64_t ended_ns;
static atomic_bool held;

static void end_after_200_ms(void)
{
	usleep(200000);
	ended_ns = clock_now_ns();
	nvmet_pause_end(&pause_);
}

/* A mutex is of the thread that took it. */
static void *hold_pause(void *arg)
{
	struct err err;

	(void)arg;
	if (nvmet_pause_begin(&pause_, portals, 2, &err) < 0)
		return NULL;
	atomic_store(&held, true);
	while (atomic_load(&held))
		usleep(1000);
	nvmet_pause_end(&pause_);
	return NULL;
}

/* One waits for the other, and then as long again, so that what was dropped is sent once more. */
static void test_one_after_the_other(void **state)
{
	struct err err = ERR_INIT;
	uint64_t begun_ns, took_ns;
	pthread_t thread;

	(void)state;
	assert_int_equal(nvmet_pause_begin(&pause_, portals, 2, &err), 0);
	begun_ns = pause_.begun_ns;
	assert_true(nvmet_pause_holds(&pause_));
	pause_.begun_ns -= NVMET_PAUSE_MS * NS_PER_MS;
	assert_false(nvmet_pause_holds(&pause_));
	pause_.begun_ns = begun_ns;
	end_after_200_ms();
	took_ns = ended_ns - begun_ns;
	assert_int_equal(nvmet_pause_begin(&pause_, portals, 2, &err), 0);
	assert_true(pause_.begun_ns - ended_ns >= took_ns);
	assert_true(nvmet_pause_end(&pause_));
	assert_int_equal(pthread_create(&thread, NULL, hold_pause, NULL), 0);
	while (!atomic_load(&held))
		usleep(1000);
	assert_int_equal(nvmet_pause_begin(&pause_, portals, 2, &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	atomic_store(&held, false);
	pthread_join(thread, NULL);
}

static void test_one_that_took_too_long(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(nvmet_pause_begin(&pause_, portals, 2, &err), 0);
	pause_.begun_ns -= 60 * NVMET_PAUSE_MS * NS_PER_MS;
	assert_false(nvmet_pause_end(&pause_));
	/* Nobody pays for that with as long a wait. */
	assert_true(pause_.next_ns - clock_now_ns() < 2 * NVMET_PAUSE_MS * NS_PER_MS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_commands),
		TEST(test_failures),
		TEST(test_one_after_the_other),
		TEST(test_one_that_took_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
