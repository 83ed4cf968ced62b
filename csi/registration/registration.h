/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registration with the kubelet of this node, which node-driver-registrar does otherwise. The
 * kubelet watches its plugins_registry for sockets, passing over names that begin with a dot: one
 * that comes is a plugin to be registered, one that goes is one that has left
 * (pkg/kubelet/pluginmanager/pluginwatcher). The contract is csi/proto/registration.proto.
 */
#ifndef CSI_REGISTRATION_REGISTRATION_H
#define CSI_REGISTRATION_REGISTRATION_H

#include "csi/rpc/service.h"

/* Borrowed strings. Must outlive the server. */
struct registration {
	const char *driver_name;
	const char *socket_path; /* of the Node service, as the kubelet sees it */
	/*
	 * The kubelet has turned us down. It does not try the same socket again, so only a new
	 * start helps. On a worker thread of the server.
	 */
	void (*rejected)(const char *why);
};

/*
 * Where to serve it, for the kubelet that has this directory, seen at the same path as by the
 * kubelet: "unix://<kubelet_dir>/plugins_registry/<driver_name>-reg.sock", owned. Sets socket_path
 * of registration from endpoint, "unix:///PATH", borrowed. ERR_INVALID_ARGUMENT: the endpoint is
 * not in that directory, so that the kubelet would not find it, or the directory is not absolute.
 */
int registration_place(struct registration *registration, const char *kubelet_dir,
		       const char *endpoint, char **ret, struct err *err);

struct rpc_service registration_service(struct registration *registration);

#endif
