/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvmeotctl's lists against fake agents behind the real rpc server: every column and field, paging,
 * and targets that fail beside others that answer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <unistd.h>

#include "csi/rpc/server.h"

/* Programs' own code is in no archive. */
#include "cmd/options.c"
#include "cmd/nvmeotctl/text.c"
#include "cmd/nvmeotctl/table.c"
#include "cmd/nvmeotctl/fields.c"
#include "cmd/nvmeotctl/view.c"
#include "cmd/nvmeotctl/show.c"

#define HOST_A "nqn.2014-08.org.nvmexpress:uuid:aaaaaaaa-0000-4000-8000-000000000001"
#define HOST_B "nqn.2014-08.org.nvmexpress:uuid:bbbbbbbb-0000-4000-8000-000000000002"
#define UUID_FORMAT "00000000-0000-4000-8000-%012zu"

/* An agent with `count` volumes of which number 1 is full of everything, and number 2 is not. */
struct fake {
	char dir[64];
	char item[128]; /* of --target */
	const char *id;
	size_t count;
	enum err_code failure; /* of every call */
	const char *words;     /* of the failure; NULL: its own */
	size_t fail_after;     /* volumes; 0: never */
	bool stuck;	       /* always says that there is more, and sends the same */
	size_t largest_page;
	int lists;
	bool conditions_asked;
	struct rpc_service service;
	struct rpc_server *server;
};

static struct fake one, two;
static struct option_list targets;
static char *output, *errors; /* of the last run */
static struct err err;

static int fake_check(const struct fake *fake, const char *target_id, struct err *ret)
{
	if (fake->failure)
		return err_set(ret, fake->failure, "%s", fake->words ?: "the fake's own words");
	if (target_id && strcmp(target_id, fake->id) != 0)
		return err_set(ret, ERR_FAILED_PRECONDITION, "for \"%s\", not %s", target_id,
			       fake->id);
	return 0;
}

static Nvmeot__Target__V1__Export *new_export(struct rpc_call *call, const char *host)
{
	Nvmeot__Target__V1__Export *export =
		RPC_NEW(call, Nvmeot__Target__V1__Export, nvmeot__target__v1__export__init);

	export->host_nqn = (char *)host;
	export->mode = NVMEOT__TARGET__V1__ACCESS_MODE__ACCESS_MODE_MULTI_NODE_READER;
	export->readonly = true;
	return export;
}

static Nvmeot__Target__V1__Condition *
new_condition(struct rpc_call *call, Nvmeot__Target__V1__ConditionStatus status, const char *reason)
{
	Nvmeot__Target__V1__Condition *condition =
		RPC_NEW(call, Nvmeot__Target__V1__Condition, nvmeot__target__v1__condition__init);

	condition->status = status;
	condition->reason = (char *)reason;
	condition->message = (char *)"said for people";
	return condition;
}

static void fill_full_volume(struct rpc_call *call, Nvmeot__Target__V1__Volume *volume)
{
	Nvmeot__Target__V1__Volume__ParametersEntry *entry =
		RPC_NEW(call, Nvmeot__Target__V1__Volume__ParametersEntry,
			nvmeot__target__v1__volume__parameters_entry__init);
	Nvmeot__Target__V1__Volume__MutableParametersEntry *changed =
		RPC_NEW(call, Nvmeot__Target__V1__Volume__MutableParametersEntry,
			nvmeot__target__v1__volume__mutable_parameters_entry__init);

	volume->exports = rpc_alloc(call, 2 * sizeof(*volume->exports));
	volume->exports[volume->n_exports++] = new_export(call, HOST_A);
	volume->exports[volume->n_exports++] = new_export(call, HOST_B);
	volume->conditions = rpc_alloc(call, 2 * sizeof(*volume->conditions));
	volume->conditions[volume->n_conditions++] = new_condition(
		call, NVMEOT__TARGET__V1__CONDITION_STATUS__CONDITION_DEGRADED, "PoolNearlyFull");
	volume->conditions[volume->n_conditions++] = new_condition(
		call, NVMEOT__TARGET__V1__CONDITION_STATUS__CONDITION_DATA_LOSS, "BackingGone");
	volume->size_bytes = 1610612736;
	volume->write_cache = NVMEOT__TARGET__V1__WRITE_CACHE__WRITE_CACHE_VOLATILE;
	entry->key = (char *)"fsType", entry->value = (char *)"xfs";
	volume->parameters = rpc_alloc(call, sizeof(*volume->parameters));
	volume->parameters[volume->n_parameters++] = entry;
	changed->key = (char *)"queueSize", changed->value = (char *)"64";
	volume->mutable_parameters = rpc_alloc(call, sizeof(*volume->mutable_parameters));
	volume->mutable_parameters[volume->n_mutable_parameters++] = changed;
}

static Nvmeot__Target__V1__Volume *new_volume(struct rpc_call *call, size_t number)
{
	Nvmeot__Target__V1__Volume *volume =
		RPC_NEW(call, Nvmeot__Target__V1__Volume, nvmeot__target__v1__volume__init);

	volume->uuid = rpc_alloc(call, UUID_TEXT_SIZE);
	snprintf(volume->uuid, UUID_TEXT_SIZE, UUID_FORMAT, number % 1000000);
	volume->pool = (char *)"fast";
	volume->name = rpc_alloc(call, 32);
	snprintf(volume->name, 32, "pvc-%zu", number);
	volume->size_bytes = 1 << 30;
	volume->blank = number != 1;
	volume->nqn = (char *)"nqn.2026-11.io.nvmeot:x";
	volume->portals = rpc_alloc(call, sizeof(*volume->portals));
	volume->portals[volume->n_portals++] = (char *)"tcp://192.0.2.1:4420";
	if (number == 1)
		fill_full_volume(call, volume);
	return volume;
}

static int fake_list(struct rpc_call *call, const void *request, void *response, struct err *ret)
{
	const Nvmeot__Target__V1__ListVolumesRequest *list = request;
	Nvmeot__Target__V1__ListVolumesResponse *answer = response;
	struct fake *fake = call->context;
	size_t after = 0;

	fake->lists++;
	fake->conditions_asked = list->with_conditions;
	if (fake_check(fake, list->target_id, ret) < 0)
		return -1;
	if (*list->start_after && !fake->stuck)
		sscanf(list->start_after, "00000000-0000-4000-8000-%zu", &after);
	if (fake->fail_after && after >= fake->fail_after)
		return err_set(ret, ERR_INTERNAL, "in the middle");
	answer->volumes = rpc_alloc(call, fake->count * sizeof(*answer->volumes));
	while (after < fake->count && answer->n_volumes < (size_t)list->max_entries)
		answer->volumes[answer->n_volumes++] = new_volume(call, ++after);
	if (answer->n_volumes > fake->largest_page)
		fake->largest_page = answer->n_volumes;
	answer->more = fake->stuck || after < fake->count;
	return 0;
}

static int fake_info(struct rpc_call *call, const void *request, void *response, struct err *ret)
{
	static char *portals[] = { (char *)"tcp://192.0.2.1:4420", (char *)"tcp://192.0.2.2:4420" };
	static char *warnings[] = { (char *)"nearly full", (char *)"two" };
	Nvmeot__Target__V1__GetInfoResponse *answer = response;
	Nvmeot__Target__V1__GetInfoResponse__TopologyEntry *zone =
		RPC_NEW(call, Nvmeot__Target__V1__GetInfoResponse__TopologyEntry,
			nvmeot__target__v1__get_info_response__topology_entry__init);
	const struct fake *fake = call->context;

	(void)request;
	if (fake_check(fake, NULL, ret) < 0)
		return -1;
	answer->target_id = (char *)fake->id;
	answer->version = (char *)"1.2";
	answer->portals = portals, answer->n_portals = ARRAY_SIZE(portals);
	zone->key = (char *)"zone", zone->value = (char *)"a";
	answer->topology = rpc_alloc(call, sizeof(*answer->topology));
	answer->topology[answer->n_topology++] = zone;
	answer->pools = rpc_alloc(call, 2 * sizeof(*answer->pools));
	for (; answer->n_pools < 2; answer->n_pools++) {
		Nvmeot__Target__V1__Pool *pool =
			RPC_NEW(call, Nvmeot__Target__V1__Pool, nvmeot__target__v1__pool__init);
		bool first = !answer->n_pools;

		pool->name = (char *)(first ? "fast" : "slow");
		pool->kind = (char *)"dir";
		pool->capacity_bytes = 10LL << 30;
		pool->provisioned_bytes = 5LL << 30;
		pool->available_bytes = first ? 5LL << 30 : -1;
		pool->maximum_volume_bytes = 4LL << 30;
		pool->warnings = warnings, pool->n_warnings = first ? ARRAY_SIZE(warnings) : 0;
		answer->pools[answer->n_pools] = pool;
	}
	return 0;
}

static int fake_orphans(struct rpc_call *call, const void *request, void *response, struct err *ret)
{
	const Nvmeot__Target__V1__ListOrphansRequest *list = request;
	Nvmeot__Target__V1__ListOrphansResponse *answer = response;
	Nvmeot__Target__V1__Orphan *orphan =
		RPC_NEW(call, Nvmeot__Target__V1__Orphan, nvmeot__target__v1__orphan__init);

	if (fake_check(call->context, list->target_id, ret) < 0)
		return -1;
	orphan->kind = (char *)"backing";
	orphan->pool = (char *)"fast";
	orphan->path = (char *)"/srv/x.img";
	orphan->message = (char *)"it has no record; delete it";
	answer->orphans = rpc_alloc(call, sizeof(*answer->orphans));
	answer->orphans[answer->n_orphans++] = orphan;
	return 0;
}

/* Two pages of one. */
static int fake_snapshots(struct rpc_call *call, const void *request, void *response,
			  struct err *ret)
{
	const Nvmeot__Target__V1__ListSnapshotsRequest *list = request;
	Nvmeot__Target__V1__ListSnapshotsResponse *answer = response;
	Nvmeot__Target__V1__Snapshot *snapshot =
		RPC_NEW(call, Nvmeot__Target__V1__Snapshot, nvmeot__target__v1__snapshot__init);
	bool second = *list->start_after;

	if (fake_check(call->context, list->target_id, ret) < 0)
		return -1;
	snapshot->uuid = rpc_printf(call, UUID_FORMAT, (size_t)second);
	snapshot->pool = (char *)"fast";
	snapshot->name = (char *)(second ? "snap-2" : "snap-1");
	snapshot->volume_uuid = rpc_printf(call, UUID_FORMAT, (size_t)7);
	snapshot->size_bytes = 1 << 30;
	snapshot->created_ns = 1795305600123456789;
	snapshot->used_bytes = list->with_used_bytes && !second ? 3 << 20 : -1;
	if (second) {
		snapshot->group_uuid = rpc_printf(call, UUID_FORMAT, (size_t)9);
		snapshot->group_name = (char *)"group-1";
	}
	answer->snapshots = rpc_alloc(call, sizeof(*answer->snapshots));
	answer->snapshots[answer->n_snapshots++] = snapshot;
	answer->more = !second;
	return 0;
}

#define FAKE(wire, snake, function)                                                                \
	{                                                                                          \
		.name = wire, .request = &nvmeot__target__v1__##snake##_request__descriptor,       \
		.response = &nvmeot__target__v1__##snake##_response__descriptor,                   \
		.handle = function, .quiet = true                                                  \
	}

static const struct rpc_method methods[] = {
	FAKE("ListVolumes", list_volumes, fake_list),
	FAKE("GetInfo", get_info, fake_info),
	FAKE("ListOrphans", list_orphans, fake_orphans),
	FAKE("ListSnapshots", list_snapshots, fake_snapshots),
};

static void fake_start(struct fake *fake, const char *id)
{
	struct rpc_server_config config = { .service_count = 1, .max_workers = 2 };
	char endpoint[96];

	*fake = (struct fake) { .dir = "/tmp/test_cmd_show.XXXXXX", .id = id, .count = 2 };
	assert_non_null(mkdtemp(fake->dir));
	snprintf(endpoint, sizeof(endpoint), "unix://%s/agent.sock", fake->dir);
	snprintf(fake->item, sizeof(fake->item), "%s=%s", id, endpoint);
	fake->service = (struct rpc_service) { .name = "nvmeot.target.v1.Target",
					       .methods = methods,
					       .count = ARRAY_SIZE(methods),
					       .context = fake };
	config.endpoint = endpoint;
	config.services = &fake->service;
	if (rpc_server_new(&config, &fake->server, &err) < 0 ||
	    rpc_server_start(fake->server, &err) < 0)
		fail_msg("%s", err.msg);
}

static void fake_stop(struct fake *fake)
{
	if (!fake->server)
		return;
	rpc_server_free(fake->server);
	fake->server = NULL;
	assert_int_equal(rmdir(fake->dir), 0);
}

static int setup(void **state)
{
	(void)state;
	fake_start(&one, "t1");
	fake_start(&two, "t2");
	targets = (struct option_list) { .items = { one.item, two.item }, .count = 1 };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_stop(&one);
	fake_stop(&two);
	free(output);
	free(errors);
	output = errors = NULL;
	return 0;
}

/* The error code; what was printed is in output and errors. */
static enum err_code show(const char *command, bool json)
{
	const struct show_config config = { .targets = &targets,
					    .timeout_ms = 60000,
					    .json = json };
	const struct view *view = view_all;
	size_t sizes[2];
	FILE *out, *error_out;
	int rc;

	free(output);
	free(errors);
	out = open_memstream(&output, &sizes[0]);
	error_out = open_memstream(&errors, &sizes[1]);
	while (strcmp(view->command, command) != 0)
		view++;
	err = ERR_INIT;
	rc = show_run(view, &config, out, error_out, &err);
	fclose(out);
	fclose(error_out);
	return rc < 0 ? err.code : ERR_NONE;
}

static void assert_says(const char *text, const char *says)
{
	if (!strstr(text, says))
		fail_msg("\"%s\" does not say \"%s\"", text, says);
}

/* Compares JSON by value. */
static void assert_json(const char *text, const char *want)
{
	struct json_object *got = json_tokener_parse(text), *wanted = json_tokener_parse(want);

	assert_non_null(got);
	assert_non_null(wanted);
	if (!json_object_equal(got, wanted))
		fail_msg("%s is not %s", text, want);
	json_object_put(got);
	json_object_put(wanted);
}

static void test_volumes(void **state)
{
	(void)state;
	assert_int_equal(show("volumes", false), ERR_NONE);
	assert_string_equal(output, "VOLUME                                        NAME   SIZE   "
				    "CACHE     ACCESS        "
				    "HOSTS  HEALTH\n"
				    "t1/fast/00000000-0000-4000-8000-000000000001  pvc-1  1.5Gi  "
				    "volatile  multi-reader  "
				    "2      degraded:PoolNearlyFull,data-loss:BackingGone\n"
				    "t1/fast/00000000-0000-4000-8000-000000000002  pvc-2  1Gi    "
				    "none      -             "
				    "0      ok\n");
	assert_string_equal(errors, "");
	assert_true(one.conditions_asked);
}

static void test_volumes_json(void **state)
{
	(void)state;
	assert_int_equal(show("volumes", true), ERR_NONE);
	assert_json(output,
		    "{\"volumes\": [{"
		    "\"volume_id\": \"t1/fast/00000000-0000-4000-8000-000000000001\","
		    "\"target\": \"t1\", \"pool\": \"fast\","
		    "\"uuid\": \"00000000-0000-4000-8000-000000000001\", \"name\": \"pvc-1\","
		    "\"size_bytes\": 1610612736, \"write_cache\": \"volatile\", \"blank\": false,"
		    "\"access\": \"multi-reader\", \"readonly\": true,"
		    "\"hosts\": [\"" HOST_A "\", \"" HOST_B "\"],"
		    "\"nqn\": \"nqn.2026-11.io.nvmeot:x\", \"portals\": [\"tcp://192.0.2.1:4420\"],"
		    "\"source_volume\": \"\", \"source_snapshot\": \"\", \"parameters\": "
		    "{\"fsType\": \"xfs\"},"
		    "\"mutable_parameters\": {\"queueSize\": \"64\"},"
		    "\"conditions\": [{\"status\": \"degraded\", \"reason\": \"PoolNearlyFull\","
		    "\"message\": \"said for people\"}, {\"status\": \"data-loss\","
		    "\"reason\": \"BackingGone\", \"message\": \"said for people\"}]"
		    "}, {"
		    "\"volume_id\": \"t1/fast/00000000-0000-4000-8000-000000000002\","
		    "\"target\": \"t1\", \"pool\": \"fast\","
		    "\"uuid\": \"00000000-0000-4000-8000-000000000002\", \"name\": \"pvc-2\","
		    "\"size_bytes\": 1073741824, \"write_cache\": \"none\", \"blank\": true,"
		    "\"access\": null, \"readonly\": false, \"hosts\": [],"
		    "\"nqn\": \"nqn.2026-11.io.nvmeot:x\", \"portals\": [\"tcp://192.0.2.1:4420\"],"
		    "\"source_volume\": \"\", \"source_snapshot\": \"\", \"parameters\": {}, "
		    "\"mutable_parameters\": {}, \"conditions\": []"
		    "}], \"errors\": []}");
}

static void test_exports(void **state)
{
	(void)state;
	assert_int_equal(show("exports", false), ERR_NONE);
	assert_string_equal(output, "VOLUME                                        HOST NQN        "
				    "                      "
				    "                                MODE          READONLY\n"
				    "t1/fast/00000000-0000-4000-8000-000000000001  " HOST_A
				    "  multi-reader  true\n"
				    "t1/fast/00000000-0000-4000-8000-000000000001  " HOST_B
				    "  multi-reader  true\n");
	assert_false(one.conditions_asked);
	assert_int_equal(show("exports", true), ERR_NONE);
	assert_json(output, "{\"exports\": [{"
			    "\"volume_id\": \"t1/fast/00000000-0000-4000-8000-000000000001\","
			    "\"host_nqn\": \"" HOST_A "\", \"access\": \"multi-reader\","
			    "\"readonly\": true}, {"
			    "\"volume_id\": \"t1/fast/00000000-0000-4000-8000-000000000001\","
			    "\"host_nqn\": \"" HOST_B "\", \"access\": \"multi-reader\","
			    "\"readonly\": true}], \"errors\": []}");
}

static void test_targets(void **state)
{
	(void)state;
	assert_int_equal(show("targets", false), ERR_NONE);
	assert_string_equal(
		output, "TARGET  VERSION  POOL  KIND  CAPACITY  PROVISIONED  AVAILABLE  PORTALS    "
			"          "
			"                      TOPOLOGY  WARNING\n"
			"t1      1.2      fast  dir   10Gi      5Gi          5Gi        "
			"tcp://192.0.2.1:4420,tcp://192.0.2.2:4420  zone=a    nearly full; two\n"
			"t1      1.2      slow  dir   10Gi      5Gi          0          "
			"tcp://192.0.2.1:4420,tcp://192.0.2.2:4420  zone=a    -\n");
	assert_int_equal(show("targets", true), ERR_NONE);
	assert_json(
		output,
		"{\"targets\": [{\"target\": \"t1\", \"version\": \"1.2\","
		"\"portals\": [\"tcp://192.0.2.1:4420\", \"tcp://192.0.2.2:4420\"],"
		"\"topology\": {\"zone\": \"a\"}, \"pools\": ["
		"{\"pool\": \"fast\", \"kind\": \"dir\", \"capacity_bytes\": 10737418240,"
		"\"provisioned_bytes\": 5368709120, \"available_bytes\": 5368709120,"
		"\"maximum_volume_bytes\": 4294967296, \"warnings\": [\"nearly full\", \"two\"]},"
		"{\"pool\": \"slow\", \"kind\": \"dir\", \"capacity_bytes\": 10737418240,"
		"\"provisioned_bytes\": 5368709120, \"available_bytes\": -1,"
		"\"maximum_volume_bytes\": 4294967296, \"warnings\": []}]}], \"errors\": []}");
}

static void test_orphans(void **state)
{
	(void)state;
	assert_int_equal(show("orphans", false), ERR_NONE);
	assert_string_equal(
		output, "TARGET  KIND     POOL  UUID  PATH        MESSAGE\n"
			"t1      backing  fast  -     /srv/x.img  it has no record; delete it\n");
	assert_int_equal(show("orphans", true), ERR_NONE);
	assert_json(output, "{\"orphans\": [{\"target\": \"t1\", \"kind\": \"backing\","
			    "\"pool\": \"fast\", \"uuid\": \"\", \"path\": \"/srv/x.img\","
			    "\"message\": \"it has no record; delete it\"}], \"errors\": []}");
}

static void test_snapshots(void **state)
{
	(void)state;
	assert_int_equal(show("snapshots", false), ERR_NONE);
	assert_says(output, "SNAPSHOT                                       NAME    SIZE  USED  "
			    "CREATED               VOLUME                                GROUP\n");
	assert_says(output, "t1/fast/@00000000-0000-4000-8000-000000000000  snap-1  1Gi   3Mi   "
			    "2026-11-22T00:00:00Z  00000000-0000-4000-8000-000000000007  -\n");
	assert_says(output, "snap-2  1Gi   -     2026-11-22T00:00:00Z  "
			    "00000000-0000-4000-8000-000000000007  group-1\n");
	assert_int_equal(show("snapshots", true), ERR_NONE);
	assert_says(output, "\"snapshot_id\":\"t1/fast/@00000000-0000-4000-8000-000000000001\"");
	assert_says(output, "\"created_ns\":1795305600123456789");
	assert_says(output, "\"used_bytes\":3145728");
	assert_says(output, "\"used_bytes\":null");
	assert_says(output, "\"source_volume\":\"00000000-0000-4000-8000-000000000007\"");
}

static size_t lines(const char *text)
{
	size_t count = 0;

	for (; *text; text++)
		count += *text == '\n';
	return count;
}

/* All volumes of all targets, each once, in pages of a bounded size. */
static void test_pages(void **state)
{
	(void)state;
	targets.count = 2;
	one.count = 2 * PAGE_VOLUMES + 1;
	two.count = PAGE_VOLUMES;
	assert_int_equal(show("volumes", false), ERR_NONE);
	assert_int_equal(lines(output), 1 + 3 * PAGE_VOLUMES + 1);
	assert_int_equal(one.lists, 3);
	assert_int_equal(two.lists, 1);
	assert_int_equal(one.largest_page, PAGE_VOLUMES);
	assert_says(output, "\nt1/fast/00000000-0000-4000-8000-000000001001");
	assert_says(output, "\nt2/fast/00000000-0000-4000-8000-000000000500");
}

static void test_target_gone(void **state)
{
	(void)state;
	targets.count = 2;
	fake_stop(&one);
	assert_int_equal(show("volumes", false), ERR_UNAVAILABLE);
	assert_string_equal(err.msg, "1 of 2 targets failed");
	assert_int_equal(lines(output), 3);
	assert_says(output, "\nt2/fast/");
	assert_int_equal(lines(errors), 1);
	assert_says(errors, "UNAVAILABLE: target t1: ");
}

static void test_errors_json(void **state)
{
	struct json_object *document, *list;

	(void)state;
	targets.count = 2;
	one.failure = ERR_PERMISSION_DENIED;
	two.failure = ERR_UNIMPLEMENTED;
	assert_int_equal(show("orphans", true), ERR_PERMISSION_DENIED);
	assert_string_equal(err.msg, "2 of 2 targets failed");
	assert_json(output, "{\"orphans\": [], \"errors\": ["
			    "{\"target\": \"t1\", \"code\": \"PERMISSION_DENIED\","
			    "\"message\": \"target t1: the fake's own words\"},"
			    "{\"target\": \"t2\", \"code\": \"UNIMPLEMENTED\","
			    "\"message\": \"target t2: the fake's own words\"}]}");
	assert_int_equal(lines(errors), 2);
	one.failure = ERR_NONE;
	assert_int_equal(show("targets", true), ERR_UNIMPLEMENTED);
	document = json_tokener_parse(output);
	assert_true(json_object_object_get_ex(document, "targets", &list));
	assert_int_equal(json_object_array_length(list), 1);
	json_object_put(document);
}

/* What came before the failure is shown, and that it is not all is said. */
static void test_failure_between_pages(void **state)
{
	(void)state;
	one.count = PAGE_VOLUMES + 1;
	one.fail_after = PAGE_VOLUMES;
	assert_int_equal(show("volumes", false), ERR_INTERNAL);
	assert_int_equal(lines(output), 1 + PAGE_VOLUMES);
	assert_string_equal(errors, "INTERNAL: target t1: in the middle\n");
}

static void test_list_that_never_ends(void **state)
{
	(void)state;
	one.stuck = true;
	assert_int_equal(show("volumes", false), ERR_INTERNAL);
	assert_says(errors, "000000000002\", which is not after");
	assert_int_equal(one.lists, 2);
	/* Nor is that the end of the list: there is more, but nothing comes. */
	one.count = 0;
	assert_int_equal(show("volumes", false), ERR_INTERNAL);
	assert_says(errors, "its list goes on after \"\", which is not after");
}

static void assert_tame(const char *text)
{
	for (; *text; text++)
		if (((unsigned char)*text < ' ' && *text != '\n') || *text == 0x7f ||
		    (unsigned char)*text == 0x9b)
			fail_msg("0x%02x", (unsigned char)*text);
}

/* Neither a table nor JSON nor an error hands anything on that a terminal would obey. */
static void test_hostile_words(void **state)
{
	(void)state;
	targets.count = 2;
	one.failure = ERR_INTERNAL;
	one.words = "a\033[2J\302\2332J\177\nOK: done";
	for (int json = 0; json < 2; json++) {
		assert_int_equal(show("volumes", json), ERR_INTERNAL);
		assert_tame(output);
		assert_tame(errors);
		assert_string_equal(errors, "INTERNAL: target t1: a?[2J?2J??OK: done\n");
	}
	assert_says(output, "a\\u001b[2J\\u009b2J\\u007f\\nOK: done");
}

/* The agent at the address is another one. */
static void test_another_agent(void **state)
{
	static const char *const commands[] = { "volumes", "targets", "exports", "snapshots",
						"orphans" };

	(void)state;
	one.id = "box";
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		assert_int_equal(show(commands[i], false), ERR_FAILED_PRECONDITION);
		assert_int_equal(lines(output), 1);
		assert_says(errors, "t1");
		assert_says(errors, "box");
	}
}

static void test_wrong_targets(void **state)
{
	static const struct {
		const char *item, *says;
	} wrong[] = {
		{ "t1", "\"t1\" is not NAME=HOST:PORT" },
		{ "T=127.0.0.1:1", "\"T=127.0.0.1:1\" is not NAME=HOST:PORT" },
		{ "t3=nonsense", "target t3: " },
		{ "t1=127.0.0.1:1", "target t1 is given twice" },
	};

	(void)state;
	targets.count = 2;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		targets.items[1] = wrong[i].item;
		assert_int_equal(show("volumes", false), ERR_INVALID_ARGUMENT);
		assert_says(err.msg, wrong[i].says);
		assert_string_equal(output, "");
		assert_string_equal(errors, "");
	}
	assert_int_equal(one.lists, 0);
	targets.count = 0;
	assert_int_equal(show("volumes", false), ERR_INVALID_ARGUMENT);
	assert_says(err.msg, "--target=NAME=HOST:PORT is required");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_volumes),
		TEST(test_volumes_json),
		TEST(test_exports),
		TEST(test_targets),
		TEST(test_orphans),
		TEST(test_snapshots),
		TEST(test_pages),
		TEST(test_target_gone),
		TEST(test_errors_json),
		TEST(test_failure_between_pages),
		TEST(test_list_that_never_ends),
		TEST(test_hostile_words),
		TEST(test_another_agent),
		TEST(test_wrong_targets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
