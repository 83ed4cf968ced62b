/* SPDX-License-Identifier: Apache-2.0 */
/* What can be said about /dev/nvme-fabrics without one: its option list, and our defaults. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nvme/base/cleanup.h"
#include "nvme/host/fabrics.h"

#define HEAD "instance=-1,cntlid=-1,transport=%s,traddr=%s,trsvcid=%s,nqn=%s,queue_size=%d,"
#define TAIL                                                                                       \
	"nr_io_queues=%d,reconnect_delay=%d,ctrl_loss_tmo=%d,keep_alive_tmo=%d,hostnqn=%s,"        \
	"host_traddr=%s,host_iface=%s,duplicate_connect,hdr_digest,data_digest,tos=%d"

static void test_option_list_of_a_fit_kernel(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(
		host_fabrics_check_options(HEAD TAIL ",hostid=%s,fast_io_fail_tmo=%d\n", &err), 0);
	assert_int_equal(
		host_fabrics_check_options(HEAD TAIL ",fast_io_fail_tmo=%d,hostid=%s\n", &err), 0);
}

static void test_missing_option_is_named(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	/* hostid must not be taken for there because another option ends in it. */
	assert_int_equal(host_fabrics_check_options(HEAD TAIL ",fast_io_fail_tmo=%d,ghostid=%s\n",
						    &err),
			 -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "no option hostid "));
	assert_int_equal(host_fabrics_check_options("instance=-1,cntlid=-1\n", &err), -1);
	assert_non_null(strstr(err.msg, "6.1"));
}

static void test_defaults_are_in_the_kernels_range(void **state)
{
	struct host_connect_options options = host_connect_options_default();

	(void)state;
	assert_in_range(options.nr_io_queues, 1, 4);
	assert_in_range(options.queue_size, 16, 1024);
	assert_int_equal(options.ctrl_loss_tmo_s, -1);
	assert_int_equal(options.fast_io_fail_tmo_s, 0);
	assert_int_equal(options.reconnect_delay_s, 2);
	assert_int_equal(options.keep_alive_tmo_s, 5);
}

/* Whoever connects first has the module loaded, and is told what to do if that does not help. */
static void test_connect_loads_the_module(void **state)
{
	static const struct host_identity identity = { .nqn = "nqn.2026-11.io.nvmeot:host" };
	static const struct portal portal = { AF_INET, "127.0.0.1", 1 };
	struct host_connect_options options = host_connect_options_default();
	cleanup_free char *before = xstrdup(getenv("PATH") ?: "");
	char dir[] = "/tmp/test_host_fabrics.XXXXXX";
	struct err err = ERR_INIT;
	char program[64];
	int fd;

	(void)state;
	if (access("/dev/nvme-fabrics", F_OK) == 0)
		return; /* this machine's own would be asked */
	assert_non_null(mkdtemp(dir));
	snprintf(program, sizeof(program), "%s/modprobe", dir);
	fd = open(program, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	assert_true(fd >= 0);
	dprintf(fd, "#!/bin/sh\n/bin/echo \"$@\" >%s/asked\n", dir);
	close(fd);
	assert_int_equal(setenv("PATH", dir, 1), 0);
	assert_int_equal(host_fabrics_connect(&identity, "nqn.2026-11.io.nvmeot:any", &portal,
					      &options, deadline_after_ms(20000), &err),
			 -1);
	assert_int_equal(setenv("PATH", before, 1), 0);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "load the kernel module"));
	assert_int_equal(unlink(program), 0);
	snprintf(program, sizeof(program), "%s/asked", dir);
	assert_int_equal(unlink(program), 0);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_option_list_of_a_fit_kernel),
		cmocka_unit_test(test_missing_option_is_named),
		cmocka_unit_test(test_defaults_are_in_the_kernels_range),
		cmocka_unit_test(test_connect_loads_the_module),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
