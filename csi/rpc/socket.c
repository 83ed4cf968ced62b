/* SPDX-License-Identifier: Apache-2.0 */
/* The socket file: temporary name, rename into place, removal only of what is ours. */
#include "csi/rpc/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nvme/base/log.h"

struct rpc_socket {
	char path[RPC_SOCKET_PATH_MAX + 1];
	char temporary[RPC_SOCKET_PATH_MAX + RPC_SOCKET_EXTRA_LEN + 1];
	int directory;
	bool published;
	dev_t dev;
	ino_t ino;
};

static int open_directory(const char *path, struct err *err)
{
	cleanup_free char *copy = xstrdup(path);
	char *slash = strrchr(copy, '/');
	int fd;

	slash[slash == copy] = '\0';
	fd = open(copy, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "directory %s of the socket %s", copy, path);
	return fd;
}

/* Refuses to replace anything but a socket. */
static int check_path(const char *path, struct err *err)
{
	struct stat st;

	if (lstat(path, &st) < 0) {
		if (errno == ENOENT)
			return 0;
		return err_sys(err, errno, "look at %s", path);
	}
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "%s exists and is not a socket: not replaced", path);
	return 0;
}

static void log_predecessor(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(address.sun_path, path);
	if (fd < 0)
		return;
	/* A full backlog (EAGAIN) has a listener behind it too. */
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 || errno == EAGAIN)
		log_warning("taking the socket over from a server that is still running",
			    KV("path", path));
	else if (errno == ECONNREFUSED)
		log_info("replacing a stale socket", KV("path", path));
}

int rpc_socket_new(const char *path, struct rpc_socket **ret, struct err *err)
{
	const char *name = strrchr(path, '/') + 1;
	struct rpc_socket *s;
	unsigned int number = 0;
	int directory = open_directory(path, err);

	if (directory < 0)
		return -1;
	if (check_path(path, err) < 0) {
		close(directory);
		return -1;
	}
	log_predecessor(path);
	/* Not the process id: two containers that share the directory may have the same. */
	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		number = (unsigned int)getpid();
	s = xcalloc(1, sizeof(*s));
	s->directory = directory;
	strcpy(s->path, path);
	/* Who watches for sockets, as the kubelet does, passes over names that begin with a dot. */
	snprintf(s->temporary, sizeof(s->temporary), "%.*s.%s.%05x", (int)(name - path), path, name,
		 number & 0xfffff);
	*ret = s;
	return 0;
}

const char *rpc_socket_temporary(const struct rpc_socket *s)
{
	return s->temporary;
}

/* Called with the directory locked. */
static int publish_locked(struct rpc_socket *s, struct err *err)
{
	struct stat st;

	if (check_path(s->path, err) < 0)
		return -1;
	if (lstat(s->temporary, &st) < 0)
		return err_sys(err, errno, "look at %s", s->temporary);
	if (rename(s->temporary, s->path) < 0)
		return err_sys(err, errno, "rename %s to %s", s->temporary, s->path);
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	s->published = true;
	return 0;
}

int rpc_socket_publish(struct rpc_socket *s, struct err *err)
{
	int rc;

	if (flock(s->directory, LOCK_EX) < 0)
		return err_sys(err, errno, "lock the directory of %s", s->path);
	rc = publish_locked(s, err);
	flock(s->directory, LOCK_UN);
	return rc;
}

void rpc_socket_free(struct rpc_socket *s)
{
	struct stat st;

	/* Under the lock, so that no successor gets between the look and the removal. */
	if (s->published && flock(s->directory, LOCK_EX) == 0 && lstat(s->path, &st) == 0 &&
	    st.st_dev == s->dev && st.st_ino == s->ino)
		unlink(s->path);
	if (!s->published)
		unlink(s->temporary);
	close(s->directory);
	free(s);
}
