/* SPDX-License-Identifier: Apache-2.0 */
/* The busy gate: one holder per key, whoever asks. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "csi/rpc/gate.h"

#define THREADS 8
#define ROUNDS 2000

static void test_one_holder_per_key(void **state)
{
	char key[] = "pool/a";
	struct gate gate;

	(void)state;
	gate_init(&gate);
	assert_true(gate_enter(&gate, key));
	assert_false(gate_enter(&gate, "pool/a"));
	assert_true(gate_enter(&gate, "pool/b"));
	/* The key is the gate's own copy. */
	key[0] = 'X';
	assert_false(gate_enter(&gate, "pool/a"));
	gate_leave(&gate, "pool/a");
	assert_true(gate_enter(&gate, "pool/a"));
	gate_leave(&gate, "pool/a");
	gate_leave(&gate, "pool/b");
	gate_fini(&gate);
}

struct contest {
	struct gate gate;
	atomic_int inside[4];
	int plain[4]; /* guarded by nothing but the gate */
	atomic_int entered;
	atomic_bool broken;
};

static void *contender(void *data)
{
	struct contest *c = data;
	char key[16];

	for (int i = 0; i < ROUNDS; i++) {
		int k = i % 4;

		snprintf(key, sizeof(key), "key-%d", k);
		if (!gate_enter(&c->gate, key))
			continue;
		if (atomic_fetch_add(&c->inside[k], 1) != 0)
			c->broken = true;
		c->plain[k]++;
		atomic_fetch_add(&c->entered, 1);
		atomic_fetch_sub(&c->inside[k], 1);
		gate_leave(&c->gate, key);
	}
	return NULL;
}

static void test_contest(void **state)
{
	static struct contest c;
	pthread_t threads[THREADS];
	int sum = 0;

	(void)state;
	gate_init(&c.gate);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, contender, &c), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int k = 0; k < 4; k++)
		sum += c.plain[k];
	assert_false(c.broken);
	assert_int_equal(sum, c.entered);
	assert_null(c.gate.holders);
	gate_fini(&c.gate);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_holder_per_key),
		cmocka_unit_test(test_contest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
