/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which stages and publishes join one that runs, and what their messages show. A pipe in the place
 * of a file that they read holds them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>

#include "csi/node/publish.h"
#include "csi/node/stage.h"
#include "tests/unit/dhchap_keys.h"
#include "tests/unit/node_world.h"

#define SECRET "password=hunter2"

static char *pipe_path;

static void hold(const char *file)
{
	pipe_path = world_path(file);
	assert_int_equal(mkfifo(pipe_path, 0600), 0);
}

/* The one that runs reads nothing, and fails. */
static void let_go(void)
{
	int fd = open(pipe_path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	close(fd);
	free(pipe_path);
	assert_int_equal(node_drain(&node, deadline_none()), 0);
}

static const struct node_time *no_time(void)
{
	static struct node_time time;

	time = (struct node_time) { .work = deadline_none(),
				    .wait = { .deadline = deadline_after_ms(0) } };
	return &time;
}

static void fill(struct access *access, struct attachment *attachment)
{
	access->mode_name = "SINGLE_NODE_WRITER";
	access->fs_type = "ext4";
	strcpy(access->options, SECRET);
	strcpy(attachment->nqn, NQN);
	attachment->has_uuid = true;
	strcpy(attachment->uuid.text, UUID);
	attachment->size_bytes = 4096;
	attachment->blank = true;
}

static struct stage_spec *stage_spec(void)
{
	struct stage_spec *spec = xcalloc(1, sizeof(*spec));

	strcpy(spec->volume_id, ID);
	strcpy(spec->staging_path, "/nowhere/staging");
	fill(&spec->access, &spec->attachment);
	return spec;
}

static struct publish_spec *publish_spec(void)
{
	struct publish_spec *spec = xcalloc(1, sizeof(*spec));

	strcpy(spec->volume_id, ID);
	strcpy(spec->staging_path, "/nowhere/staging");
	strcpy(spec->target_path, "/nowhere/pod");
	fill(&spec->access, &spec->attachment);
	spec->readonly = true;
	return spec;
}

/* The call failed with this code and shows no secret. */
static void ends(int rc, const struct err *err, enum err_code code)
{
	assert_int_equal(rc, -1);
	assert_string_equal(err_code_name(err->code), err_code_name(code));
	assert_non_null(strstr(err->msg, "of volume \"" ID "\""));
	assert_null(strstr(err->msg, SECRET));
}

static void stage_ends(struct stage_spec *spec, enum err_code code)
{
	struct err err = ERR_INIT;

	ends(stage_volume(&node, spec, no_time(), &err), &err, code);
}

static void publish_ends(struct publish_spec *spec, enum err_code code)
{
	struct err err = ERR_INIT;

	ends(publish_volume(&node, spec, no_time(), &err), &err, code);
}

static void test_stage(void **state)
{
	struct stage_spec *spec;

	(void)state;
	tree_put("class/nvme/nvme0", "state", "live");
	hold("class/nvme/nvme0/hostid");
	stage_ends(stage_spec(), ERR_DEADLINE_EXCEEDED);
	stage_ends(stage_spec(), ERR_DEADLINE_EXCEEDED);
	spec = stage_spec();
	spec->attachment.blank = false;
	stage_ends(spec, ERR_ABORTED);
	spec = stage_spec();
	spec->attachment.size_bytes = 8192;
	stage_ends(spec, ERR_ABORTED);
	spec = stage_spec();
	spec->parameters.fs_repair = true;
	stage_ends(spec, ERR_ABORTED);
	spec = stage_spec();
	strcpy(spec->access.options, "noatime");
	stage_ends(spec, ERR_ABORTED);
	spec = stage_spec();
	strcpy(spec->parameters.connect.keys.host, KEY_32);
	stage_ends(spec, ERR_ABORTED);
	let_go();
	stage_ends(stage_spec(), ERR_UNAVAILABLE);
}

static void test_publish(void **state)
{
	struct publish_spec *spec;

	(void)state;
	tree_subsystem(SUBSYS0, NQN);
	assert_int_equal(root_unlink(&tree, &(struct err) { 0 }, SUBSYS0 "/subsysnqn"), 0);
	hold(SUBSYS0 "/subsysnqn");
	publish_ends(publish_spec(), ERR_DEADLINE_EXCEEDED);
	publish_ends(publish_spec(), ERR_DEADLINE_EXCEEDED);
	spec = publish_spec();
	spec->attachment.readonly = true;
	publish_ends(spec, ERR_ABORTED);
	spec = publish_spec();
	strcpy(spec->access.options, "noatime");
	publish_ends(spec, ERR_ABORTED);
	let_go();
	publish_ends(publish_spec(), ERR_UNAVAILABLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_WORLD(test_stage),
		IN_WORLD(test_publish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
