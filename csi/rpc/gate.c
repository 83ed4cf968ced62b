/* SPDX-License-Identifier: Apache-2.0 */
/* The busy gate: a locked hash of the keys that are held. */
#include "csi/rpc/gate.h"

#include <stdlib.h>
#include <uthash.h>

#include "nvme/base/cleanup.h"

struct gate_holder {
	UT_hash_handle hh;
	char key[];
};

static struct gate_holder *holder_find(struct gate *gate, const char *key)
{
	struct gate_holder *holder;

	HASH_FIND_STR(gate->holders, key, holder);
	return holder;
}

void gate_init(struct gate *gate)
{
	pthread_mutex_init(&gate->lock, NULL);
	gate->holders = NULL;
}

void gate_fini(struct gate *gate)
{
	pthread_mutex_destroy(&gate->lock);
}

bool gate_enter(struct gate *gate, const char *key)
{
	struct gate_holder *holder;
	bool entered = false;

	pthread_mutex_lock(&gate->lock);
	if (!holder_find(gate, key)) {
		holder = xcalloc(1, sizeof(*holder) + strlen(key) + 1);
		strcpy(holder->key, key);
		HASH_ADD_STR(gate->holders, key, holder);
		entered = true;
	}
	pthread_mutex_unlock(&gate->lock);
	return entered;
}

void gate_leave(struct gate *gate, const char *key)
{
	struct gate_holder *holder;

	pthread_mutex_lock(&gate->lock);
	holder = holder_find(gate, key);
	HASH_DEL(gate->holders, holder);
	pthread_mutex_unlock(&gate->lock);
	free(holder);
}
