/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pieces of CSI requests for unit tests, as if they had been unpacked: capabilities and string
 * maps. All of it is static or on the caller's stack; nothing is freed.
 */
#ifndef TESTS_UNIT_REQUEST_FIXTURE_H
#define TESTS_UNIT_REQUEST_FIXTURE_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "csi.pb-c.h"
#include "csi/request/map.h"
#include "nvme/base/cleanup.h"

#define MODE(name) CSI__V1__VOLUME_CAPABILITY__ACCESS_MODE__MODE__##name
#define FIXTURE_MAP_MAX 32

/* A capability and the messages that it points to: do not move it. */
struct fixture_capability {
	Csi__V1__VolumeCapability capability;
	Csi__V1__VolumeCapability__AccessMode mode;
	Csi__V1__VolumeCapability__MountVolume mount;
	Csi__V1__VolumeCapability__BlockVolume block;
};

static inline void fixture_mode(struct fixture_capability *c, int mode)
{
	csi__v1__volume_capability__init(&c->capability);
	csi__v1__volume_capability__access_mode__init(&c->mode);
	csi__v1__volume_capability__mount_volume__init(&c->mount);
	csi__v1__volume_capability__block_volume__init(&c->block);
	c->mode.mode = (Csi__V1__VolumeCapability__AccessMode__Mode)mode;
	c->capability.access_mode = &c->mode;
}

/* fs_type may be ""; flags may be NULL. */
static inline Csi__V1__VolumeCapability *fixture_mount(struct fixture_capability *c, int mode,
						       const char *fs_type, char **flags,
						       size_t flag_count)
{
	fixture_mode(c, mode);
	c->capability.access_type_case = CSI__V1__VOLUME_CAPABILITY__ACCESS_TYPE_MOUNT;
	c->capability.mount = &c->mount;
	c->mount.fs_type = (char *)fs_type;
	c->mount.mount_flags = flags;
	c->mount.n_mount_flags = flag_count;
	return &c->capability;
}

static inline Csi__V1__VolumeCapability *fixture_block(struct fixture_capability *c, int mode)
{
	fixture_mode(c, mode);
	c->capability.access_type_case = CSI__V1__VOLUME_CAPABILITY__ACCESS_TYPE_BLOCK;
	c->capability.block = &c->block;
	return &c->capability;
}

/* A string map: do not move it. */
struct fixture_map {
	struct map_entry entries[FIXTURE_MAP_MAX];
	struct map_entry *pointers[FIXTURE_MAP_MAX];
	size_t count;
};

static inline struct map_entry *fixture_map_free_entry(struct fixture_map *m)
{
	for (size_t i = 0; i < FIXTURE_MAP_MAX; i++) {
		bool used = false;

		for (size_t j = 0; j < m->count; j++)
			used = used || m->pointers[j] == &m->entries[i];
		if (!used)
			return &m->entries[i];
	}
	abort();
}

/* Sets key to value; NULL takes the key out. */
static inline void fixture_map_set(struct fixture_map *m, const char *key, const char *value)
{
	size_t i = 0;

	while (i < m->count && strcmp(m->pointers[i]->key, key) != 0)
		i++;
	if (!value) {
		if (i < m->count)
			m->pointers[i] = m->pointers[--m->count];
		return;
	}
	if (i == m->count)
		m->pointers[m->count++] = fixture_map_free_entry(m);
	m->pointers[i]->key = (char *)key;
	m->pointers[i]->value = (char *)value;
}

static inline struct map fixture_map_of(struct fixture_map *m)
{
	return (struct map) { .entries = m->pointers, .count = m->count };
}

/* Hangs the map into a message's map field, whose entries have the layout of struct map_entry. */
#define FIXTURE_MAP_INTO(message, field, m)                                                        \
	do {                                                                                       \
		(message)->field = (void *)(m)->pointers;                                          \
		(message)->n_##field = (m)->count;                                                 \
	} while (0)

#endif
