/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a new volume is made of: a snapshot or another volume. The copy is made where its source is,
 * on the same target and in the same pool.
 */
#ifndef CSI_CONTROLLER_SOURCE_H
#define CSI_CONTROLLER_SOURCE_H

#include "csi/controller/controller.h"

/* As a CreateVolume request says it. */
struct create_source {
	bool given; /* else the volume begins blank, and the rest is empty */
	bool snapshot;
	struct volume_id id;
};

#define SOURCE_TEXT_SIZE (VOLUME_ID_SIZE + 16)

/*
 * Reads it (NULL: none); pure. ERR_INVALID_ARGUMENT when it is neither of the two, ERR_NOT_FOUND
 * when its ID is none of ours.
 */
int source_parse(const Csi__V1__VolumeContentSource *source, struct create_source *ret,
		 struct err *err);

/* What a volume that exists was made of. */
struct create_source source_of(const struct agent_volume *volume);

bool source_equal(const struct create_source *a, const struct create_source *b);

/* For messages: "snapshot ID", "volume ID", or "nothing". */
void source_describe(const struct create_source *source, char ret[SOURCE_TEXT_SIZE]);

/* What its target is asked for. */
struct agent_source source_for_agent(const struct create_source *source);

/*
 * Asks its target how large it is, which a copy of it is at least. ERR_NOT_FOUND: it, or its
 * target, does not exist.
 */
int source_require(const struct controller *controller, const struct create_source *source,
		   struct deadline deadline, uint64_t *ret_bytes, struct err *err);

#endif
