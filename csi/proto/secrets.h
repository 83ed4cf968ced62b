/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which fields of the wire contracts hold secrets: those that csi.proto and target.proto mark with
 * csi_secret. The table is generated from them, compiled (protofacts secrets), never by hand.
 * Whoever prints a message asks here first. Nothing in this file blocks, allocates or fails.
 */
#ifndef CSI_PROTO_SECRETS_H
#define CSI_PROTO_SECRETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct proto_secret {
	const char *message; /* full name, "csi.v1.NodeStageVolumeRequest": the descriptor's name */
	uint32_t number;     /* field number, the id of its ProtobufCFieldDescriptor */
};

/* Static, in the order of csi.proto, then of target.proto. */
extern const struct proto_secret proto_secrets[];
extern const size_t proto_secrets_count;

/* Says whether the value of this field must be left out of logs, with all that is below it. */
bool proto_field_is_secret(const char *message, uint32_t number);

#endif
