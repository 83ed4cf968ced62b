/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of devices, and a table of what is known of them. */
#include "nvme/host/nodes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Several times the connections of a full node; a newer node takes the place of an older one. */
#define KNOWN 4096

static struct {
	pthread_mutex_t lock;
	struct {
		uint64_t number;
		uint32_t what;
	} slots[KNOWN];
} known = { .lock = PTHREAD_MUTEX_INITIALIZER };

static bool is_sysfs(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == SYSFS_MAGIC;
}

static void collect(DIR *dir, bool numbered, struct host_nodes *nodes)
{
	size_t room = 0;
	struct dirent *entry;

	while ((entry = readdir(dir))) {
		struct host_node_entry *node;

		if (entry->d_name[0] == '.' || strlen(entry->d_name) >= HOST_NODE_NAME_SIZE)
			continue;
		if (nodes->count == room) {
			room = room ? 2 * room : 16;
			nodes->list = xrealloc(nodes->list, room, sizeof(*nodes->list));
		}
		node = &nodes->list[nodes->count++];
		strcpy(node->name, entry->d_name);
		node->number = numbered ? entry->d_ino : 0;
	}
}

static int compare(const void *a, const void *b)
{
	const struct host_node_entry *left = a, *right = b;

	return strcmp(left->name, right->name);
}

int host_nodes_list(const struct root *sysfs, const char *path, struct host_nodes *ret,
		    struct err *err)
{
	int fd = openat(sysfs->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct host_nodes nodes = { 0 };
	DIR *dir;

	if (fd < 0 && errno != ENOENT)
		return err_sys(err, errno, "list %s/%s", sysfs->path, path);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (dir) {
		collect(dir, is_sysfs(fd), &nodes);
		closedir(dir);
	} else if (fd >= 0) {
		err_sys(err, errno, "list %s/%s", sysfs->path, path);
		close(fd);
		return -1;
	}
	if (nodes.count)
		qsort(nodes.list, nodes.count, sizeof(*nodes.list), compare);
	*ret = nodes;
	return 0;
}

void host_nodes_fini(struct host_nodes *nodes)
{
	free(nodes->list);
	*nodes = (struct host_nodes) { 0 };
}

bool host_node_recall(const struct host_node_entry *node, uint32_t *ret)
{
	size_t slot = node->number % KNOWN;
	bool found;

	pthread_mutex_lock(&known.lock);
	found = node->number && known.slots[slot].number == node->number;
	if (found)
		*ret = known.slots[slot].what;
	pthread_mutex_unlock(&known.lock);
	return found;
}

void host_node_know(const struct host_node_entry *node, uint32_t what)
{
	size_t slot = node->number % KNOWN;

	if (!node->number)
		return;
	pthread_mutex_lock(&known.lock);
	known.slots[slot].number = node->number;
	known.slots[slot].what = what;
	pthread_mutex_unlock(&known.lock);
}
