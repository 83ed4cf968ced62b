/* SPDX-License-Identifier: Apache-2.0 */
/* What volumes are made of. */
#include "csi/controller/source.h"

#include <stdio.h>
#include <string.h>

#include "csi/controller/snapshots.h"

static int parse_id(const char *field, const char *id, struct create_source *source,
		    struct err *err)
{
	const char *what = source->snapshot ? "snapshot" : "volume";

	if (require_text(field, id, NAME_MAX_BYTES, err) < 0)
		return -1;
	if (source->snapshot ? snapshot_id_parse(id, &source->id) :
			       volume_id_parse(id, &source->id))
		return 0;
	return err_set(err, ERR_NOT_FOUND,
		       "%s \"%s\" does not exist: its ID is not of the form target/pool/%suuid",
		       what, id, source->snapshot ? "@" : "");
}

int source_parse(const Csi__V1__VolumeContentSource *source, struct create_source *ret,
		 struct err *err)
{
	struct create_source s = { .given = source != NULL };
	int rc = 0;

	if (source && source->type_case == CSI__V1__VOLUME_CONTENT_SOURCE__TYPE_SNAPSHOT) {
		s.snapshot = true;
		rc = parse_id("volume_content_source.snapshot.snapshot_id",
			      source->snapshot->snapshot_id, &s, err);
	} else if (source && source->type_case == CSI__V1__VOLUME_CONTENT_SOURCE__TYPE_VOLUME) {
		rc = parse_id("volume_content_source.volume.volume_id", source->volume->volume_id,
			      &s, err);
	} else if (source) {
		rc = err_set(err, ERR_INVALID_ARGUMENT,
			     "volume_content_source is given, but is neither a snapshot nor a "
			     "volume");
	}
	if (rc == 0)
		*ret = s;
	return rc;
}

struct create_source source_of(const struct agent_volume *volume)
{
	struct create_source s = { .snapshot = volume->source.snapshot.text[0] };

	s.given = s.snapshot || volume->source.volume.text[0];
	if (s.given) {
		s.id = volume->id;
		s.id.uuid = s.snapshot ? volume->source.snapshot : volume->source.volume;
	}
	return s;
}

bool source_equal(const struct create_source *a, const struct create_source *b)
{
	return a->given == b->given && a->snapshot == b->snapshot &&
	       strcmp(a->id.target, b->id.target) == 0 && strcmp(a->id.pool, b->id.pool) == 0 &&
	       strcmp(a->id.uuid.text, b->id.uuid.text) == 0;
}

static void format_id(const struct create_source *source, char ret[VOLUME_ID_SIZE])
{
	if (source->snapshot)
		snapshot_id_format(&source->id, ret);
	else
		volume_id_format(&source->id, ret);
}

void source_describe(const struct create_source *source, char ret[SOURCE_TEXT_SIZE])
{
	char id[VOLUME_ID_SIZE];

	if (!source->given) {
		strcpy(ret, "nothing");
		return;
	}
	format_id(source, id);
	snprintf(ret, SOURCE_TEXT_SIZE, "%s %s", source->snapshot ? "snapshot" : "volume", id);
}

struct agent_source source_for_agent(const struct create_source *source)
{
	struct agent_source ret = { 0 };

	if (source->snapshot)
		ret.snapshot = source->id.uuid;
	else
		ret.volume = source->id.uuid;
	return ret;
}

int source_require(const struct controller *controller, const struct create_source *source,
		   struct deadline deadline, uint64_t *ret_bytes, struct err *err)
{
	const char *sort = source->snapshot ? "snapshot" : "volume";
	struct agent_volume volume cleanup_agent_volume = { 0 };
	const struct volume_id *id = &source->id;
	struct agent_snapshot snapshot;
	char text[VOLUME_ID_SIZE];
	struct agent *target;

	format_id(source, text);
	if (controller_find_target(controller, sort, text, id->target, &target, err) < 0)
		return -1;
	if (source->snapshot) {
		if (snapshots_require(target, id, deadline, &snapshot, err) < 0)
			return -1;
		*ret_bytes = snapshot.size_bytes;
		return 0;
	}
	if (controller_require_at(target, id, deadline, &volume, err) < 0)
		return -1;
	*ret_bytes = volume.size_bytes;
	return 0;
}
