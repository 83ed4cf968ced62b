/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unpacking messages that come from elsewhere. An empty part of a message is two bytes on the wire
 * and a hundred in memory, so what a message takes when unpacked is bounded by what it takes
 * packed: far more than any message of our contracts needs, and far less than such a bomb.
 */
#ifndef CSI_RPC_UNPACK_H
#define CSI_RPC_UNPACK_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

/* The bytes that a message of this packed size may take, with what unpacking needs meanwhile. */
size_t rpc_unpack_limit(size_t packed_bytes);

/*
 * The message, freed with protobuf_c_message_free_unpacked(p, NULL). NULL: it would take more
 * (*ret_exhausted), or the bytes are no such message.
 */
ProtobufCMessage *rpc_unpack(const ProtobufCMessageDescriptor *descriptor, const void *data,
			     size_t size, bool *ret_exhausted);

#endif
