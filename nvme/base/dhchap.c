/* SPDX-License-Identifier: Apache-2.0 */
/* DH-HMAC-CHAP keys as text. */
#include "nvme/base/dhchap.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define PREFIX "DHHC-1:"
#define HEAD_LEN (sizeof(PREFIX) - 1 + 3)
#define CRC_BYTES 4
#define BYTES_MAX (64 + CRC_BYTES)

const char *dhchap_mode_name(enum dhchap_mode mode)
{
	static const char *const names[DHCHAP_MODE_COUNT] = {
		[DHCHAP_NONE] = "none",
		[DHCHAP_ONE_WAY] = "one-way",
		[DHCHAP_BOTH_WAYS] = "both-ways",
	};

	return names[mode];
}

/* --- decoding --------------------------------------------------------------------------------- */

/* The CRC-32 of IEEE 802.3, bit by bit: keys are short. */
static uint32_t crc32_of(const uint8_t *bytes, size_t count)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < count; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320U : 0);
	}
	return ~crc;
}

static int digit_of(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* The number of bytes; 0: not base64 in its one canonical form, or more than BYTES_MAX. */
static size_t decode(const char *text, size_t len, uint8_t out[BYTES_MAX + 3])
{
	size_t pad = 0, count = 0;

	if (!len || len % 4 || len / 4 * 3 > BYTES_MAX + 2)
		return 0;
	while (pad < 2 && text[len - 1 - pad] == '=')
		pad++;
	for (size_t i = 0; i < len; i += 4) {
		uint32_t bits = 0;

		for (size_t j = i; j < i + 4; j++) {
			int digit = j >= len - pad ? 0 : digit_of(text[j]);

			if (digit < 0)
				return 0;
			bits = bits << 6 | (uint32_t)digit;
		}
		for (int shift = 16; shift >= 0; shift -= 8)
			out[count++] = (uint8_t)(bits >> shift);
	}
	count -= pad;
	/* Bits that are left over: the same key would have several texts. */
	return out[count] && pad ? 0 : count;
}

/* --- checking --------------------------------------------------------------------------------- */

/* Of a key with this hash: 32, 48, 64; 0: any of them. -1: no such hash. */
static int bytes_of_hash(const char *digits)
{
	static const int bytes[] = { 0, 32, 48, 64 };

	return digits[0] == '0' && digits[1] >= '0' && digits[1] <= '3' ? bytes[digits[1] - '0'] :
									  -1;
}

static int check_bytes(const char *what, const uint8_t *bytes, size_t count, int wanted,
		       struct err *err)
{
	size_t len = count - CRC_BYTES;
	uint32_t crc = 0;

	if (count <= CRC_BYTES || (len != 32 && len != 48 && len != 64))
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "%s has %zu bytes with its CRC-32; a key has 32, 48 or 64, and 4 "
			       "more of CRC-32",
			       what, count);
	if (wanted && len != (size_t)wanted)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "%s has %zu bytes of key; the hash that it names takes %d", what,
			       len, wanted);
	for (size_t i = 0; i < CRC_BYTES; i++)
		crc |= (uint32_t)bytes[len + i] << 8 * i;
	if (crc != crc32_of(bytes, len))
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "%s is damaged: its CRC-32 is not that of its bytes", what);
	return 0;
}

static int key_check(const char *what, const char *text, struct err *err)
{
	uint8_t bytes[BYTES_MAX + 3];
	size_t len = strlen(text), count;
	int wanted, r;

	if (strncmp(text, PREFIX, strlen(PREFIX)) != 0 || len <= HEAD_LEN ||
	    text[HEAD_LEN - 1] != ':')
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "%s is not of the form " PREFIX "HH:BASE64: that nvme "
			       "gen-dhchap-key prints",
			       what);
	if (text[len - 1] != ':')
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "%s does not end in a colon%s; its form is " PREFIX "HH:BASE64:",
			       what, text[len - 1] == '\n' ? ", but in a newline" : "");
	wanted = bytes_of_hash(text + strlen(PREFIX));
	if (wanted < 0)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "%s names an unknown hash; known are 00, 01, 02 and 03", what);
	count = decode(text + HEAD_LEN, len - HEAD_LEN - 1, bytes);
	r = count ? check_bytes(what, bytes, count, wanted, err) :
		    err_set(err, ERR_INVALID_ARGUMENT,
			    "%s does not have the base64 of at most 64 + 4 bytes in it", what);
	explicit_bzero(bytes, sizeof(bytes));
	return r;
}

int dhchap_keys_parse(const char *host_what, const char *host, const char *ctrl_what,
		      const char *ctrl, struct dhchap_keys *ret, struct err *err)
{
	bool has_host = host && *host, has_ctrl = ctrl && *ctrl;

	if (has_ctrl && !has_host)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "%s is given without %s: a target proves itself only to a host that "
			       "does so, too",
			       ctrl_what, host_what);
	if ((has_host && key_check(host_what, host, err) < 0) ||
	    (has_ctrl && key_check(ctrl_what, ctrl, err) < 0))
		return -1;
	if (has_ctrl && strcmp(host, ctrl) == 0)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "%s and %s are the same key; each side needs one of its own",
			       host_what, ctrl_what);
	*ret = (struct dhchap_keys) { 0 };
	snprintf(ret->host, sizeof(ret->host), "%s", has_host ? host : "");
	snprintf(ret->ctrl, sizeof(ret->ctrl), "%s", has_ctrl ? ctrl : "");
	return 0;
}

enum dhchap_mode dhchap_keys_mode(const struct dhchap_keys *keys)
{
	return !keys->host[0] ? DHCHAP_NONE : keys->ctrl[0] ? DHCHAP_BOTH_WAYS : DHCHAP_ONE_WAY;
}

bool dhchap_keys_equal(const struct dhchap_keys *a, const struct dhchap_keys *b)
{
	return strcmp(a->host, b->host) == 0 && strcmp(a->ctrl, b->ctrl) == 0;
}

void dhchap_keys_wipe(struct dhchap_keys *keys)
{
	explicit_bzero(keys, sizeof(*keys));
}
