/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that did not come about: sentences for what gRPC and OpenSSL say of them, and log
 * lines that a peer which tries again and again cannot make into a flood. Thread-safe; nothing here
 * blocks or fails.
 */
#ifndef CSI_RPC_REFUSAL_H
#define CSI_RPC_REFUSAL_H

#include <stdbool.h>
#include <stddef.h>

#define RPC_REASON_SIZE 512

/*
 * Logs a warning with these values, unless one of the same message, host and reason was logged
 * within the last minute; "repeated" counts those left out since. peer is "ADDRESS:PORT"; the port
 * of a client, which changes with each try, makes no difference. certificate may be "".
 */
void rpc_refusal_log_client(const char *message, const char *peer, const char *reason,
			    const char *certificate);

/* The same for a server that we call at an address. */
void rpc_refusal_log_server(const char *address, const char *reason);

/* What is refused from now on is logged anew: something has changed that may matter. */
void rpc_refusal_forget(void);

/* The server's view: what is wrong with the client, from the text of a failed handshake. */
void rpc_refusal_of_client(const char *text, char reason[RPC_REASON_SIZE]);

/*
 * The client's view: what is wrong, from the status text of a call that found no connection. ours
 * describes our certificate, "" without TLS. False: the text tells of no refusal.
 */
bool rpc_refusal_of_server(const char *text, const char *ours, char reason[RPC_REASON_SIZE]);

#endif
