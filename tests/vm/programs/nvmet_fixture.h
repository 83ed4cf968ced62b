/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs that drive nvme/target/nvmet.h against the kernel share. */
#ifndef TESTS_VM_NVMET_FIXTURE_H
#define TESTS_VM_NVMET_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "nvme/target/nvmet.h"
#include "nvme/target/nvmet_guard.h"
#include "tests/vm/programs/tcp_initiator.h"

#define HOSTS_MAX 64

static const char *const portal_texts[] = { "tcp://127.0.0.1:4420", "tcp://[::1]:4420" };
static struct portal portals[ARRAY_SIZE(portal_texts)];
static struct nvmet nvmet = { .root.fd = -1 };

static inline void must(int r, const struct err *err)
{
	if (r < 0)
		fail_msg("%s: %s", err_code_name(err->code), err->msg);
}

static inline void open_nvmet(void)
{
	struct err err = ERR_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(portals); i++)
		must(portal_parse(portal_texts[i], &portals[i], &err), &err);
	must(nvmet_open(&nvmet, NULL, portals, ARRAY_SIZE(portals), &err), &err);
}

/* Host n of volume v, and its names as an initiator gives them. */
static inline void host_nqn(unsigned n, char out[NQN_SIZE])
{
	snprintf(out, NQN_SIZE, "nqn.2014-08.org.nvmexpress:uuid:%08x-0000-4000-8000-000000000000",
		 n);
}

static inline struct uuid volume_uuid(unsigned n)
{
	struct uuid uuid;

	snprintf(uuid.text, sizeof(uuid.text), "%08x-6f0c-4f0e-9f0a-0b6f3f6c2a11", n);
	return uuid;
}

struct names {
	char subsystem[NQN_SIZE];
	char host[NQN_SIZE];
	struct initiator_names names;
};

static inline void names_init(struct names *names, unsigned volume, unsigned host)
{
	struct uuid uuid = volume_uuid(volume);

	volume_nqn(&uuid, names->subsystem);
	host_nqn(host, names->host);
	names->names = (struct initiator_names) { names->subsystem, names->host, { 0 } };
	memcpy(names->names.host_id, &host, sizeof(host));
}

/* Volume n, exported to the hosts from first to last, which lie in hosts. */
static inline struct volume volume_of(unsigned n, unsigned first, unsigned last,
				      struct volume_export hosts[HOSTS_MAX])
{
	struct volume volume = { .uuid = volume_uuid(n), .exports = hosts };

	for (unsigned host = first; host <= last; host++) {
		hosts[volume.export_count].host_made = true;
		host_nqn(host, hosts[volume.export_count++].host_nqn);
	}
	return volume;
}

/* Its backing is at path. */
static inline void prepare(unsigned n, const char *path, unsigned first, unsigned last)
{
	struct volume_export hosts[HOSTS_MAX] = { 0 };
	struct volume volume = volume_of(n, first, last, hosts);
	struct err err = ERR_INIT;

	must(nvmet_prepare(&nvmet, &volume, path, NULL, &err), &err);
}

static inline void link_volumes(unsigned first, unsigned last)
{
	cleanup_free struct uuid *uuids = xcalloc(last - first + 1, sizeof(*uuids));
	struct err err = ERR_INIT;

	for (unsigned n = first; n <= last; n++)
		uuids[n - first] = volume_uuid(n);
	must(nvmet_link(&nvmet, uuids, last - first + 1, &err), &err);
}

static inline void remove_volume(unsigned n, unsigned first, unsigned last)
{
	struct volume_export hosts[HOSTS_MAX] = { 0 };
	struct volume volume = volume_of(n, first, last, hosts);
	struct err err = ERR_INIT;

	must(nvmet_remove(&nvmet, &volume, &err), &err);
}

/* Runs nft commands; whether they succeeded. */
static inline bool nft(const char *commands)
{
	struct nvmet_guard guard;
	struct err ignored;

	nvmet_guard_init(&guard, true);
	return guard.run(commands, &ignored) == 0;
}

static inline bool guard_is_there(void)
{
	return nft("list table inet " NVMET_GUARD_TABLE "\n");
}

#endif
