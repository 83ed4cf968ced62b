/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text from elsewhere on a terminal: names, errors and answers of agents could move its cursor,
 * rewrite lines or worse. Control characters of ASCII and of Unicode (U+0080 to U+009F) count, and
 * bytes that are no UTF-8, since terminals that do not speak it take some of them for such.
 */
#ifndef CMD_NVMEOTCTL_TEXT_H
#define CMD_NVMEOTCTL_TEXT_H

/* For people, in place: each such character becomes "?", so that it is one line. */
void text_tidy(char *text);

/* For scripts: a JSON document in which they are escaped as its strings may be; owned. */
char *text_json(const char *json);

#endif
