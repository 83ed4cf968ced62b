/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests as bytes of HTTP/2, written by hand with literal header fields (RFC 7541, 6.2.2), to see
 * which :authority the server takes: clients are known to send socket paths, empty ones, or none.
 */
#include "rpc_fixture.h"

#include <sys/socket.h>
#include <sys/un.h>

enum { FRAME_DATA = 0, FRAME_HEADERS = 1, FRAME_SETTINGS = 4 };
enum { END_STREAM = 1, END_HEADERS = 4, ACK = 1 };

struct bytes {
	unsigned char data[2048];
	size_t len;
};

static void put(struct bytes *out, const void *data, size_t len)
{
	assert_true(out->len + len <= sizeof(out->data));
	memcpy(out->data + out->len, data, len);
	out->len += len;
}

static void put_frame(struct bytes *out, int type, int flags, int stream, const struct bytes *body)
{
	unsigned char head[9] = { (unsigned char)(body->len >> 16),
				  (unsigned char)(body->len >> 8),
				  (unsigned char)body->len,
				  (unsigned char)type,
				  (unsigned char)flags,
				  0,
				  0,
				  0,
				  (unsigned char)stream };

	put(out, head, sizeof(head));
	put(out, body->data, body->len);
}

static void put_header(struct bytes *out, const char *name, const char *value)
{
	unsigned char zero = 0, len = (unsigned char)strlen(name);

	assert_true(strlen(name) < 127 && strlen(value) < 127);
	put(out, &zero, 1);
	put(out, &len, 1);
	put(out, name, len);
	len = (unsigned char)strlen(value);
	put(out, &len, 1);
	put(out, value, len);
}

/* One Probe call; NULL leaves a header out. */
static void build_request(struct bytes *out, const char *authority, const char *host)
{
	struct bytes none = { .len = 0 }, headers = { .len = 0 }, data = { .len = 5 };

	memset(data.data, 0, 5);
	out->len = 0;
	put(out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
	put_frame(out, FRAME_SETTINGS, 0, 0, &none);
	put_header(&headers, ":method", "POST");
	put_header(&headers, ":scheme", "http");
	put_header(&headers, ":path", PROBE);
	if (authority)
		put_header(&headers, ":authority", authority);
	put_header(&headers, "content-type", "application/grpc");
	put_header(&headers, "te", "trailers");
	if (host)
		put_header(&headers, "host", host);
	put_frame(out, FRAME_HEADERS, END_HEADERS, 1, &headers);
	put_frame(out, FRAME_DATA, END_STREAM, 1, &data);
}

static void read_all(int fd, unsigned char *data, size_t len)
{
	ssize_t n;

	for (size_t have = 0; have < len; have += (size_t)n) {
		n = read(fd, data + have, len - have);
		assert_true(n > 0);
	}
}

/* Sends the request; gives the frames of stream 1 up to its end. */
static void exchange(const struct fixture *f, const char *authority, const char *host,
		     struct bytes *ret)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unsigned char head[9], body[65536];
	struct bytes request;
	size_t len;
	bool end = false;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/s.sock", f->dir);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	build_request(&request, authority, host);
	assert_int_equal(write(fd, request.data, request.len), request.len);
	ret->len = 0;
	while (!end) {
		read_all(fd, head, sizeof(head));
		len = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
		assert_true(len <= sizeof(body));
		read_all(fd, body, len);
		if (head[8] != 1)
			continue;
		if (head[3] == FRAME_HEADERS || head[3] == FRAME_DATA)
			put(ret, body, len);
		/* RST_STREAM ends it as well as the flag does. */
		end = head[3] == 3 || (head[3] <= FRAME_HEADERS && head[4] & END_STREAM);
	}
	close(fd);
}

static bool contains(const struct bytes *in, const char *text)
{
	return memmem(in->data, in->len, text, strlen(text)) != NULL;
}

static void test_any_authority_is_served(void **state)
{
	static const char *const authorities[] = {
		"localhost",
		"",
		"/var/lib/kubelet/plugins/csi.nvmeot.io/csi.sock",
		"%2Fvar%2Flib%2Fcsi.sock",
		"unix:///csi/csi.sock",
		"a b\"<>[:::\x7f\xc3\xa9",
		":",
	};
	struct rpc_server *server;
	struct bytes reply;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	server = fixture_serve(&f, (struct rpc_server_config) { 0 });
	for (size_t i = 0; i < ARRAY_SIZE(authorities); i++) {
		exchange(&f, authorities[i], NULL, &reply);
		/* The packed answer of Probe: ready { value: true }. */
		if (!memmem(reply.data, reply.len, "\0\0\0\0\4\x0a\2\x08\1", 9))
			fail_msg(":authority \"%s\" was not served: %.*s", authorities[i],
				 (int)reply.len, (const char *)reply.data);
	}
	rpc_server_free(server);
	fixture_fini(&f);
}

/* gRPC takes host in its place, and without both it answers for itself. */
static void test_absent_authority(void **state)
{
	struct rpc_server *server;
	struct bytes reply;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	server = fixture_serve(&f, (struct rpc_server_config) { 0 });
	exchange(&f, NULL, "localhost", &reply);
	assert_non_null(memmem(reply.data, reply.len, "\0\0\0\0\4\x0a\2\x08\1", 9));
	exchange(&f, NULL, NULL, &reply);
	assert_true(contains(&reply, "Missing :authority header"));
	/* The server is none the worse for it. */
	exchange(&f, "", NULL, &reply);
	assert_non_null(memmem(reply.data, reply.len, "\0\0\0\0\4\x0a\2\x08\1", 9));
	rpc_server_free(server);
	fixture_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_authority_is_served),
		cmocka_unit_test(test_absent_authority),
	};
	struct err err = ERR_INIT;

	log_init("text", "error", &err);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
