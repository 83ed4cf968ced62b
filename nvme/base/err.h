/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The error object. A fallible function takes `struct err *err` last and returns 0, or -1 with
 * err filled. The codes are the canonical gRPC ones by name; csi/rpc/status.c maps them to numbers.
 * An errno never becomes anything but ERR_INTERNAL unless the caller raises another code on purpose.
 */
#ifndef NVME_BASE_ERR_H
#define NVME_BASE_ERR_H

#include <stdarg.h>
#include <stdbool.h>

enum err_code {
	ERR_NONE = 0,
	ERR_CANCELLED,
	ERR_INVALID_ARGUMENT,
	ERR_DEADLINE_EXCEEDED,
	ERR_NOT_FOUND,
	ERR_ALREADY_EXISTS,
	ERR_PERMISSION_DENIED,
	ERR_RESOURCE_EXHAUSTED,
	ERR_FAILED_PRECONDITION,
	ERR_ABORTED,
	ERR_OUT_OF_RANGE,
	ERR_UNIMPLEMENTED,
	ERR_INTERNAL,
	ERR_UNAVAILABLE,
	ERR_DATA_LOSS,
	ERR_UNAUTHENTICATED,
	ERR_CODE_COUNT,
};

#define ERR_MESSAGE_SIZE 1024

/* Lives on the caller's stack; owns nothing. `sys` is the errno behind it, 0 when there is none. */
struct err {
	enum err_code code;
	int sys;
	char msg[ERR_MESSAGE_SIZE];
};

#define ERR_INIT ((struct err) { 0 })

/* Each returns -1, so that raising is one statement: return err_set(err, ERR_NOT_FOUND, "…"). */
int err_set(struct err *err, enum err_code code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Raises ERR_INTERNAL for a failed system call: "<message>: <text of sys_errno>". */
int err_sys(struct err *err, int sys_errno, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts "<message>: " in front of an error that is already set; its code stays. */
int err_wrap(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Gives an error that is already set another code, because the caller knows better what it means. */
int err_recode(struct err *err, enum err_code code);

/* Whether it is of storage, or a quota, that is full. */
bool err_is_full(const struct err *err);

/* The canonical name, for example "NOT_FOUND". Borrowed, static. */
const char *err_code_name(enum err_code code);

#endif
