/* SPDX-License-Identifier: Apache-2.0 */
/* Registration with a kubelet that is played here, over the second socket of a real server. */
#include "rpc_fixture.h"

#include <dirent.h>
#include <sys/stat.h>

#include "csi/registration/registration.h"
#include "registration.pb-c.h"

#define DRIVER "csi.nvmeot.io"
#define GET_INFO "/pluginregistration.Registration/GetInfo"
#define NOTIFY "/pluginregistration.Registration/NotifyRegistrationStatus"

static char rejected[128];

static void on_rejected(const char *why)
{
	snprintf(rejected, sizeof(rejected), "%s", why);
}

static struct registration new_registration(void)
{
	rejected[0] = '\0';
	return (struct registration) { .driver_name = DRIVER, .rejected = on_rejected };
}

static void test_place(void **state)
{
	static const char endpoint[] = "unix:///var/lib/kubelet/plugins/" DRIVER "/csi.sock";
	static const char *const dirs[] = { "/var/lib/kubelet", "/var/lib/kubelet/",
					    "/var/lib/kubelet//" };
	struct registration registration = new_registration();
	struct err err = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		cleanup_free char *place = NULL;

		assert_int_equal(registration_place(&registration, dirs[i], endpoint, &place, &err),
				 0);
		assert_string_equal(place,
				    "unix:///var/lib/kubelet/plugins_registry/" DRIVER "-reg.sock");
		assert_string_equal(registration.socket_path, endpoint + 7);
	}
}

static void test_misplaced(void **state)
{
	static const char *const endpoints[] = { "unix:///csi/csi.sock",
						 "unix:///var/lib/kubeletx/csi.sock",
						 "unix:///var/lib/kubelet" };
	static const char *const dirs[] = { "", "/", "//", "var/lib/kubelet", "." };
	struct registration registration = new_registration();
	struct err err = ERR_INIT;
	char *place = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(endpoints); i++) {
		assert_int_equal(registration_place(&registration, "/var/lib/kubelet", endpoints[i],
						    &place, &err),
				 -1);
		assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
		assert_non_null(strstr(err.msg, endpoints[i]));
		assert_non_null(
			strstr(err.msg, "unix:///var/lib/kubelet/plugins/" DRIVER "/csi.sock is"));
	}
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		assert_int_equal(registration_place(&registration, dirs[i], "unix:///a/b", &place,
						    &err),
				 -1);
		assert_non_null(strstr(err.msg, "is not the absolute path of a directory"));
	}
	assert_null(place);
}

/* The names in a directory that a kubelet would see. */
static size_t sockets_in(const char *path)
{
	struct dirent *entry;
	size_t count = 0;
	DIR *dir = opendir(path);

	while ((entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

struct node {
	struct fixture f;
	struct rpc_service services[3];
	struct registration registration;
	struct rpc_server *server;
	char registry[96];
	char *place;
};

/* The fixture's directory is the kubelet's. */
static void node_start(struct node *node)
{
	struct rpc_server_config config = { .services = node->services, .service_count = 3 };
	struct err err = ERR_INIT;

	*node = (struct node) { .registration = new_registration() };
	fixture_init(&node->f);
	fixture_services(&node->f, node->services);
	snprintf(node->registry, sizeof(node->registry), "%s/plugins_registry", node->f.dir);
	assert_int_equal(mkdir(node->registry, 0700), 0);
	assert_int_equal(registration_place(&node->registration, node->f.dir, node->f.endpoint,
					    &node->place, &err),
			 0);
	node->services[2] = registration_service(&node->registration);
	config.endpoint = node->f.endpoint;
	config.also = node->place;
	if (rpc_server_new(&config, &node->server, &err) < 0 ||
	    rpc_server_start(node->server, &err) < 0)
		fail_msg("%s", err.msg);
}

static void node_stop(struct node *node)
{
	rpc_server_free(node->server);
	assert_int_equal(rmdir(node->registry), 0);
	fixture_fini(&node->f);
	free(node->place);
}

static void notify(const struct node *node, bool registered, const char *why)
{
	Pluginregistration__RegistrationStatus status =
		PLUGINREGISTRATION__REGISTRATION_STATUS__INIT;
	struct rpc_client *client = fixture_client(node->place, NULL);
	ProtobufCMessage *response = NULL;
	struct err err = ERR_INIT;

	status.plugin_registered = registered;
	status.error = (char *)why;
	assert_int_equal(
		rpc_client_call(client, NOTIFY, &status.base,
				&pluginregistration__registration_status_response__descriptor,
				deadline_after_ms(CALL_MS), &response, &err),
		0);
	protobuf_c_message_free_unpacked(response, NULL);
	rpc_client_free(client);
}

static void test_a_registration(void **state)
{
	Pluginregistration__InfoRequest request = PLUGINREGISTRATION__INFO_REQUEST__INIT;
	Pluginregistration__PluginInfo *info;
	ProtobufCMessage *response = NULL;
	struct rpc_client *client;
	struct err err = ERR_INIT;
	struct node node;
	struct stat st;

	(void)state;
	node_start(&node);
	assert_int_equal(sockets_in(node.registry), 1);
	assert_int_equal(stat(node.place + 7, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	client = fixture_client(node.place, NULL);
	assert_int_equal(rpc_client_call(client, GET_INFO, &request.base,
					 &pluginregistration__plugin_info__descriptor,
					 deadline_after_ms(CALL_MS), &response, &err),
			 0);
	info = (Pluginregistration__PluginInfo *)response;
	assert_string_equal(info->type, "CSIPlugin");
	assert_string_equal(info->name, DRIVER);
	assert_string_equal(info->endpoint, node.f.endpoint + 7);
	assert_int_equal(info->n_supported_versions, 1);
	assert_string_equal(info->supported_versions[0], "1.0.0");
	protobuf_c_message_free_unpacked(response, NULL);
	rpc_client_free(client);
	/* The endpoint that it was told of is there. */
	client = fixture_client(node.f.endpoint, NULL);
	assert_int_equal(fixture_call_probe(client, &err), 0);
	rpc_client_free(client);
	notify(&node, true, "");
	assert_string_equal(rejected, "");
	node_stop(&node);
}

static void test_a_rejection(void **state)
{
	struct node node;

	(void)state;
	node_start(&node);
	notify(&node, false, "no such node");
	assert_string_equal(rejected, "no such node");
	node_stop(&node);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_place),
		cmocka_unit_test(test_misplaced),
		cmocka_unit_test(test_a_registration),
		cmocka_unit_test(test_a_rejection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
