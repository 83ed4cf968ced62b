/* SPDX-License-Identifier: Apache-2.0 */
/* The error object: formatting and wrapping. */
#include "nvme/base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nvme/base/strb.h"

int err_set(struct err *err, enum err_code code, const char *format, ...)
{
	va_list args;

	err->code = code;
	err->sys = 0;
	va_start(args, format);
	vsnprintf(err->msg, sizeof(err->msg), format, args);
	va_end(args);
	return -1;
}

int err_sys(struct err *err, int sys_errno, const char *format, ...)
{
	struct strb text = strb_over(err->msg, sizeof(err->msg));
	va_list args;

	err->code = ERR_INTERNAL;
	err->sys = sys_errno;
	va_start(args, format);
	strb_addv(&text, format, args);
	va_end(args);
	strb_addf(&text, ": %s", strerrordesc_np(sys_errno) ?: "unknown error");
	return -1;
}

int err_wrap(struct err *err, const char *format, ...)
{
	char inner[ERR_MESSAGE_SIZE];
	struct strb text;
	va_list args;

	memcpy(inner, err->msg, sizeof(inner));
	text = strb_over(err->msg, sizeof(err->msg));
	va_start(args, format);
	strb_addv(&text, format, args);
	va_end(args);
	strb_addf(&text, ": %s", inner);
	return -1;
}

int err_recode(struct err *err, enum err_code code)
{
	err->code = code;
	return -1;
}

bool err_is_full(const struct err *err)
{
	return err->sys == ENOSPC || err->sys == EDQUOT;
}

const char *err_code_name(enum err_code code)
{
	static const char *const names[ERR_CODE_COUNT] = {
		[ERR_NONE] = "OK",
		[ERR_CANCELLED] = "CANCELLED",
		[ERR_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
		[ERR_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
		[ERR_NOT_FOUND] = "NOT_FOUND",
		[ERR_ALREADY_EXISTS] = "ALREADY_EXISTS",
		[ERR_PERMISSION_DENIED] = "PERMISSION_DENIED",
		[ERR_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
		[ERR_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
		[ERR_ABORTED] = "ABORTED",
		[ERR_OUT_OF_RANGE] = "OUT_OF_RANGE",
		[ERR_UNIMPLEMENTED] = "UNIMPLEMENTED",
		[ERR_INTERNAL] = "INTERNAL",
		[ERR_UNAVAILABLE] = "UNAVAILABLE",
		[ERR_DATA_LOSS] = "DATA_LOSS",
		[ERR_UNAUTHENTICATED] = "UNAUTHENTICATED",
	};

	return (unsigned)code < ERR_CODE_COUNT ? names[code] : "INTERNAL";
}
