/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Made-up programs of thin-provisioning-tools on PATH, in a directory of their own: they print the
 * file "version" when asked for it, else the file "out", and then do what "then" says; "log" has
 * their arguments.
 */
#ifndef TESTS_UNIT_THIN_PROGRAM_H
#define TESTS_UNIT_THIN_PROGRAM_H

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nvme/base/file.h"

static char dir[64];
static struct root root;
static struct err err;

static void put(const char *name, const char *text)
{
	assert_int_equal(file_replace(&root, name, text, &err), 0);
}

static int program_add(const char *name)
{
	cleanup_free char *program = xasprintf("%s/%s", dir, name);

	put(name, "#!/bin/sh\n"
		  "dir=${0%/*}\n"
		  "[ \"$1\" != -V ] || { cat $dir/version; exit; }\n"
		  "echo \"$@\" >>$dir/log\n"
		  "cat $dir/out\n"
		  ". $dir/then\n");
	return chmod(program, 0700);
}

static int programs_begin(void)
{
	char path[PATH_MAX];

	strcpy(dir, "/tmp/test_target_thin.XXXXXX");
	if (!mkdtemp(dir) || root_open(&root, dir, &err) < 0)
		return -1;
	put("then", "");
	put("version", "0.9.0\n");
	snprintf(path, sizeof(path), "%s:/usr/bin:/bin", dir);
	return setenv("PATH", path, 1);
}

static int programs_end(void)
{
	cleanup_root_names struct root_names names = { 0 };

	if (root_list(&root, &names, &err, ".") < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++)
		if (root_unlink(&root, &err, "%s", names.names[i]) < 0)
			return -1;
	root_close(&root);
	return rmdir(dir);
}

static void assert_ran(const char *expected)
{
	cleanup_free char *log = NULL;

	assert_int_equal(file_read(&root, "log", &log, &err), 1);
	assert_string_equal(log, expected);
}

#endif
