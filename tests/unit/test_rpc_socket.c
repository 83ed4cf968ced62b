/* SPDX-License-Identifier: Apache-2.0 */
/* The socket file by itself: what is refused, what is replaced, what is removed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "csi/rpc/socket.h"

struct place {
	char dir[32];
	char path[48];
};

static void place_init(struct place *p)
{
	*p = (struct place) { .dir = "/tmp/rpcsockXXXXXX" };
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->path, sizeof(p->path), "%s/s.sock", p->dir);
}

static void place_fini(struct place *p)
{
	assert_int_equal(rmdir(p->dir), 0);
}

/* Binds as gRPC would. */
static int bind_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(strlen(path) < sizeof(address.sun_path));
	memcpy(address.sun_path, path, strlen(path) + 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static ino_t inode(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 ? st.st_ino : 0;
}

static void test_publish_and_remove(void **state)
{
	struct rpc_socket *s = NULL;
	struct err err = ERR_INIT;
	struct place p;
	ino_t ino;
	int fd;

	(void)state;
	place_init(&p);
	assert_int_equal(rpc_socket_new(p.path, &s, &err), 0);
	assert_int_equal(strlen(rpc_socket_temporary(s)), strlen(p.path) + RPC_SOCKET_EXTRA_LEN);
	/* In the same directory, and hidden. */
	assert_memory_equal(rpc_socket_temporary(s), p.dir, strlen(p.dir));
	assert_memory_equal(rpc_socket_temporary(s) + strlen(p.dir), "/.s.sock.", 9);
	fd = bind_at(rpc_socket_temporary(s));
	ino = inode(rpc_socket_temporary(s));
	assert_int_equal(rpc_socket_publish(s, &err), 0);
	assert_int_equal(inode(p.path), ino);
	rpc_socket_free(s);
	assert_int_equal(inode(p.path), 0);
	close(fd);
	place_fini(&p);
}

static void test_successor_keeps_its_socket(void **state)
{
	struct rpc_socket *first = NULL, *second = NULL;
	struct err err = ERR_INIT;
	struct place p;
	ino_t ino;
	int a, b;

	(void)state;
	place_init(&p);
	assert_int_equal(rpc_socket_new(p.path, &first, &err), 0);
	a = bind_at(rpc_socket_temporary(first));
	assert_int_equal(rpc_socket_publish(first, &err), 0);
	assert_int_equal(rpc_socket_new(p.path, &second, &err), 0);
	b = bind_at(rpc_socket_temporary(second));
	ino = inode(rpc_socket_temporary(second));
	assert_int_equal(rpc_socket_publish(second, &err), 0);
	rpc_socket_free(first);
	assert_int_equal(inode(p.path), ino);
	rpc_socket_free(second);
	assert_int_equal(inode(p.path), 0);
	close(a);
	close(b);
	place_fini(&p);
}

/* Neither a directory nor a link is replaced, also when it comes only after the first look. */
static void test_others_are_not_replaced(void **state)
{
	struct rpc_socket *s = NULL;
	struct err err = ERR_INIT;
	struct place p;
	int fd;

	(void)state;
	place_init(&p);
	assert_int_equal(mkdir(p.path, 0700), 0);
	assert_int_equal(rpc_socket_new(p.path, &s, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	rmdir(p.path);
	assert_int_equal(rpc_socket_new(p.path, &s, &err), 0);
	fd = bind_at(rpc_socket_temporary(s));
	assert_int_equal(symlink("/dev/null", p.path), 0);
	assert_int_equal(rpc_socket_publish(s, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, p.path));
	rpc_socket_free(s);
	close(fd);
	assert_int_equal(unlink(p.path), 0);
	place_fini(&p);
}

static void test_no_directory(void **state)
{
	struct rpc_socket *s = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(rpc_socket_new("/nonexistent/x/s.sock", &s, &err), -1);
	assert_int_equal(err.sys, ENOENT);
	assert_non_null(strstr(err.msg, "directory /nonexistent/x of"));
	assert_null(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_publish_and_remove),
		cmocka_unit_test(test_successor_keeps_its_socket),
		cmocka_unit_test(test_others_are_not_replaced),
		cmocka_unit_test(test_no_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
