/* SPDX-License-Identifier: Apache-2.0 */
/* Reasons of refused connections, and their log lines, of which each peer gets few. */
#include "csi/rpc/refusal.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "csi/rpc/handshake.h"
#include "nvme/base/clock.h"
#include "nvme/base/log.h"

#define QUIET_NS (60ULL * 1000000000ULL)
#define REMEMBERED 64 /* when there are more, the one that was said longest ago is forgotten */

struct said {
	uint64_t key;
	uint64_t at_ns;
	unsigned int repeated;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct said lines[REMEMBERED];

static uint64_t hash(uint64_t h, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)text[i]) * 0x100000001b3ULL;
	return (h ^ 0xff) * 0x100000001b3ULL;
}

static uint64_t key_of(const char *message, const char *who, size_t who_len, const char *reason)
{
	uint64_t h = hash(0xcbf29ce484222325ULL, message, strlen(message));

	h = hash(h, who, who_len);
	return hash(h, reason, strlen(reason));
}

/* Whether the line is to be written, and how many were not since the last one. */
static bool is_due(uint64_t key, unsigned int *ret_repeated)
{
	uint64_t now = clock_now_ns();
	struct said *line = &lines[0];
	bool due = true;

	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < REMEMBERED && line->key != key; i++)
		if (lines[i].key == key || lines[i].at_ns < line->at_ns)
			line = &lines[i];
	if (line->key != key)
		*line = (struct said) { .key = key };
	else if (line->at_ns + QUIET_NS > now)
		due = false;
	*ret_repeated = line->repeated;
	if (due)
		*line = (struct said) { .key = key, .at_ns = now };
	else
		line->repeated++;
	pthread_mutex_unlock(&lock);
	return due;
}

void rpc_refusal_log_client(const char *message, const char *peer, const char *reason,
			    const char *certificate)
{
	const char *colon = strrchr(peer, ':');
	size_t host_len = colon ? (size_t)(colon - peer) : strlen(peer);
	unsigned int repeated;

	if (is_due(key_of(message, peer, host_len, reason), &repeated))
		log_warning(message, KV("peer", peer), KV("reason", reason),
			    KV("certificate", certificate), KV_NUM("repeated", repeated));
}

void rpc_refusal_log_server(const char *address, const char *reason)
{
	static const char message[] = "no connection to the server";
	unsigned int repeated;

	if (is_due(key_of(message, address, strlen(address), reason), &repeated))
		log_warning(message, KV("address", address), KV("reason", reason),
			    KV_NUM("repeated", repeated));
}

void rpc_refusal_forget(void)
{
	pthread_mutex_lock(&lock);
	memset(lines, 0, sizeof(lines));
	pthread_mutex_unlock(&lock);
}

/* The last part of "error:0A000086:SSL routines::certificate verify failed". */
static const char *reason_in(const char *text)
{
	const char *at = strstr(text, "error:");
	const char *last = at ? strstr(at, "::") : NULL;

	return last ? last + 2 : text;
}

/* What our own check raised, from handshake.c. */
static const char *fault_in(const char *text)
{
	const char *at = strstr(text, ":" RPC_HANDSHAKE_LIBRARY "::");

	return at ? at + strlen(":" RPC_HANDSHAKE_LIBRARY "::") : NULL;
}

static bool has(const char *text, const char *part)
{
	return strstr(text, part) != NULL;
}

static bool is_no_tls(const char *text)
{
	return has(text, "wrong version number") || has(text, "http request") ||
	       has(text, "https proxy request");
}

void rpc_refusal_of_client(const char *text, char reason[RPC_REASON_SIZE])
{
	const char *fault = fault_in(text);
	const char *what = reason_in(text);

	if (fault)
		snprintf(reason, RPC_REASON_SIZE, "the client's certificate %s", fault);
	else if (has(text, "peer did not return a certificate"))
		snprintf(reason, RPC_REASON_SIZE, "the client showed no certificate");
	else if (is_no_tls(text))
		snprintf(reason, RPC_REASON_SIZE, "the client does not speak TLS");
	else if (has(text, "alert "))
		snprintf(reason, RPC_REASON_SIZE, "the client does not accept our certificate: %s",
			 what);
	else
		snprintf(reason, RPC_REASON_SIZE, "the TLS handshake failed: %s", what);
}

static bool is_closed(const char *text)
{
	return has(text, "Socket closed") || has(text, "Connection reset by peer") ||
	       has(text, "Broken pipe");
}

bool rpc_refusal_of_server(const char *text, const char *ours, char reason[RPC_REASON_SIZE])
{
	static const char name_is[] = "Peer name ";
	const char *fault = fault_in(text);
	const char *name = strstr(text, name_is);

	if (fault)
		snprintf(reason, RPC_REASON_SIZE, "the server's certificate %s", fault);
	else if (name && has(name, " is not in peer certificate"))
		snprintf(reason, RPC_REASON_SIZE, "the server's certificate is not for %.*s",
			 (int)strcspn(name + strlen(name_is), " "), name + strlen(name_is));
	else if (has(text, "handshake failed") && is_no_tls(text))
		snprintf(reason, RPC_REASON_SIZE, "the server does not speak TLS at this port");
	else if (has(text, "handshake failed"))
		snprintf(reason, RPC_REASON_SIZE, "the TLS handshake failed: %s", reason_in(text));
	else if (!has(text, "failed to connect") || !is_closed(text))
		return false;
	else if (*ours)
		snprintf(reason, RPC_REASON_SIZE,
			 "the server closed the connection; most likely it does not accept our "
			 "certificate (%s): its log says why",
			 ours);
	else
		snprintf(reason, RPC_REASON_SIZE,
			 "the server closed the connection; does it want TLS?");
	return true;
}
