/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A target on the directories of target_dirs.h: an export fails after its record is written unless
 * the test puts up a subsystem. The writing of a record is made to fail by put_obstacle.
 */
#ifndef TESTS_UNIT_TARGET_FIXTURE_H
#define TESTS_UNIT_TARGET_FIXTURE_H

#include "nvme/target/target_table.h"
#include "tests/unit/target_dirs.h"

#define HOST_A "nqn.2014-08.org.nvmexpress:uuid:aaaaaaaa-0000-4000-8000-000000000001"
#define HOST_B "nqn.2014-08.org.nvmexpress:uuid:bbbbbbbb-0000-4000-8000-000000000002"
#define OTHER "6e6f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a12"

static inline int no_attach(struct pool *pool, const struct volume *volume, bool readonly,
			    struct err *err)
{
	if (readonly)
		return err_set(err, ERR_INTERNAL, "no view in this test");
	return pool_dir_ops.attach(pool, volume, readonly, err);
}

static inline int no_detach(struct pool *pool, const struct uuid *uuid, struct err *err)
{
	(void)pool, (void)uuid, (void)err;
	return 0;
}

/* What a directory offers, without the machine's loop and dm devices. */
static inline struct pool_ops plain_ops(void)
{
	struct pool_ops ops = pool_dir_ops;

	ops.attach = no_attach;
	ops.detach = no_detach;
	return ops;
}

static inline int open_target(struct err *err)
{
	static struct pool_ops ops;
	cleanup_free char *fast = xasprintf("fast=dir:%s/fast", dir);
	cleanup_free char *slow = xasprintf("slow=dir:%s/slow", dir);
	cleanup_free char *nvmet = xasprintf("%s/nvmet", dir);
	const char *pools[] = { fast, slow };
	struct portal portals[2];
	struct target_config config = {
		.id = "box-1",
		.pools = pools,
		.pool_count = ARRAY_SIZE(pools),
		.portals = portals,
		.portal_count = ARRAY_SIZE(portals),
		.nvmet_path = nvmet,
	};

	if (portal_parse("tcp://127.0.0.1:4420", &portals[0], err) < 0 ||
	    portal_parse("tcp://[::1]:4420", &portals[1], err) < 0)
		return -1;
	if (target_new(&config, &target, err) < 0)
		return -1;
	ops = plain_ops();
	for (size_t i = 0; i < target->pool_count; i++)
		target->pools[i]->ops = &ops;
	return 0;
}

static inline void close_target(void)
{
	if (target)
		target_free(target);
	target = NULL;
}

static inline void restart(void)
{
	struct err err = ERR_INIT;

	close_target();
	if (open_target(&err) < 0 || target_restore(target, &err) < 0)
		fail_msg("%s", err.msg);
}

static inline int setup(void **state)
{
	struct err err;

	if (target_dirs_setup(state) < 0 || open_target(&err) < 0)
		return -1;
	return target_restore(target, &err);
}

static inline int teardown(void **state)
{
	close_target();
	return target_dirs_teardown(state);
}

/* In the way of the next writing of UUID's record, in the pool fast. */
#define OBSTACLE "fast/." UUID ".json.tmp"

static inline void put_obstacle(void)
{
	struct err err;

	assert_int_equal(root_mkdir(&root, &err, OBSTACLE), 0);
}

static inline uint64_t provisioned(const char *pool)
{
	return target_pool_find(target, pool)->provisioned_bytes;
}

static inline struct volume request(const char *uuid)
{
	struct volume volume = { .size_bytes = 1 << 20, .volatile_cache = true };

	snprintf(volume.uuid.text, sizeof(volume.uuid.text), "%.36s", uuid);
	volume.name = xstrdup("pvc-1");
	volume_add_parameter(&volume, "nrIoQueues", "2");
	return volume;
}

static inline int create(const char *uuid, const char *pool, struct err *err)
{
	cleanup_volume struct volume want = request(uuid), made = { 0 };

	snprintf(want.pool, sizeof(want.pool), "%s", pool);
	return target_create(target, &want, &made, err);
}

/* A volume as it is; the caller owns it. */
static inline struct volume get(const char *uuid)
{
	struct volume volume = { 0 };
	struct err err = ERR_INIT;

	if (target_get(target, uuid, "", &volume, &err) < 0)
		fail_msg("%s", err.msg);
	return volume;
}

static inline struct volume_export want(const char *host)
{
	struct volume_export e = { .access = VOLUME_SINGLE_NODE };

	snprintf(e.host_nqn, sizeof(e.host_nqn), "%s", host);
	return e;
}

static inline int export_to(const char *uuid, const char *host, struct err *err)
{
	cleanup_volume struct volume ret = { 0 };
	struct volume_export e = want(host);

	return target_export(target, uuid, &e, &ret, err);
}

static inline void assert_code(int r, const struct err *err, enum err_code code)
{
	assert_int_equal(r, -1);
	if (err->code != code)
		fail_msg("%s instead of %s: %s", err_code_name(err->code), err_code_name(code),
			 err->msg);
}

static inline void assert_ok(int r, const struct err *err)
{
	if (r < 0)
		fail_msg("%s: %s", err_code_name(err->code), err->msg);
}

static inline void assert_says(const char *text, const char *says)
{
	if (!strstr(text, says))
		fail_msg("\"%s\" does not say \"%s\"", text, says);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
