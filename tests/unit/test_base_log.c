/* SPDX-License-Identifier: Apache-2.0 */
/* The log: quoting, JSON that is JSON whatever is logged, levels, and whole lines from threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <json-c/json.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "nvme/base/cleanup.h"
#include "nvme/base/log.h"

#define THREADS 8
#define LINES 200

static int log_fd = -1, saved_stderr = -1;

static void capture(const char *format, const char *level)
{
	struct err err = ERR_INIT;

	assert_int_equal(log_init(format, level, &err), 0);
	log_fd = memfd_create("log", MFD_CLOEXEC);
	saved_stderr = dup(STDERR_FILENO);
	/* As a container's stderr: every writer appends. */
	assert_int_equal(fcntl(log_fd, F_SETFL, O_APPEND), 0);
	dup2(log_fd, STDERR_FILENO);
}

/* What was logged since capture; owned. */
static char *captured(void)
{
	off_t size = lseek(log_fd, 0, SEEK_END);
	char *text = xcalloc((size_t)size + 1, 1);

	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	assert_int_equal(pread(log_fd, text, (size_t)size, 0), size);
	close(log_fd);
	return text;
}

static struct json_object *parse_line(const char *line, size_t len)
{
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *object;

	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	object = json_tokener_parse_ex(tokener, line, (int)len);
	if (!object || json_tokener_get_parse_end(tokener) != len)
		fail_msg("no JSON: %.*s", (int)len, line);
	json_tokener_free(tokener);
	return object;
}

static const char *get(struct json_object *object, const char *key)
{
	return json_object_get_string(json_object_object_get(object, key));
}

static void test_text(void **state)
{
	cleanup_free char *text = NULL;
	struct err err = { .code = ERR_NOT_FOUND, .msg = "no such volume" };

	(void)state;
	capture("text", "info");
	log_info("volume staged", KV("id", "t/p/u"), KV_NUM("ms", -12), KV("note", "two words"));
	log_error("stage failed", KV_ERR(&err));
	log_warning("alone");
	text = captured();
	assert_non_null(strstr(text, "Z info    volume staged id=t/p/u ms=-12 "
				     "note=\"two words\"\n"));
	assert_non_null(strstr(text, "Z error   stage failed error=\"no such volume\" "
				     "code=NOT_FOUND\n"));
	assert_non_null(strstr(text, "Z warning alone\n"));
	assert_int_equal(text[4], '-');
	assert_int_equal(text[10], 'T');
	assert_int_equal(text[23], 'Z');
}

/* Nobody can forge a line or a key by what they name their volume. */
static void test_text_quoting(void **state)
{
	static const struct {
		const char *value, *want;
	} rows[] = {
		{ "plain", " k=plain\n" },
		{ "", " k=\"\"\n" },
		{ NULL, " k=\"\"\n" },
		{ "a=b", " k=\"a=b\"\n" },
		{ "a\nerror forged", " k=\"a\\nerror forged\"\n" },
		{ "say \"hi\"", " k=\"say \\\"hi\\\"\"\n" },
		{ "back\\slash", " k=\"back\\\\slash\"\n" },
		{ "tab\there", " k=\"tab\\u0009here\"\n" },
		{ "\033[31mred", " k=\\u001b[31mred\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cleanup_free char *text = NULL;

		capture("text", "info");
		log_info("m", KV("k", rows[i].value));
		text = captured();
		assert_string_equal(strstr(text, " k="), rows[i].want);
	}
}

static void test_json(void **state)
{
	cleanup_free char *text = NULL;
	struct json_object *object;
	size_t len;

	(void)state;
	capture("json", "info");
	log_info("a \"msg\"\n", KV("s", "x\n\"y\" \\ \001"), KV("none", NULL),
		 KV_NUM("n", INT64_MIN), KV("bad", "\377\303"));
	text = captured();
	len = strlen(text);
	assert_int_equal(text[len - 1], '\n');
	assert_ptr_equal(strchr(text, '\n'), text + len - 1);
	object = parse_line(text, len - 1);
	assert_string_equal(get(object, "level"), "info");
	assert_string_equal(get(object, "msg"), "a \"msg\"\n");
	assert_string_equal(get(object, "s"), "x\n\"y\" \\ \001");
	assert_string_equal(get(object, "none"), "");
	assert_true(json_object_get_int64(json_object_object_get(object, "n")) == INT64_MIN);
	assert_int_equal(strlen(get(object, "time")), strlen("2026-01-01T00:00:00.000Z"));
	json_object_put(object);
}

static void test_long_text_is_cut(void **state)
{
	static char value[20000];
	cleanup_free char *text = NULL;

	(void)state;
	memset(value, 'v', sizeof(value) - 1);
	capture("text", "info");
	log_info("long", KV("k", value));
	log_info("next");
	text = captured();
	assert_non_null(strstr(text, " long k=vvv"));
	assert_true(strchr(text, '\n') - text < 8192);
	assert_non_null(strstr(strchr(text, '\n'), " next\n"));
}

/* A line that was too long is still JSON with time, level and message. */
static void test_long_json_is_cut(void **state)
{
	static char value[20000];
	cleanup_free char *text = NULL;
	struct json_object *object;
	char *second;

	(void)state;
	memset(value, 'v', sizeof(value) - 1);
	capture("json", "info");
	log_info("long", KV("k", value));
	log_error(value, KV("k", "short"));
	text = captured();
	second = strchr(text, '\n') + 1;
	object = parse_line(text, (size_t)(second - text) - 1);
	assert_string_equal(get(object, "msg"), "long");
	assert_non_null(get(object, "cut"));
	json_object_put(object);
	object = parse_line(second, strlen(second) - 1);
	assert_string_equal(get(object, "level"), "error");
	assert_memory_equal(get(object, "msg"), "vvvv", 4);
	json_object_put(object);
}

static void test_levels(void **state)
{
	static const char *const levels[] = { "debug", "info", "warning", "error" };

	(void)state;
	for (int i = 0; i < 4; i++) {
		cleanup_free char *text = NULL;
		int lines = 0;

		capture("text", levels[i]);
		log_debug("d");
		log_info("i");
		log_warning("w");
		log_error("e");
		assert_true(log_enabled((enum log_level)i));
		assert_false(i && log_enabled((enum log_level)(i - 1)));
		text = captured();
		for (char *p = text; (p = strchr(p, '\n')); p++)
			lines++;
		assert_int_equal(lines, 4 - i);
	}
}

static void test_bad_settings(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(log_init("text", "info", &err), 0);
	assert_int_equal(log_init("xml", "debug", &err), -1);
	assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
	assert_string_equal(err.msg, "log format \"xml\" is not text or json");
	assert_int_equal(log_init("json", "verbose", &err), -1);
	assert_string_equal(err.msg, "log level \"verbose\" is not debug, info, warning or error");
	assert_int_equal(log_init("json", "", &err), -1);
	assert_false(log_enabled(LOG_LEVEL_DEBUG));
	assert_true(log_enabled(LOG_LEVEL_INFO));
}

static void *write_lines(void *data)
{
	char name[64];

	memset(name, 'a' + *(int *)data, sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	for (int i = 0; i < LINES; i++)
		log_info("line", KV("thread", name), KV_NUM("i", i), KV("again", name));
	return NULL;
}

static void test_threads_do_not_interleave(void **state)
{
	cleanup_free char *text = NULL;
	pthread_t threads[THREADS];
	int numbers[THREADS], next[THREADS] = { 0 };
	char *line, *end;

	(void)state;
	capture("json", "info");
	for (int i = 0; i < THREADS; i++) {
		numbers[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, write_lines, &numbers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	text = captured();
	for (line = text; (end = strchr(line, '\n')); line = end + 1) {
		struct json_object *object = parse_line(line, (size_t)(end - line));
		int thread = get(object, "thread")[0] - 'a';

		assert_in_range(thread, 0, THREADS - 1);
		assert_int_equal(json_object_get_int(json_object_object_get(object, "i")),
				 next[thread]++);
		assert_string_equal(get(object, "thread"), get(object, "again"));
		json_object_put(object);
	}
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(next[i], LINES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_text_quoting),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_long_text_is_cut),
		cmocka_unit_test(test_long_json_is_cut),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_bad_settings),
		cmocka_unit_test(test_threads_do_not_interleave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
