/* SPDX-License-Identifier: Apache-2.0 */
/* Comparing a client certificate's names with those that may call. */
#include "csi/rpc/callers.h"

#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "csi/rpc/logtap.h"
#include "csi/rpc/refusal.h"
#include "nvme/base/cleanup.h"
#include "nvme/base/strb.h"

DEFINE_CLEANUP(grpc_auth_context *, grpc_auth_context_release)

void rpc_callers_init(struct rpc_callers *callers, const char *const *names, size_t count)
{
	callers->names = xcalloc(count, sizeof(*callers->names));
	callers->count = count;
	for (size_t i = 0; i < count; i++)
		callers->names[i] = xstrdup(names[i]);
}

void rpc_callers_fini(struct rpc_callers *callers)
{
	for (size_t i = 0; i < callers->count; i++)
		free(callers->names[i]);
	free(callers->names);
}

static bool may_call(const struct rpc_callers *callers, const grpc_auth_property *name)
{
	for (size_t i = 0; i < callers->count; i++)
		if (strlen(callers->names[i]) == name->value_length &&
		    strncasecmp(callers->names[i], name->value, name->value_length) == 0)
			return true;
	return false;
}

/* Whether one of the values of a property may call; all are added to text. */
static bool find(const struct rpc_callers *callers, const grpc_auth_context *peer,
		 const char *property, struct strb *text)
{
	grpc_auth_property_iterator it = grpc_auth_context_find_properties_by_name(peer, property);
	const grpc_auth_property *name;
	bool found = false;

	while ((name = grpc_auth_property_iterator_next(&it))) {
		strb_add(text, text->len ? ", " : "");
		strb_addn(text, name->value, name->value_length);
		found = found || may_call(callers, name);
	}
	return found;
}

static bool has_any(const grpc_auth_context *peer, const char *property)
{
	grpc_auth_property_iterator it = grpc_auth_context_find_properties_by_name(peer, property);

	return grpc_auth_property_iterator_next(&it) != NULL;
}

static int refuse(const struct rpc_callers *callers, const char *theirs, struct err *err)
{
	char text[256];
	struct strb ours = strb_over(text, sizeof(text));

	for (size_t i = 0; i < callers->count; i++)
		strb_addf(&ours, "%s%s", i ? ", " : "", callers->names[i]);
	return err_set(err, ERR_PERMISSION_DENIED,
		       "the client's certificate is for \"%s\"; only %s may call", theirs, text);
}

static int check(const struct rpc_callers *callers, const grpc_auth_context *peer, struct err *err)
{
	char text[256];
	struct strb theirs = strb_over(text, sizeof(text));

	if (!peer || !grpc_auth_context_peer_is_authenticated(peer))
		return err_set(err, ERR_UNAUTHENTICATED, "the client showed no certificate");
	if (find(callers, peer, GRPC_PEER_DNS_PROPERTY_NAME, &theirs))
		return 0;
	if (!has_any(peer, GRPC_X509_SAN_PROPERTY_NAME) &&
	    find(callers, peer, GRPC_X509_CN_PROPERTY_NAME, &theirs))
		return 0;
	if (!theirs.len)
		find(callers, peer, GRPC_X509_SAN_PROPERTY_NAME, &theirs);
	return refuse(callers, text, err);
}

int rpc_callers_check(const struct rpc_callers *callers, grpc_call *call, struct err *err)
{
	grpc_auth_context *peer CLEANUP(grpc_auth_context_releasep) = NULL;
	char from[RPC_PEER_SIZE];
	char *uri;

	if (!callers->count)
		return 0;
	peer = grpc_call_auth_context(call);
	if (check(callers, peer, err) == 0)
		return 0;
	uri = grpc_call_get_peer(call);
	rpc_peer_text(uri, from);
	gpr_free(uri);
	rpc_refusal_log_client("client refused", from, err->msg, "");
	return -1;
}
