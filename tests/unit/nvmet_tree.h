/* SPDX-License-Identifier: Apache-2.0 */
/* nvmet's configfs as a plain directory, and a guard that only takes note of what it is told. */
#ifndef TESTS_UNIT_NVMET_TREE_H
#define TESTS_UNIT_NVMET_TREE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nvme/base/file.h"
#include "nvme/base/proc.h"
#include "nvme/target/nvmet.h"

static char tree_dir[64];
static struct nvmet nvmet = { .root.fd = -1 };

/* What the guard was told: its last commands, how often, and what its next answer is. */
static char guard_text[8192];
static unsigned guard_runs;
static bool guard_fails;
static void (*guard_seen)(void); /* called at each, if set */

static inline int guard_note(const char *commands, struct err *err)
{
	snprintf(guard_text, sizeof(guard_text), "%s", commands);
	guard_runs++;
	if (guard_seen)
		guard_seen();
	return guard_fails ? err_set(err, ERR_INTERNAL, "no nftables here") : 0;
}

/* Whether the last commands put the guard up, rather than lifting it. */
static inline bool guard_is_up(void)
{
	return strstr(guard_text, "chain input") != NULL;
}

static inline void tree_mkdir(const char *path)
{
	cleanup_free char *full = xasprintf("%s/%s", tree_dir, path);
	struct err err;

	assert_int_equal(file_mkdirs(full, &err), 0);
}

static inline void tree_put(const char *path, const char *text)
{
	cleanup_free char *full = xasprintf("%s/%s", tree_dir, path);
	cleanup_close int fd = open(full, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static inline void tree_link(const char *to, const char *link)
{
	cleanup_free char *target = xasprintf("%s/%s", tree_dir, to);
	cleanup_free char *full = xasprintf("%s/%s", tree_dir, link);

	assert_int_equal(symlink(target, full), 0);
}

static inline bool tree_has(const char *path)
{
	return root_exists(&nvmet.root, "%s", path);
}

static inline void tree_port(const char *id, const char *addr, const char *service)
{
	cleanup_free char *links = xasprintf("ports/%s/subsystems", id);
	const char *const attrs[][2] = { { "addr_trtype", "tcp" },
					 { "addr_traddr", addr },
					 { "addr_trsvcid", service } };

	tree_mkdir(links);
	for (size_t i = 0; i < ARRAY_SIZE(attrs); i++) {
		cleanup_free char *path = xasprintf("ports/%s/%s", id, attrs[i][0]);

		tree_put(path, attrs[i][1]);
	}
}

/* A tree with a port for each of the two portals, 1 and 2. */
static inline int tree_setup(void **state)
{
	struct portal portals[2];
	struct err err;

	(void)state;
	strcpy(tree_dir, "/tmp/test_nvmet.XXXXXX");
	if (!mkdtemp(tree_dir))
		return -1;
	tree_mkdir("subsystems");
	tree_mkdir("hosts");
	tree_port("1", "192.0.2.1", "4420");
	tree_port("2", "2001:db8::1", "4420");
	if (portal_parse("tcp://192.0.2.1:4420", &portals[0], &err) < 0 ||
	    portal_parse("tcp://[2001:db8::1]:4420", &portals[1], &err) < 0 ||
	    nvmet_open(&nvmet, tree_dir, portals, ARRAY_SIZE(portals), &err) < 0)
		return -1;
	nvmet.guard.run = guard_note;
	guard_text[0] = '\0';
	guard_runs = 0;
	guard_fails = false;
	guard_seen = NULL;
	return 0;
}

static inline int tree_teardown(void **state)
{
	const char *argv[] = { "rm", "-rf", tree_dir, NULL };
	static struct proc_result result;
	struct err err;

	(void)state;
	nvmet_close(&nvmet);
	return proc_run(argv, deadline_after_ms(10000), &result, &err) < 0 || result.exit_code;
}

#endif
