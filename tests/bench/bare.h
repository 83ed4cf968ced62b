/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floors: what creating and publishing a volume cannot do without, as system calls with nothing
 * around them. Whatever fails ends the program.
 */
#ifndef TESTS_BENCH_BARE_H
#define TESTS_BENCH_BARE_H

#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#include "tests/bench/bench.h"

#define BARE_NVMET "/sys/kernel/config/nvmet"
#define BARE_THREADS 32

struct bare {
	const char *pool;
	int dir;
	char port[PATH_MAX]; /* of nvmet: the only one */
};

struct bare_path {
	char text[PATH_MAX];
};

__attribute__((format(printf, 1, 2))) static inline struct bare_path bare_path(const char *format,
									       ...)
{
	struct bare_path path;
	va_list args;

	va_start(args, format);
	vsnprintf(path.text, sizeof(path.text), format, args);
	va_end(args);
	return path;
}

#define BARE_PATH(...) (bare_path(__VA_ARGS__).text)

static inline void bare_open(struct bare *bare, const char *pool)
{
	*bare = (struct bare) { .pool = pool };
	bare->dir = BENCH_SYS(open(pool, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static inline void bare_close(struct bare *bare)
{
	close(bare->dir);
}

/* --- files ------------------------------------------------------------------------------------ */

static inline void bare_create(struct bare *bare, const struct uuid *uuid, uint64_t size_bytes)
{
	int flags = 0;
	int fd = BENCH_SYS(openat(bare->dir, BARE_PATH("%s.img", uuid->text),
				  O_RDWR | O_CREAT | O_CLOEXEC, 0600));

	BENCH_SYS(ioctl(fd, FS_IOC_GETFLAGS, &flags));
	flags |= FS_SYNC_FL;
	BENCH_SYS(ioctl(fd, FS_IOC_SETFLAGS, &flags));
	BENCH_SYS(ftruncate(fd, (off_t)size_bytes));
	BENCH_SYS(fsync(fd));
	BENCH_SYS(fsync(bare->dir));
	close(fd);
}

static inline void bare_record(struct bare *bare, const struct uuid *uuid, const char *text)
{
	struct bare_path tmp = bare_path(".%s.tmp", uuid->text);
	int fd = BENCH_SYS(
		openat(bare->dir, tmp.text, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));

	BENCH_SYS(write(fd, text, strlen(text)));
	BENCH_SYS(fsync(fd));
	BENCH_SYS(renameat(bare->dir, tmp.text, bare->dir, BARE_PATH("%s.json", uuid->text)));
	BENCH_SYS(fsync(bare->dir));
	close(fd);
}

static inline void bare_delete(struct bare *bare, const struct uuid *uuid)
{
	BENCH_SYS(unlinkat(bare->dir, BARE_PATH("%s.json", uuid->text), 0));
	BENCH_SYS(unlinkat(bare->dir, BARE_PATH("%s.img", uuid->text), 0));
}

/* --- configfs --------------------------------------------------------------------------------- */

static inline void bare_write(const char *path, const char *value)
{
	int fd = BENCH_SYS(open(path, O_WRONLY | O_CLOEXEC));

	BENCH_SYS(write(fd, value, strlen(value)));
	close(fd);
}

static inline struct bare_path bare_subsystem(const struct uuid *uuid)
{
	return bare_path(BARE_NVMET "/subsystems/" VOLUME_NQN_PREFIX "%s", uuid->text);
}

/* The one that there is. */
static inline void bare_find_port(struct bare *bare)
{
	struct root_names ports = { 0 };
	struct root root = ROOT_INIT;
	struct err err = ERR_INIT;

	BENCH_MUST(root_open(&root, BARE_NVMET, &err));
	BENCH_MUST(root_list(&root, &ports, &err, "ports"));
	if (ports.count != 1)
		BENCH_DIE("nvmet has %zu ports instead of 1", ports.count);
	strcpy(bare->port, BARE_PATH(BARE_NVMET "/ports/%.32s", ports.names[0]));
	root_names_fini(&ports);
	root_close(&root);
}

static inline void bare_open_port(struct bare *bare)
{
	static const char *const attributes[][2] = {
		{ "addr_trtype", "tcp" },
		{ "addr_adrfam", "ipv4" },
		{ "addr_traddr", "127.0.0.1" },
		{ "addr_trsvcid", "4420" },
	};

	strcpy(bare->port, BARE_NVMET "/ports/1");
	BENCH_SYS(mkdir(bare->port, 0755));
	for (size_t i = 0; i < ARRAY_SIZE(attributes); i++)
		bare_write(BARE_PATH("%s/%s", bare->port, attributes[i][0]), attributes[i][1]);
}

static inline void bare_host(const char *nqn)
{
	BENCH_SYS(mkdir(BARE_PATH(BARE_NVMET "/hosts/%s", nqn), 0755));
}

/* The host is there already. */
static inline void bare_prepare(struct bare *bare, const struct uuid *uuid, const char *host)
{
	struct bare_path subsystem = bare_subsystem(uuid);
	struct bare_path namespace = bare_path("%s/namespaces/1", subsystem.text);

	BENCH_SYS(mkdir(subsystem.text, 0755));
	bare_write(BARE_PATH("%s/attr_serial", subsystem.text), "0123456789abcdef0123");
	bare_write(BARE_PATH("%s/attr_model", subsystem.text), "nvmeot");
	BENCH_SYS(mkdir(namespace.text, 0755));
	bare_write(BARE_PATH("%s/device_uuid", namespace.text), uuid->text);
	bare_write(BARE_PATH("%s/device_nguid", namespace.text), uuid->text);
	bare_write(BARE_PATH("%s/device_path", namespace.text),
		   BARE_PATH("%s/%s.img", bare->pool, uuid->text));
	bare_write(BARE_PATH("%s/enable", namespace.text), "1");
	BENCH_SYS(symlink(BARE_PATH(BARE_NVMET "/hosts/%s", host),
			  BARE_PATH("%s/allowed_hosts/%s", subsystem.text, host)));
}

static inline void bare_link(struct bare *bare, const struct uuid *uuid)
{
	BENCH_SYS(symlink(bare_subsystem(uuid).text,
			  BARE_PATH("%s/subsystems/" VOLUME_NQN_PREFIX "%s", bare->port,
				    uuid->text)));
}

static inline void bare_publish(struct bare *bare, const struct uuid *uuid, const char *host)
{
	bare_prepare(bare, uuid, host);
	bare_link(bare, uuid);
}

static inline void bare_unlink(struct bare *bare, const struct uuid *uuid)
{
	BENCH_SYS(
		unlink(BARE_PATH("%s/subsystems/" VOLUME_NQN_PREFIX "%s", bare->port, uuid->text)));
}

static inline void bare_take_apart(const struct uuid *uuid, const char *host)
{
	struct bare_path subsystem = bare_subsystem(uuid);
	struct bare_path namespace = bare_path("%s/namespaces/1", subsystem.text);

	bare_write(BARE_PATH("%s/enable", namespace.text), "0");
	BENCH_SYS(rmdir(namespace.text));
	BENCH_SYS(unlink(BARE_PATH("%s/allowed_hosts/%s", subsystem.text, host)));
	BENCH_SYS(rmdir(subsystem.text));
}

static inline void bare_unpublish(struct bare *bare, const struct uuid *uuid, const char *host)
{
	bare_unlink(bare, uuid);
	bare_take_apart(uuid, host);
}

struct bare_slice {
	pthread_t thread;
	const struct uuid *uuids;
	size_t count;
	const char *host;
};

static inline void *bare_take_apart_slice(void *context)
{
	const struct bare_slice *slice = context;

	for (size_t i = 0; i < slice->count; i++)
		bare_take_apart(&slice->uuids[i], slice->host);
	return NULL;
}

/* All of nvmet, whoever made the port. Side by side, because disabling a namespace is waiting. */
static inline void bare_unpublish_all(struct bare *bare, const struct uuid *uuids, size_t count,
				      const char *host)
{
	struct bare_slice slices[BARE_THREADS];
	size_t done = 0;

	bare_find_port(bare);
	for (size_t i = 0; i < count; i++)
		bare_unlink(bare, &uuids[i]);
	for (size_t i = 0; i < BARE_THREADS; i++) {
		size_t end = count * (i + 1) / BARE_THREADS;

		slices[i] = (struct bare_slice) { .uuids = &uuids[done],
						  .count = end - done,
						  .host = host };
		done = end;
		pthread_create(&slices[i].thread, NULL, bare_take_apart_slice, &slices[i]);
	}
	for (size_t i = 0; i < BARE_THREADS; i++)
		pthread_join(slices[i].thread, NULL);
	BENCH_SYS(rmdir(BARE_PATH(BARE_NVMET "/hosts/%s", host)));
	BENCH_SYS(rmdir(bare->port));
}

#endif
