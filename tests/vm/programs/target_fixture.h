/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs that drive the target against a real nvmet share: opening, asking, reading. */
#ifndef TESTS_VM_TARGET_FIXTURE_H
#define TESTS_VM_TARGET_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "nvme/target/nvmet.h"
#include "nvme/target/pool.h"
#include "nvme/target/target.h"

#define HOST_A "nqn.2014-08.org.nvmexpress:uuid:aaaaaaaa-0000-4000-8000-000000000001"
#define HOST_B "nqn.2014-08.org.nvmexpress:uuid:bbbbbbbb-0000-4000-8000-000000000002"
#define UUID "5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a11"
#define NQN VOLUME_NQN_PREFIX UUID
#define SIZE_BYTES (16ULL << 20)

static const char *pool_kind = "dir";
static const char *pool_path;	 /* the pool's argument: of kind dir, its directory */
static const char *extra_portal; /* beside the_portal(); NULL: none */
static struct target *target;
static struct root tree = { .fd = -1 }; /* nvmet's configfs */

static inline void must(int r, const struct err *err)
{
	if (r < 0)
		fail_msg("%s: %s", err_code_name(err->code), err->msg);
}

static inline struct portal the_portal(void)
{
	struct err err = ERR_INIT;
	struct portal portal;

	must(portal_parse("tcp://127.0.0.1:4420", &portal, &err), &err);
	return portal;
}

static inline int start(struct err *err)
{
	cleanup_free char *pool = xasprintf("p=%s:%s", pool_kind, pool_path);
	struct portal portals[2] = { the_portal() };
	const char *const pools[] = { pool };
	struct target_config config = {
		.id = "guest",
		.pools = pools,
		.pool_count = 1,
		.portals = portals,
		.portal_count = extra_portal ? 2 : 1,
	};

	if (extra_portal)
		must(portal_parse(extra_portal, &portals[1], err), err);
	if (target_new(&config, &target, err) < 0)
		return -1;
	return target_restore(target, err);
}

static inline void stop(void)
{
	target_free(target);
	target = NULL;
}

static inline int do_create(struct err *err)
{
	cleanup_volume struct volume want = { .uuid = { UUID }, .size_bytes = SIZE_BYTES };
	cleanup_volume struct volume made = { 0 };

	want.name = xstrdup("pvc-1");
	return target_create(target, &want, &made, err);
}

/* A multi-reader reads only, all others write. */
static inline int do_export(const char *host, enum volume_access access, struct err *err)
{
	cleanup_volume struct volume made = { 0 };
	struct volume_export want = { .access = access, .readonly = access == VOLUME_MULTI_READER };

	strcpy(want.host_nqn, host);
	return target_export(target, UUID, &want, &made, err);
}

/* The pool by itself, while no target runs. */
static inline int look_at_pool(struct pool **ret, struct err *err)
{
	cleanup_free char *text = xasprintf("p=%s:%s", pool_kind, pool_path);

	return pool_open(text, ret, err);
}

/* What a restart of the machine does to configfs, and to the devices below exports. */
static inline int forget_configfs(struct err *err)
{
	cleanup_pool struct pool *pool = NULL;
	struct volume_export hosts[] = { { .host_nqn = HOST_A,
					   .host_made = true,
					   .dhchap = DHCHAP_ONE_WAY }, /* a key goes, too */
					 { .host_nqn = HOST_B, .host_made = true } };
	struct volume volume = { .uuid = { UUID }, .exports = hosts, .export_count = 2 };
	struct portal portal = the_portal();
	struct nvmet nvmet = { 0 };
	int r;

	if (nvmet_open(&nvmet, NULL, &portal, 1, err) < 0)
		return -1;
	r = nvmet_remove(&nvmet, &volume, err);
	nvmet_close(&nvmet);
	if (r < 0 || look_at_pool(&pool, err) < 0)
		return -1;
	return pool_detach(pool, &volume.uuid, err);
}

static inline bool attr_equals(const char *path, const char *want)
{
	char value[ROOT_VALUE_SIZE];
	struct err err = ERR_INIT;

	return root_read(&tree, value, &err, "%s", path) == 1 && strcmp(value, want) == 0;
}

static inline bool allowed(const char *host)
{
	return root_exists(&tree, "subsystems/" NQN "/allowed_hosts/%s", host);
}

/* The number of ports that lead to the volume. */
static inline size_t links(void)
{
	struct root_names ports = { 0 };
	struct err err = ERR_INIT;
	size_t count = 0;

	must(root_list(&tree, &ports, &err, "ports"), &err);
	for (size_t i = 0; i < ports.count; i++)
		count += root_exists(&tree, "ports/%s/subsystems/" NQN, ports.names[i]);
	root_names_fini(&ports);
	return count;
}

static inline size_t count_in(const char *dir)
{
	struct root_names names = { 0 };
	struct err err = ERR_INIT;
	size_t count;

	must(root_list(&tree, &names, &err, "%s", dir), &err);
	count = names.count;
	root_names_fini(&names);
	return count;
}

static inline bool complete(void)
{
	return attr_equals("subsystems/" NQN "/namespaces/1/enable", "1") &&
	       attr_equals("subsystems/" NQN "/namespaces/1/device_uuid", UUID) &&
	       attr_equals("subsystems/" NQN "/namespaces/1/device_nguid", UUID) &&
	       attr_equals("subsystems/" NQN "/namespaces/1/buffered_io", "0") &&
	       attr_equals("subsystems/" NQN "/attr_allow_any_host", "0") &&
	       attr_equals("subsystems/" NQN "/attr_model", "nvmeot") &&
	       attr_equals("subsystems/" NQN "/attr_serial", "5d5f4a536f0c4f0e9f0a");
}

/* Nothing of ours in nvmet. */
static inline void assert_nothing_left(void)
{
	assert_int_equal(count_in("subsystems"), 0);
	assert_int_equal(count_in("hosts"), 0);
	assert_int_equal(count_in("ports"), 0);
}

static inline int parse_arguments(int argc, char **argv)
{
	struct err err = ERR_INIT;

	if (argc != 2 && argc != 3) {
		fprintf(stderr, "usage: %s [KIND] ARGUMENT: of the pool, as of --pool\n", argv[0]);
		return -1;
	}
	if (argc == 3)
		pool_kind = argv[1];
	pool_path = argv[argc - 1];
	if (root_open(&tree, NVMET_PATH, &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		return -1;
	}
	return 0;
}

#endif
