/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An eye on the TLS sessions of gRPC, which only says that a certificate was not verified, and
 * nothing to the peer. Every session of the process (a hook of OpenSSL on the making of SSL
 * objects) gets callbacks that observe and change no verdict: the reason of a failed verification
 * is put first into OpenSSL's error queue, from where gRPC takes its own message, so that the
 * client's status text carries it; servers log each refused client, and each client that left
 * because it refused us.
 */
#ifndef CSI_RPC_HANDSHAKE_H
#define CSI_RPC_HANDSHAKE_H

/* What comes before "::" and the reason in the text of an error that we raised. */
#define RPC_HANDSHAKE_LIBRARY "certificate"

/* Once in the process, before its first TLS session. */
void rpc_handshake_watch(void);

/* gRPC's log says on this thread that a handshake has failed, and ends with what OpenSSL said. */
void rpc_handshake_failed(const char *line);

#endif
