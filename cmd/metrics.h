/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prometheus' text format, version 0.0.4: a head for each metric, then its samples. Also the
 * metrics that all servers have. Nothing here blocks or fails.
 */
#ifndef CMD_METRICS_H
#define CMD_METRICS_H

#include <stdio.h>

#include "csi/rpc/stats.h"

/* type: "counter", "gauge" or "histogram"; help: one line without a backslash. */
void metrics_head(FILE *out, const char *name, const char *type, const char *help);

/* Then pairs of label names and values, ended by NULL; values may hold anything. */
void metrics_sample(FILE *out, const char *name, double value, ...) __attribute__((sentinel));

/* A head and its one sample. */
void metrics_value(FILE *out, const char *name, const char *type, const char *help, double value);

/* The calls of a server, by method. */
void metrics_rpc(FILE *out, struct rpc_stats *stats);

#endif
