/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's NVMe-oF initiator, /dev/nvme-fabrics. It is driven by libnvme, which is used here
 * and nowhere else, and only to connect: what is connected is read in sysfs.
 */
#ifndef NVME_HOST_FABRICS_H
#define NVME_HOST_FABRICS_H

#include "nvme/base/clock.h"
#include "nvme/base/dhchap.h"
#include "nvme/base/portal.h"
#include "nvme/host/identity.h"

/* The kernel's option strings; times in seconds. */
struct host_connect_options {
	int nr_io_queues;	 /* the kernel caps it to the number of CPUs */
	int queue_size;		 /* 16 to 1024 */
	int ctrl_loss_tmo_s;	 /* give a lost portal up after; -1: never */
	int reconnect_delay_s;	 /* between attempts; at least 1 */
	int fast_io_fail_tmo_s;	 /* fail I/O after; 0: never (the kernel's own 0 cannot be asked) */
	int keep_alive_tmo_s;	 /* at least 1 */
	struct dhchap_keys keys; /* with which host and target prove who they are; empty: neither */
	bool renew; /* they are this host's for all subsystems of the kind: see host_connect */
};

/* 1 I/O queue per CPU up to 4, 128 entries, reconnect every 2 s for ever, keep-alive 5 s. */
struct host_connect_options host_connect_options_default(void);

/*
 * Whether this kernel can connect: /dev/nvme-fabrics is there and has the options we use. If it is
 * absent, `modprobe nvme-tcp` is tried once. ERR_FAILED_PRECONDITION in one line that says what to
 * do. Blocks for modprobe, at most some seconds.
 */
int host_fabrics_check(struct err *err);

/* The part of the check that looks at the option list, as read from /dev/nvme-fabrics. */
int host_fabrics_check_options(const char *options, struct err *err);

/*
 * Has the kernel connect one controller. Calls are made one at a time in this process, as in the
 * kernel; the deadline bounds only the wait for one's turn, then the kernel takes what it takes
 * (3 s for a dead portal, 10 s for a silent one: probe it first). ERR_ALREADY_EXISTS: it says that
 * this controller is connected, so go and look. ERR_UNAUTHENTICATED: a key is wrong, or missing.
 * The kernel may well connect without having used the keys: see dhchap.h. ERR_PERMISSION_DENIED:
 * the target answered, and does not know the subsystem or does not let this host in (the kernel
 * says EIO for both). Without /dev/nvme-fabrics, what host_fabrics_check does and says.
 * ERR_UNAVAILABLE: anything else, with the reason.
 */
int host_fabrics_connect(const struct host_identity *identity, const char *nqn,
			 const struct portal *portal, const struct host_connect_options *options,
			 struct deadline deadline, struct err *err);

#endif
