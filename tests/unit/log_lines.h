/* SPDX-License-Identifier: Apache-2.0 */
/* The log as a test reads it: line by line, waiting for the ones that it expects. */
#ifndef TESTS_UNIT_LOG_LINES_H
#define TESTS_UNIT_LOG_LINES_H

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "nvme/base/clock.h"

#define LINES_SIZE (256 * 1024)

struct lines {
	int fds[2];
	int saved_stderr;
	size_t len;
	char text[LINES_SIZE]; /* all that came */
};

/* From now on stderr goes to us. */
static inline void lines_begin(struct lines *l)
{
	l->len = 0;
	l->text[0] = '\0';
	assert_int_equal(pipe2(l->fds, O_CLOEXEC | O_NONBLOCK), 0);
	fcntl(l->fds[1], F_SETPIPE_SZ, LINES_SIZE);
	l->saved_stderr = dup(STDERR_FILENO);
	dup2(l->fds[1], STDERR_FILENO);
}

static inline void lines_end(struct lines *l)
{
	dup2(l->saved_stderr, STDERR_FILENO);
	close(l->saved_stderr);
	close(l->fds[0]);
	close(l->fds[1]);
}

/* Takes what has come. */
static inline void lines_read(struct lines *l)
{
	ssize_t n;

	while ((n = read(l->fds[0], l->text + l->len, LINES_SIZE - 1 - l->len)) > 0)
		l->len += (size_t)n;
	l->text[l->len] = '\0';
}

/* How many lines there are that hold all these parts; a NULL one is in every line. */
static inline size_t lines_count(struct lines *l, const char *const parts[], size_t part_count)
{
	char *copy, *line, *save = NULL;
	size_t count = 0, i;

	lines_read(l);
	copy = strdup(l->text);
	for (line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		for (i = 0; i < part_count && (!parts[i] || strstr(line, parts[i])); i++)
			;
		count += i == part_count;
	}
	free(copy);
	return count;
}

/* Blocks until there is such a line; fails when there is none in time. */
static inline void lines_await(struct lines *l, const char *const parts[], size_t part_count)
{
	struct deadline limit = deadline_after_ms(20000);
	struct pollfd fd = { .fd = l->fds[0], .events = POLLIN };

	while (!lines_count(l, parts, part_count)) {
		if (poll(&fd, 1, deadline_poll_ms(limit)) <= 0 && deadline_passed(limit)) {
			lines_end(l);
			fail_msg("no line with \"%s\" \"%s\" in:\n%s", parts[0],
				 part_count > 1 && parts[1] ? parts[1] : "", l->text);
		}
	}
}

#endif
