/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first process of a container, whose end the kernel makes that of all others in it. A node
 * that freezes file systems must not be it: their guards would die with the node, and nothing would
 * thaw.
 */
#ifndef CMD_NVMEOT_CSI_FIRST_H
#define CMD_NVMEOT_CSI_FIRST_H

#include <stdbool.h>

bool first_is_us(void);

/*
 * Runs this program once more as a child, hands SIGTERM and SIGINT on to it, and when it has ended
 * waits for what it left, for as long as a guard takes at most. When the container's memory runs out
 * the kernel ends the child, and neither us nor guards. Returns the child's exit status, or
 * 128 and the signal that ended it. Before any thread is started.
 */
int first_run(char **argv);

#endif
