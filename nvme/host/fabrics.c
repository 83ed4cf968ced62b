/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's initiator through libnvme (1.3 and later 1.x). */
#include "nvme/host/fabrics.h"

#include <errno.h>
#include <fcntl.h>
#include <libnvme.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "nvme/base/cleanup.h"
#include "nvme/base/log.h"
#include "nvme/base/proc.h"

#define FABRICS "/dev/nvme-fabrics"
#define OPTIONS_SIZE 4096
#define MODPROBE_MS 5000
#define MAX_ERRNO 256

struct host_connect_options host_connect_options_default(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	return (struct host_connect_options) {
		.nr_io_queues = cpus >= 4 ? 4 :
				cpus >= 1 ? (int)cpus :
					    1,
		.queue_size = 128,
		.ctrl_loss_tmo_s = -1,
		.reconnect_delay_s = 2,
		.keep_alive_tmo_s = 5,
	};
}

static bool has_option(const char *options, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = options; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, name, len) == 0 && strchr("=,\n", at[len]))
			return true;
	}
	return false;
}

int host_fabrics_check_options(const char *options, struct err *err)
{
	static const char *const needed[] = {
		"nqn",
		"transport",
		"traddr",
		"trsvcid",
		"hostnqn",
		"hostid",
		"nr_io_queues",
		"queue_size",
		"keep_alive_tmo",
		"reconnect_delay",
		"ctrl_loss_tmo",
		"fast_io_fail_tmo",
	};

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		if (!has_option(options, needed[i]))
			return err_set(err, ERR_FAILED_PRECONDITION,
				       "the kernel's NVMe initiator has no option %s (it has: "
				       "%.300s); Linux 6.1 or later is needed",
				       needed[i], options);
	return 0;
}

static void load_module(void)
{
	static const char *const argv[] = { "modprobe", "nvme-tcp", NULL };
	cleanup_free struct proc_result *result = xcalloc(1, sizeof(*result));
	struct err err;

	if (proc_run(argv, deadline_after_ms(MODPROBE_MS), result, &err) < 0)
		log_warning("modprobe nvme-tcp did not run", KV_ERR(&err));
	else if (result->exit_code != 0)
		log_warning("modprobe nvme-tcp failed", KV_NUM("exit_code", result->exit_code),
			    KV("stderr", result->err));
}

int host_fabrics_check(struct err *err)
{
	cleanup_close int fd = open(FABRICS, O_RDWR | O_CLOEXEC);
	char options[OPTIONS_SIZE];
	ssize_t n;

	if (fd < 0 && (errno == ENOENT || errno == ENODEV)) {
		load_module();
		fd = open(FABRICS, O_RDWR | O_CLOEXEC);
	}
	if (fd < 0)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "cannot open " FABRICS " (%s): load the kernel module on the node "
			       "(modprobe nvme-tcp; some distributions have it in a package of "
			       "extra modules) and give this container the host's /dev",
			       strerrordesc_np(errno));
	n = read(fd, options, sizeof(options) - 1);
	if (n < 0)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "cannot read the option list of " FABRICS " (%s); Linux 6.1 or "
			       "later is needed",
			       strerrordesc_np(errno));
	options[n] = '\0';
	return host_fabrics_check_options(options, err);
}

/*
 * The errno of the kernel's answer. libnvme 1.3 folds most of them into ENVME_CONNECT_WRITE, but
 * its log message, which ends in ": <text of errno>", still tells them apart. 0: not known.
 */
static int kernel_errno(int nvme_errno, const char *log)
{
	const char *text = strstr(log, "Failed to write to " FABRICS ": ");

	switch (nvme_errno) {
	case ENVME_CONNECT_ALREADY:
		return EALREADY;
	case ENVME_CONNECT_INVAL:
		return EINVAL;
	case ENVME_CONNECT_CONNREFUSED:
		return ECONNREFUSED;
	}
	if (!text)
		return nvme_errno < MAX_ERRNO ? nvme_errno : 0;
	text += strlen("Failed to write to " FABRICS ": ");
	for (int i = 1; i < MAX_ERRNO; i++) {
		const char *known = strerrordesc_np(i);

		if (known && strncmp(text, known, strlen(known)) == 0 &&
		    text[strlen(known)] == '\n')
			return i;
	}
	return 0;
}

static int fail(const struct host_identity *identity, bool keyed, int nvme_errno, const char *log,
		struct err *err)
{
	int sys_errno = kernel_errno(nvme_errno, log);

	switch (sys_errno) {
	case EALREADY:
		err_set(err, ERR_ALREADY_EXISTS, "the kernel says that it is connected already");
		break;
	case EIO:
		err_set(err, ERR_PERMISSION_DENIED,
			"rejected by the target: it does not know the subsystem or does not allow "
			"host %s%s",
			identity->nqn, keyed ? ", or does not take its key (DH-HMAC-CHAP)" : "");
		break;
	case ENOKEY:
		err_set(err, ERR_UNAUTHENTICATED,
			"the target asks host %s for a key (DH-HMAC-CHAP), and none was given: "
			"dhchapSecret is missing",
			identity->nqn);
		break;
	case EKEYREJECTED:
		err_set(err, ERR_UNAUTHENTICATED,
			"authentication (DH-HMAC-CHAP) failed: dhchapSecret is not the key that "
			"the target has for host %s, or dhchapCtrlSecret is not the target's own",
			identity->nqn);
		break;
	case EINVAL:
		err_set(err, ERR_UNAVAILABLE,
			"the kernel refused to connect (invalid argument; its log says why)");
		break;
	case EAGAIN:
	case ETIMEDOUT:
		err_set(err, ERR_UNAVAILABLE,
			"what listens there does not answer as an NVMe/TCP target");
		break;
	case 0:
		err_set(err, ERR_UNAVAILABLE, "libnvme: %s", nvme_errno_to_string(nvme_errno));
		break;
	default:
		err_set(err, ERR_UNAVAILABLE, "%s", strerrordesc_np(sys_errno) ?: "unknown error");
	}
	err->sys = sys_errno;
	return -1;
}

/* Returns 0 or libnvme's errno. */
static int add_controller(nvme_root_t root, const struct host_identity *identity, const char *nqn,
			  const struct portal *portal, const struct host_connect_options *options)
{
	struct nvme_fabrics_config config;
	nvme_host_t host = nvme_lookup_host(root, identity->nqn, identity->id.text);
	nvme_ctrl_t controller;
	char trsvcid[8];
	int failed;

	snprintf(trsvcid, sizeof(trsvcid), "%u", portal->port);
	controller = nvme_create_ctrl(root, nqn, "tcp", portal->addr, NULL, NULL, trsvcid);
	if (!host || !controller)
		return errno ?: EINVAL;
	if (options->keys.host[0])
		nvme_host_set_dhchap_key(host, options->keys.host);
	if (options->keys.ctrl[0])
		nvme_ctrl_set_dhchap_key(controller, options->keys.ctrl);
	nvmf_default_config(&config);
	config.nr_io_queues = options->nr_io_queues;
	config.queue_size = options->queue_size;
	config.ctrl_loss_tmo = options->ctrl_loss_tmo_s;
	config.reconnect_delay = options->reconnect_delay_s;
	config.fast_io_fail_tmo = options->fast_io_fail_tmo_s;
	config.keep_alive_tmo = options->keep_alive_tmo_s;
	errno = 0;
	if (nvmf_add_ctrl(host, controller, &config) == 0)
		return 0; /* it belongs to the tree now */
	failed = errno ?: EIO;
	nvme_free_ctrl(controller);
	return failed;
}

static int connect_logged(const struct host_identity *identity, const char *nqn,
			  const struct portal *portal, const struct host_connect_options *options,
			  struct err *err)
{
	cleanup_free char *log = NULL;
	int failed = ENOMEM;
	size_t size;
	FILE *stream = open_memstream(&log, &size);
	nvme_root_t root = stream ? nvme_create_root(stream, LOG_INFO) : NULL;

	if (root) {
		failed = add_controller(root, identity, nqn, portal, options);
		nvme_free_tree(root);
	}
	if (stream)
		fclose(stream);
	return failed ? fail(identity, options->keys.host[0], failed, log ?: "", err) : 0;
}

int host_fabrics_connect(const struct host_identity *identity, const char *nqn,
			 const struct portal *portal, const struct host_connect_options *options,
			 struct deadline deadline, struct err *err)
{
	static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
	struct timespec until = deadline_timespec(deadline);
	sigset_t all, before;
	int rc;

	/* Its module may not be loaded yet: nobody else has to have asked whether the kernel is
	 * fit. */
	if (access(FABRICS, F_OK) < 0 && host_fabrics_check(err) < 0)
		return -1;
	if (pthread_mutex_clocklock(&turn, CLOCK_MONOTONIC, &until) != 0)
		return err_set(err, ERR_UNAVAILABLE,
			       "other connects were in progress until the deadline");
	/* A signal would make the kernel break the connect off with EINTR. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = connect_logged(identity, nqn, portal, options, err);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_mutex_unlock(&turn);
	return rc;
}
