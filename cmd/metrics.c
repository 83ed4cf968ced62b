/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics as text. */
#include "cmd/metrics.h"

#include <inttypes.h>
#include <stdarg.h>

void metrics_head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_label_value(FILE *out, const char *value)
{
	for (; *value; value++) {
		if (*value == '\n')
			fputs("\\n", out);
		else if (*value == '\\' || *value == '"')
			fprintf(out, "\\%c", *value);
		else
			fputc(*value, out);
	}
}

static void put_number(FILE *out, double value)
{
	if (value >= 0 && value < 0x1p63 && (double)(int64_t)value == value)
		fprintf(out, "%" PRId64, (int64_t)value);
	else
		fprintf(out, "%.9g", value);
}

void metrics_sample(FILE *out, const char *name, double value, ...)
{
	const char *label, *before = "{";
	va_list labels;

	fputs(name, out);
	va_start(labels, value);
	while ((label = va_arg(labels, const char *))) {
		fprintf(out, "%s%s=\"", before, label);
		put_label_value(out, va_arg(labels, const char *));
		fputc('"', out);
		before = ",";
	}
	va_end(labels);
	fputs(*before == ',' ? "} " : " ", out);
	put_number(out, value);
	fputc('\n', out);
}

void metrics_value(FILE *out, const char *name, const char *type, const char *help, double value)
{
	metrics_head(out, name, type, help);
	metrics_sample(out, name, value, NULL);
}

/* --- calls ------------------------------------------------------------------------------------ */

static void put_ended(const struct rpc_stats_method *method, void *out)
{
	/* No method that there is not ends well. */
	for (size_t i = 0; i < ERR_CODE_COUNT; i++)
		if (method->ended[i] || (i == ERR_NONE && *method->service))
			metrics_sample(out, "nvmeot_rpc_calls_total", (double)method->ended[i],
				       "service", method->service, "method", method->method, "code",
				       err_code_name((enum err_code)i), NULL);
}

static void put_running(const struct rpc_stats_method *method, void *out)
{
	metrics_sample(out, "nvmeot_rpc_in_flight", (double)method->running, "service",
		       method->service, "method", method->method, NULL);
}

static void put_took(const struct rpc_stats_method *method, void *out)
{
	uint64_t count = 0;
	char bound[32];

	for (size_t i = 0; i <= RPC_STATS_BUCKETS; i++) {
		count += method->took[i];
		if (i < RPC_STATS_BUCKETS)
			snprintf(bound, sizeof(bound), "%g", (double)rpc_stats_bounds_ms[i] / 1000);
		else
			snprintf(bound, sizeof(bound), "+Inf");
		metrics_sample(out, "nvmeot_rpc_duration_seconds_bucket", (double)count, "service",
			       method->service, "method", method->method, "le", bound, NULL);
	}
	metrics_sample(out, "nvmeot_rpc_duration_seconds_sum", method->took_s, "service",
		       method->service, "method", method->method, NULL);
	metrics_sample(out, "nvmeot_rpc_duration_seconds_count", (double)count, "service",
		       method->service, "method", method->method, NULL);
}

void metrics_rpc(FILE *out, struct rpc_stats *stats)
{
	metrics_head(out, "nvmeot_rpc_calls_total", "counter", "Calls that ended, by result.");
	rpc_stats_each(stats, put_ended, out);
	metrics_head(out, "nvmeot_rpc_in_flight", "gauge", "Calls that run or wait for a worker.");
	rpc_stats_each(stats, put_running, out);
	metrics_head(out, "nvmeot_rpc_duration_seconds", "histogram",
		     "From the arrival of a call to its answer.");
	rpc_stats_each(stats, put_took, out);
}
