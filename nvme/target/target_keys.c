/* SPDX-License-Identifier: Apache-2.0 */
/* The DH-HMAC-CHAP keys of hosts: one pair a host, for all of its volumes. */
#include "nvme/target/target_table.h"

#include <string.h>

#include "nvme/base/log.h"

/* --- hosts ------------------------------------------------------------------------------------ */

/* Under the lock. */
struct target_host *target_host_ensure(struct target *target, const char *host_nqn)
{
	struct target_host *host = index_get(&target->hosts, host_nqn);

	if (host)
		return host;
	host = xcalloc(1, sizeof(*host));
	strcpy(host->nqn, host_nqn);
	pthread_mutex_init(&host->busy, NULL);
	index_add(&target->hosts, host);
	return host;
}

void target_host_free(struct target_host *host)
{
	pthread_mutex_destroy(&host->busy);
	host_keys_wipe(&host->keys);
	free(host);
}

/* Under the lock. */
static bool has_users(const struct target_host *host)
{
	for (size_t i = 0; i < DHCHAP_MODE_COUNT; i++)
		if (host->exports[i] || host->claims[i])
			return true;
	return host->pins;
}

void target_host_trim(struct target *target, struct target_host *host)
{
	if (has_users(host) || host->keys.serial)
		return;
	index_remove(&target->hosts, host->nqn);
	target_host_free(host);
}

/* --- claiming --------------------------------------------------------------------------------- */

/* A kind of authentication beside the wanted one that exports to the host have; NULL: none. */
static const char *other_mode(const struct target_host *host, enum dhchap_mode mode)
{
	for (size_t i = 0; i < DHCHAP_MODE_COUNT; i++)
		if (i != mode && (host->exports[i] || host->claims[i]))
			return dhchap_mode_name((enum dhchap_mode)i);
	return NULL;
}

/* Puts the claim in, so that nobody begins to export to the host in another mode meanwhile. */
static int enter(struct target *target, const struct volume_export *want,
		 struct target_keys_claim *claim, struct err *err)
{
	struct target_host *host;
	const char *other;
	int r = 0;

	pthread_mutex_lock(&target->lock);
	host = target_host_ensure(target, want->host_nqn);
	other = other_mode(host, want->dhchap);
	if (other)
		r = err_set(err, ERR_FAILED_PRECONDITION,
			    "host %s has volumes of target %s with authentication %s, asked for is "
			    "%s: all volumes of a node use one secret; unpublish those first",
			    want->host_nqn, target->id, other, dhchap_mode_name(want->dhchap));
	else {
		host->claims[want->dhchap]++;
		*claim = (struct target_keys_claim) { .target = target,
						      .host = host,
						      .mode = want->dhchap };
	}
	pthread_mutex_unlock(&target->lock);
	return r;
}

static int wait_for_host(struct target_keys_claim *claim, struct err *err)
{
	struct timespec until = deadline_timespec(deadline_after_ms(claim->target->turn_wait_ms));

	if (pthread_mutex_clocklock(&claim->host->busy, CLOCK_MONOTONIC, &until) != 0)
		return err_set(err, ERR_ABORTED, "another call is at the keys of host %s",
			       claim->host->nqn);
	claim->busy = true;
	return 0;
}

void target_keys_claim_fini(struct target_keys_claim *claim)
{
	if (!claim->host)
		return;
	if (claim->busy)
		pthread_mutex_unlock(&claim->host->busy);
	pthread_mutex_lock(&claim->target->lock);
	claim->host->claims[claim->mode]--;
	target_host_trim(claim->target, claim->host);
	pthread_mutex_unlock(&claim->target->lock);
}

/*
 * Whether the host may have these keys. Only who has a volume already can ask for others: that is
 * a change of the secret; anything else is a second secret.
 */
static int decide(const struct target_host *host, bool in_use, bool held,
		  const struct dhchap_keys *keys, struct err *err)
{
	const struct dhchap_keys *old = &host->keys.keys;

	if (!in_use || dhchap_keys_equal(old, keys))
		return 0;
	if (!held)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "host %s has other volumes with another secret: all volumes of a "
			       "node use one secret; to change it, publish one that the node has "
			       "already with the new secret, or unpublish all of them first",
			       host->nqn);
	if (old->ctrl[0] && strcmp(old->host, keys->host) != 0 &&
	    strcmp(old->ctrl, keys->ctrl) != 0)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "both secrets of host %s are new: live sessions survive the change "
			       "of one at a time; change dhchapSecret, publish and stage, then "
			       "change dhchapCtrlSecret",
			       host->nqn);
	return 0;
}

/* Durable in this pool before the kernel has it, or a restart would lock the host out. */
static int save(struct target_host *host, const struct pool *pool, const struct dhchap_keys *keys,
		struct err *err)
{
	struct host_keys wanted CLEANUP(host_keys_wipe) = host->keys;
	struct host_keys there CLEANUP(host_keys_wipe) = { 0 };
	struct err unreadable;

	if (!wanted.serial || !dhchap_keys_equal(&wanted.keys, keys)) {
		wanted.serial++;
		wanted.keys = *keys;
	}
	if (host_keys_load(&pool->records, host->nqn, &there, &unreadable) <= 0 ||
	    there.serial != wanted.serial || !dhchap_keys_equal(&there.keys, &wanted.keys))
		if (host_keys_save(&pool->records, host->nqn, &wanted, err) < 0)
			return -1;
	if (host->keys.serial && host->keys.serial != wanted.serial)
		log_info("secret of a host changed", KV("host", host->nqn), KV("pool", pool->name));
	host->keys = wanted;
	return 0;
}

static bool any_keyed(const size_t counts[DHCHAP_MODE_COUNT])
{
	return counts[DHCHAP_ONE_WAY] || counts[DHCHAP_BOTH_WAYS];
}

static bool is_in_use(struct target *target, const struct target_host *host)
{
	bool in_use;

	pthread_mutex_lock(&target->lock);
	in_use = any_keyed(host->exports);
	pthread_mutex_unlock(&target->lock);
	return in_use;
}

int target_keys_claim(struct target *target, const struct pool *pool,
		      const struct volume_export *want, bool held, const struct dhchap_keys *keys,
		      struct target_keys_claim *claim, struct err *err)
{
	if (enter(target, want, claim, err) < 0)
		return -1;
	if (want->dhchap == DHCHAP_NONE)
		return 0;
	if (wait_for_host(claim, err) < 0 ||
	    nvmet_host_keys_check(&target->nvmet, want->host_nqn, keys,
				  target_made_host(target, want->host_nqn) ||
					  !nvmet_host_exists(&target->nvmet, want->host_nqn),
				  err) < 0 ||
	    decide(claim->host, is_in_use(target, claim->host), held, keys, err) < 0)
		return -1;
	return save(claim->host, pool, keys, err);
}

int target_keys_show(const struct target_keys_claim *claim, struct err *err)
{
	if (claim->mode == DHCHAP_NONE)
		return 0;
	return nvmet_host_keys_set(&claim->target->nvmet, claim->host->nqn, &claim->host->keys.keys,
				   err);
}

/* --- forgetting ------------------------------------------------------------------------------- */

static int remove_files(struct target *target, const char *host_nqn, struct err *err)
{
	for (size_t i = 0; i < target->pool_count; i++) {
		cleanup_turn struct target_turn turn = { 0 };

		if (target_turn_take(target, target->pools[i], &turn, err) < 0 ||
		    host_keys_remove(&target->pools[i]->records, host_nqn, err) < 0)
			return -1;
	}
	return 0;
}

/* A claim is nobody's use of the keys yet, but its file is written: it waits for us, or we go. */
static bool is_forgettable(const struct target_host *host)
{
	return host->keys.serial && !any_keyed(host->exports) && !any_keyed(host->claims);
}

void target_keys_settle(struct target *target, const char *host_nqn)
{
	struct target_host *host;
	struct err err;

	pthread_mutex_lock(&target->lock);
	host = index_get(&target->hosts, host_nqn);
	if (!host || !is_forgettable(host) || pthread_mutex_trylock(&host->busy) != 0) {
		pthread_mutex_unlock(&target->lock);
		return;
	}
	host->pins++;
	pthread_mutex_unlock(&target->lock);
	/* Until all are gone the serial stays, so that the next keys are newer than what is left. */
	if (remove_files(target, host_nqn, &err) == 0)
		host_keys_wipe(&host->keys);
	else
		log_warning("keys of a host without volumes left behind", KV("host", host_nqn),
			    KV_ERR(&err));
	pthread_mutex_unlock(&host->busy);
	pthread_mutex_lock(&target->lock);
	host->pins--;
	target_host_trim(target, host);
	pthread_mutex_unlock(&target->lock);
}

/* --- start-up --------------------------------------------------------------------------------- */

static void load_file(struct target *target, const struct pool *pool, const char *host_nqn)
{
	struct host_keys found CLEANUP(host_keys_wipe) = { 0 };
	struct target_host *host;
	struct err err;

	if (host_keys_load(&pool->records, host_nqn, &found, &err) < 0)
		log_error("keys of a host not understood", KV("pool", pool->name),
			  KV("host", host_nqn), KV_ERR(&err));
	if (!found.serial)
		return;
	host = target_host_ensure(target, host_nqn);
	if (found.serial > host->keys.serial)
		host->keys = found;
}

static int load_all(struct target *target, struct err *err)
{
	for (size_t i = 0; i < target->pool_count; i++) {
		cleanup_root_names struct root_names names = { 0 };

		if (host_keys_list(&target->pools[i]->records, &names, err) < 0)
			return err_wrap(err, "pool %s", target->pools[i]->name);
		for (size_t j = 0; j < names.count; j++)
			load_file(target, target->pools[i], names.names[j]);
	}
	return 0;
}

static void restore_host(struct target *target, const struct target_host *host)
{
	enum dhchap_mode mode = dhchap_keys_mode(&host->keys.keys);
	struct err err = ERR_INIT;
	bool keyed, known;

	pthread_mutex_lock(&target->lock);
	keyed = any_keyed(host->exports);
	known = host->exports[mode];
	pthread_mutex_unlock(&target->lock);
	if (!keyed)
		return;
	if (!known)
		log_error("the keys of a host are gone; publish its volumes again",
			  KV("host", host->nqn));
	else if (nvmet_host_keys_set(&target->nvmet, host->nqn, &host->keys.keys, &err) < 0)
		log_error("keys of a host not restored", KV("host", host->nqn), KV_ERR(&err));
}

/* Whether a record could not be read: whose keys its volume needs is not known. */
static bool is_anything_unread(struct target *target)
{
	bool unread = false;

	pthread_mutex_lock(&target->lock);
	for (size_t i = 0; !unread && i < target->entries.count; i++)
		unread = target_entry_at(target, i)->quarantined;
	pthread_mutex_unlock(&target->lock);
	return unread;
}

int target_keys_restore(struct target *target, struct err *err)
{
	bool keep = is_anything_unread(target);

	if (load_all(target, err) < 0)
		return -1;
	/* Backwards: what is forgotten leaves the index. */
	for (size_t i = target->hosts.count; i-- > 0;) {
		const struct target_host *host = target->hosts.items[i];
		char nqn[NQN_SIZE];

		strcpy(nqn, host->nqn);
		restore_host(target, host);
		if (!keep)
			target_keys_settle(target, nqn);
	}
	return 0;
}
