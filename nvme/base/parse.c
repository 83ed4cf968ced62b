/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing of values from outside. */
#include "nvme/base/parse.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "nvme/base/cleanup.h"

/* A message quotes at most this much of a bad value. */
#define QUOTE_MAX 64

#define NAME_MAX_LEN 32
#define LABEL_NAME_MAX 63
#define LABEL_PREFIX_MAX 253
#define LOWER "abcdefghijklmnopqrstuvwxyz0123456789"
#define ALNUM LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

static int refuse(struct err *err, const char *what, const char *text, const char *right)
{
	return err_set(err, ERR_INVALID_ARGUMENT, "%s \"%.*s\" is not %s", what, QUOTE_MAX, text,
		       right);
}

/* Only digits: strtoull alone would take blanks, signs and "0x". */
static bool scan_digits(const char *text, uint64_t *ret, const char **ret_end)
{
	char *end = NULL;
	unsigned long long value;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno)
		return false;
	*ret = value;
	*ret_end = end;
	return true;
}

int parse_u64(const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *ret,
	      struct err *err)
{
	const char *end;
	uint64_t value;

	text = text ?: "";
	if (!scan_digits(text, &value, &end) || *end || value < min || value > max)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "%s \"%.*s\" is not a whole number from %" PRIu64 " to %" PRIu64,
			       what, QUOTE_MAX, text, min, max);
	*ret = value;
	return 0;
}

int parse_i64(const char *what, const char *text, int64_t min, int64_t max, int64_t *ret,
	      struct err *err)
{
	const char *digits, *end;
	uint64_t magnitude;
	bool negative;

	text = text ?: "";
	negative = text[0] == '-';
	digits = text + negative;
	if (scan_digits(digits, &magnitude, &end) && !*end &&
	    magnitude <= (uint64_t)INT64_MAX + negative) {
		int64_t value = (int64_t)(negative ? 0 - magnitude : magnitude);

		if (value >= min && value <= max) {
			*ret = value;
			return 0;
		}
	}
	return err_set(err, ERR_INVALID_ARGUMENT,
		       "%s \"%.*s\" is not a whole number from %" PRId64 " to %" PRId64, what,
		       QUOTE_MAX, text, min, max);
}

int parse_duration_ms(const char *what, const char *text, uint64_t *ret, struct err *err)
{
	static const struct {
		const char *suffix;
		uint64_t factor;
	} units[] = {
		{ "ms", 1 },
		{ "s", 1000 },
		{ "m", 60000 },
		{ "h", 3600000 },
	};
	const char *end = "";
	uint64_t value;

	text = text ?: "";
	if (scan_digits(text, &value, &end))
		for (size_t i = 0; i < ARRAY_SIZE(units); i++)
			if (strcmp(end, units[i].suffix) == 0 &&
			    !__builtin_mul_overflow(value, units[i].factor, &value)) {
				*ret = value;
				return 0;
			}
	return refuse(err, what, text, "a duration such as 500ms, 10s or 2m");
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int parse_hex(const char *what, const char *text, uint8_t *ret, size_t size, struct err *err)
{
	text = text ?: "";
	if (strlen(text) != 2 * size)
		goto bad;
	for (size_t i = 0; i < 2 * size; i++)
		if (hex_digit(text[i]) < 0)
			goto bad;
	for (size_t i = 0; i < size; i++)
		ret[i] = (uint8_t)(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
	return 0;
bad:
	return err_set(err, ERR_INVALID_ARGUMENT, "%s \"%.*s\" is not %zu hexadecimal digits", what,
		       QUOTE_MAX, text, 2 * size);
}

int parse_uuid(const char *what, const char *text, struct uuid *ret, struct err *err)
{
	static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	struct uuid uuid = { 0 };
	bool nil = true;

	text = text ?: "";
	if (strlen(text) != sizeof(shape) - 1)
		goto bad;
	for (size_t i = 0; i < sizeof(shape) - 1; i++) {
		if (shape[i] == '-' ? text[i] != '-' : hex_digit(text[i]) < 0)
			goto bad;
		nil = nil && (text[i] == '-' || text[i] == '0');
		uuid.text[i] = (char)tolower((unsigned char)text[i]);
	}
	if (nil)
		goto bad;
	*ret = uuid;
	return 0;
bad:
	return refuse(err, what, text, "a UUID of the form 8-4-4-4-12, not all zero");
}

static bool nqn_well_formed(const char *text)
{
	static const char shape[] = "nqn.dddd-dd.";
	size_t len = strlen(text);

	if (len < sizeof(shape) || len > NQN_MAX_LEN)
		return false;
	for (size_t i = 0; i < sizeof(shape) - 1; i++)
		if (shape[i] == 'd' && i >= 4 ? !isdigit((unsigned char)text[i]) :
						text[i] != shape[i])
			return false;
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] >= 0x7f || text[i] == ',' || text[i] == '/')
			return false;
	return true;
}

int parse_nqn(const char *what, const char *text, char ret[NQN_SIZE], struct err *err)
{
	text = text ?: "";
	if (!nqn_well_formed(text))
		return refuse(err, what, text,
			      "an NQN of the form nqn.yyyy-mm.domain[:text], at most 223 "
			      "printable characters without blank, comma or slash");
	memcpy(ret, text, strlen(text) + 1);
	return 0;
}

bool parse_is_name(const char *text)
{
	size_t len = strlen(text);

	return len > 0 && len <= NAME_MAX_LEN && strspn(text, LOWER "-") == len;
}

/* One to max characters of a set, the first and the last one of ends. */
static bool is_word(const char *text, size_t len, size_t max, const char *inside, const char *ends)
{
	return len > 0 && len <= max && strspn(text, inside) >= len && strchr(ends, text[0]) &&
	       strchr(ends, text[len - 1]);
}

int parse_label(const char *what, const char *key, const char *value, struct err *err)
{
	const char *slash = strchr(key, '/');
	const char *name = slash ? slash + 1 : key;

	if ((slash && !is_word(key, (size_t)(slash - key), LABEL_PREFIX_MAX, LOWER "-.", LOWER)) ||
	    !is_word(name, strlen(name), LABEL_NAME_MAX, ALNUM "-_.", ALNUM))
		return err_set(
			err, ERR_INVALID_ARGUMENT,
			"%s: key \"%.100s\" is not [PREFIX/]NAME with a prefix of a-z, 0-9, - "
			"and . and a name of 1 to %d characters a-z, A-Z, 0-9, -, _ and .",
			what, key, LABEL_NAME_MAX);
	if (!is_word(value, strlen(value), LABEL_NAME_MAX, ALNUM "-_.", ALNUM))
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "%s: value \"%.100s\" is not 1 to %d characters a-z, A-Z, 0-9, -, _ "
			       "and .",
			       what, value, LABEL_NAME_MAX);
	return 0;
}
