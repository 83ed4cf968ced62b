/* SPDX-License-Identifier: Apache-2.0 */
/* A blank, sparse file as the device of a test, and the programs that are run on it. */
#ifndef TESTS_UNIT_DISK_FILE_H
#define TESTS_UNIT_DISK_FILE_H

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nvme/base/proc.h"

#define DISK_BYTES (UINT64_C(512) << 20)

static char disk[] = "/tmp/test_disk.XXXXXX";
static int disk_fd = -1;

static inline int disk_setup(void **state)
{
	(void)state;
	strcpy(strrchr(disk, '.'), ".XXXXXX");
	disk_fd = mkstemp(disk);
	return disk_fd < 0 ? -1 : ftruncate(disk_fd, DISK_BYTES);
}

static inline int disk_teardown(void **state)
{
	(void)state;
	return close(disk_fd) || unlink(disk) ? -1 : 0;
}

#define ON_DISK(name) cmocka_unit_test_setup_teardown(name, disk_setup, disk_teardown)

/* Runs a program, which has to be installed and to end with this status; owned. */
static inline struct proc_result *run_for(int status, const char *const argv[])
{
	struct proc_result *result = xcalloc(1, sizeof(*result));
	struct err err = ERR_INIT;

	if (proc_run(argv, deadline_after_ms(60000), result, &err) < 0)
		fail_msg("%s", err.msg);
	if (result->exit_code != status)
		fail_msg("%s: %d: %s", argv[0], result->exit_code, result->err);
	return result;
}

#define RUN_FOR(status, ...) free(run_for(status, (const char *const[]) { __VA_ARGS__, NULL }))
#define RUN(...) RUN_FOR(0, __VA_ARGS__)

#endif
