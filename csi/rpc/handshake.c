/* SPDX-License-Identifier: Apache-2.0 */
/* Observing OpenSSL's sessions: why they fail, and whose they are. */
#include "csi/rpc/handshake.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "csi/rpc/certificate.h"
#include "csi/rpc/logtap.h"
#include "csi/rpc/refusal.h"
#include "nvme/base/cleanup.h"

#define REASONS 128 /* X509_V_ERR_… are below */
#define ALERT_FATAL 2

/* One session; a client's stays empty. */
struct session {
	char peer[RPC_PEER_SIZE];
	struct rpc_certificate ours;
	bool greeted;  /* the client has begun a handshake */
	bool finished; /* and ended it */
	bool failed;   /* it is known why it went wrong */
};

/* What this thread's latest callback was about, for the message that gRPC may log next. */
static _Thread_local struct {
	bool server;
	char peer[RPC_PEER_SIZE];
	struct rpc_certificate theirs;
} latest;

static int slot;
static int library;
static ERR_STRING_DATA strings[REASONS + 2];

static const char *sentence_of(int error)
{
	switch (error) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return "has expired";
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return "is not yet valid";
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
		return "is not signed by an authority in our ca.crt";
	case X509_V_ERR_INVALID_PURPOSE:
		return "is not made for this side (its extendedKeyUsage)";
	default:
		return X509_verify_cert_error_string(error);
	}
}

/* Only adds to what is said; the verdict stays OpenSSL's. */
static int on_verify(int ok, X509_STORE_CTX *store)
{
	int error = X509_STORE_CTX_get_error(store);
	const X509 *certificate = X509_STORE_CTX_get_current_cert(store);

	if (ok)
		return ok;
	if (certificate)
		rpc_certificate_read(certificate, &latest.theirs);
	/* gRPC reports the oldest error of the queue. */
	ERR_clear_error();
	ERR_raise(library, error > 0 && error < REASONS ? error : X509_V_ERR_UNSPECIFIED);
	return ok;
}

static void remember(struct session *s, const SSL *ssl)
{
	if (!*s->peer)
		strcpy(s->peer, rpc_logtap_peer());
	if (!*s->ours.text && SSL_get_certificate(ssl))
		rpc_certificate_read(SSL_get_certificate(ssl), &s->ours);
	strcpy(latest.peer, s->peer);
}

/* In TLS 1.3 the outer header of everything encrypted says application data; the inner is true. */
static bool is_request(const SSL *ssl, int type, const unsigned char *data, size_t len)
{
	int header = SSL_version(ssl) >= TLS1_3_VERSION ? SSL3_RT_INNER_CONTENT_TYPE :
							  SSL3_RT_HEADER;

	return type == header && len && data[0] == SSL3_RT_APPLICATION_DATA;
}

/* Sees every record that a session sends or gets, until a server has the client's first request. */
static void on_record(int sent, int version, int type, const void *data, size_t len, SSL *ssl,
		      void *context)
{
	const unsigned char *bytes = data;
	struct session *s = context;

	(void)version;
	latest.server = SSL_is_server(ssl);
	if (!latest.server)
		return;
	remember(s, ssl);
	if (!sent)
		*latest.theirs.text = '\0';
	if (type == SSL3_RT_HANDSHAKE && !sent && len)
		s->greeted = true, s->finished = bytes[0] == SSL3_MT_FINISHED;
	else if (type == SSL3_RT_ALERT && len && bytes[0] == ALERT_FATAL)
		s->failed = true;
	if (sent || !is_request(ssl, type, bytes, len))
		return;
	SSL_set_ex_data(ssl, slot, NULL);
	SSL_set_msg_callback(ssl, NULL);
	free(s);
}

static void on_new(void *parent, void *ptr, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
	struct session *s;
	SSL *ssl = parent;

	(void)ptr, (void)argl, (void)argp;
	if (!SSL_get_verify_callback(ssl))
		SSL_set_verify(ssl, SSL_get_verify_mode(ssl), on_verify);
	/* Which side it is on is not known yet. */
	s = xcalloc(1, sizeof(*s));
	CRYPTO_set_ex_data(data, index, s);
	SSL_set_msg_callback(ssl, on_record);
	SSL_set_msg_callback_arg(ssl, s);
}

/* gRPC's clients close the connection without an alert when they refuse a server. */
static void log_left(const struct session *s)
{
	char reason[RPC_REASON_SIZE];

	if (s->finished)
		snprintf(reason, sizeof(reason),
			 "the client closed the connection right after the TLS handshake; most "
			 "likely our certificate is not for the name by which it calls us");
	else
		snprintf(reason, sizeof(reason),
			 "the client closed the connection during the TLS handshake; most likely "
			 "it does not trust our certificate%s: its log says why",
			 rpc_certificate_fault(&s->ours, time(NULL)));
	rpc_refusal_log_client("client left", s->peer, reason, s->ours.text);
}

static void on_free(void *parent, void *ptr, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
	struct session *s = ptr;

	(void)parent, (void)data, (void)index, (void)argl, (void)argp;
	if (s && s->greeted && !s->failed)
		log_left(s);
	free(s);
}

void rpc_handshake_watch(void)
{
	library = ERR_get_next_error_library();
	strings[0] = (ERR_STRING_DATA) { ERR_PACK(library, 0, 0), RPC_HANDSHAKE_LIBRARY };
	for (int i = 1; i < REASONS; i++)
		strings[i] = (ERR_STRING_DATA) { ERR_PACK(library, 0, i), sentence_of(i) };
	ERR_load_strings(library, strings);
	slot = SSL_get_ex_new_index(0, NULL, on_new, NULL, on_free);
}

void rpc_handshake_failed(const char *line)
{
	cleanup_free char *text = xasprintf("%.*s", (int)strcspn(line, "\n"), line);
	size_t len = strlen(text);
	char reason[RPC_REASON_SIZE];

	if (len && text[len - 1] == '.')
		text[len - 1] = '\0';
	/* A client's call carries the reason in its status. */
	if (latest.server) {
		rpc_refusal_of_client(text, reason);
		rpc_refusal_log_client("client refused", latest.peer, reason, latest.theirs.text);
	}
	latest.server = false;
	*latest.theirs.text = '\0';
}
