/* SPDX-License-Identifier: Apache-2.0 */
/* Device-mapper devices. */
#include "nvme/target/dm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "nvme/base/cleanup.h"
#include "nvme/base/strb.h"
#include "nvme/target/devnode.h"

#define NAME_PREFIX "nvmeot-"
#define NAME_SIZE (sizeof(NAME_PREFIX) + UUID_TEXT_SIZE)
#define CONTROL_MINOR 236 /* Documentation/admin-guide/devices.txt: "mapper/control" */
#define LIST_SIZE 65536U
#define CLASS_PATH "/sys/class/misc/device-mapper"

/* libdevmapper.h's DM_UDEV_DISABLE_{DM,SUBSYSTEM,DISK,OTHER}_RULES_FLAG, where the kernel hands
 * them on to udev: in the upper half of the event number. */
#define UDEV_HANDS_OFF (0x000fU << 16)

struct request {
	struct dm_ioctl head;
	char payload[1024];
};

static void device_name(const struct uuid *uuid, char out[NAME_SIZE])
{
	snprintf(out, NAME_SIZE, NAME_PREFIX "%s", uuid->text);
}

void dm_path(const struct uuid *uuid, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "/dev/mapper/" NAME_PREFIX "%s", uuid->text);
}

static int control_open(int *ret, struct err *err)
{
	if (mkdir("/dev/mapper", 0755) < 0 && errno != EEXIST)
		return err_sys(err, errno, "create /dev/mapper");
	return devnode_control("mapper/control", CONTROL_MINOR, "device-mapper (dm_mod)", ret, err);
}

static int call_sized(int dm, unsigned long command, const char *name, struct request *request,
		      uint32_t size)
{
	struct dm_ioctl *head = &request->head;

	memcpy(head->version, (uint32_t[]) { 4, 0, 0 }, sizeof(head->version));
	head->data_size = size;
	head->data_start = offsetof(struct request, payload);
	snprintf(head->name, sizeof(head->name), "%s", name);
	return ioctl(dm, command, request);
}

static int call(int dm, unsigned long command, const char *name, struct request *request)
{
	return call_sized(dm, command, name, request, sizeof(*request));
}

static int failed(const char *name, const char *verb, struct err *err)
{
	if (errno == EBUSY)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "device /dev/mapper/%s is in use: cannot %s it", name, verb);
	return err_sys(err, errno, "%s device /dev/mapper/%s", verb, name);
}

static int device_remove(int dm, const char *name, struct err *err)
{
	struct request request = { .head.event_nr = UDEV_HANDS_OFF };

	if (call(dm, DM_DEV_REMOVE, name, &request) < 0 && errno != ENXIO)
		return failed(name, "remove", err);
	return 0;
}

static int device_create(int dm, const char *name, struct err *err)
{
	struct request request = { 0 };

	snprintf(request.head.uuid, sizeof(request.head.uuid), "%s", name);
	if (call(dm, DM_DEV_CREATE, name, &request) < 0)
		return failed(name, "create", err);
	return 0;
}

/* Gives it its table and lets it run with it; a running one is paused for the change. */
static int device_start(int dm, const char *name, dev_t below, uint64_t sectors, dev_t *ret,
			struct err *err)
{
	struct request load = { .head.target_count = 1 };
	struct request resume = { .head.event_nr = UDEV_HANDS_OFF };
	struct dm_target_spec *spec = (struct dm_target_spec *)load.payload;

	*spec = (struct dm_target_spec) { .length = sectors, .target_type = "linear" };
	spec->next = sizeof(load.payload);
	snprintf(load.payload + sizeof(*spec), sizeof(load.payload) - sizeof(*spec), "%u:%u 0",
		 major(below), minor(below));
	if (call(dm, DM_TABLE_LOAD, name, &load) < 0)
		return failed(name, "load a table into", err);
	if (call(dm, DM_DEV_SUSPEND, name, &resume) < 0)
		return failed(name, "start", err);
	*ret = (dev_t)resume.head.dev;
	return 0;
}

struct look {
	dev_t number;
	dev_t below;
	uint64_t sectors;
};

/* 0: not there, not running, or not of our making. */
static int device_look(int dm, const char *name, struct look *ret, struct err *err)
{
	struct request request = { .head.flags = DM_STATUS_TABLE_FLAG };
	struct dm_target_spec *spec = (struct dm_target_spec *)request.payload;
	unsigned major, minor;

	if (call(dm, DM_TABLE_STATUS, name, &request) < 0)
		return errno == ENXIO ? 0 : failed(name, "look at", err);
	if (!(request.head.flags & DM_ACTIVE_PRESENT_FLAG) ||
	    request.head.flags & (DM_SUSPEND_FLAG | DM_BUFFER_FULL_FLAG) ||
	    request.head.target_count != 1 || strcmp(spec->target_type, "linear") != 0 ||
	    sscanf(request.payload + sizeof(*spec), "%u:%u", &major, &minor) != 2)
		return 0;
	*ret = (struct look) {
		.number = (dev_t)request.head.dev,
		.below = makedev(major, minor),
		.sectors = spec->length,
	};
	return 1;
}

static int device_make(int dm, const char *name, dev_t below, uint64_t sectors, dev_t *ret,
		       struct err *err)
{
	struct err ignored;

	if (device_remove(dm, name, err) < 0 || device_create(dm, name, err) < 0)
		return -1;
	if (device_start(dm, name, below, sectors, ret, err) == 0)
		return 0;
	device_remove(dm, name, &ignored);
	return -1;
}

int dm_ensure(const struct uuid *uuid, dev_t below, uint64_t sectors, struct err *err)
{
	char name[NAME_SIZE], node[NAME_SIZE + sizeof("mapper/")];
	struct look look = { 0 };
	cleanup_close int dm = -1;
	int r;

	device_name(uuid, name);
	snprintf(node, sizeof(node), "mapper/%s", name);
	if (control_open(&dm, err) < 0)
		return -1;
	r = device_look(dm, name, &look, err);
	if (r < 0)
		return -1;
	if (r == 0 || look.below != below)
		r = device_make(dm, name, below, sectors, &look.number, err);
	else if (look.sectors < sectors)
		r = device_start(dm, name, below, sectors, &look.number, err);
	return r < 0 ? -1 : devnode_ensure(node, S_IFBLK, look.number, err);
}

int dm_look(const struct uuid *uuid, dev_t *ret_below, uint64_t *ret_sectors, struct err *err)
{
	cleanup_close int dm = -1;
	char name[NAME_SIZE];
	struct look look;
	int r;

	device_name(uuid, name);
	if (control_open(&dm, err) < 0)
		return -1;
	r = device_look(dm, name, &look, err);
	if (r > 0) {
		*ret_below = look.below;
		*ret_sectors = look.sectors;
	}
	return r;
}

int dm_remove(const struct uuid *uuid, struct err *err)
{
	cleanup_close int dm = -1;
	char name[NAME_SIZE], node[NAME_SIZE + sizeof("mapper/")];

	/* Without the driver there is no device, and looking for one must not load it. */
	if (access(CLASS_PATH, F_OK) < 0)
		return 0;
	device_name(uuid, name);
	snprintf(node, sizeof(node), "mapper/%s", name);
	if (control_open(&dm, err) < 0)
		/* Who may not open it has not made a device either. */
		return err->sys == EACCES || err->sys == EPERM ? 0 : -1;
	if (device_remove(dm, name, err) < 0)
		return -1;
	return devnode_remove(node, err);
}

/* The line of its one target, of what it is or of what it was made with. */
static int target_line(const char *name, uint32_t flags, char out[DM_STATUS_SIZE], struct err *err)
{
	struct request request = { .head.flags = flags };
	struct dm_target_spec *spec = (struct dm_target_spec *)request.payload;
	const char *line = request.payload + sizeof(*spec);
	cleanup_close int dm = -1;
	struct strb strb;

	if (control_open(&dm, err) < 0)
		return -1;
	if (call(dm, DM_TABLE_STATUS, name, &request) < 0)
		return errno == ENXIO ? 0 : failed(name, "look at", err);
	if (request.head.target_count != 1 || request.head.flags & DM_BUFFER_FULL_FLAG)
		return err_set(err, ERR_INTERNAL, "device /dev/mapper/%s has no plain status",
			       name);
	strb = strb_over(out, DM_STATUS_SIZE);
	strb_addn(&strb, line, strnlen(line, sizeof(request.payload) - sizeof(*spec)));
	return 1;
}

int dm_status(const char *name, char out[DM_STATUS_SIZE], struct err *err)
{
	return target_line(name, 0, out, err);
}

int dm_table(const char *name, char out[DM_STATUS_SIZE], struct err *err)
{
	return target_line(name, DM_STATUS_TABLE_FLAG, out, err);
}

int dm_message(const char *name, const char *text, struct err *err)
{
	struct request request = { 0 };
	struct dm_target_msg *message = (struct dm_target_msg *)request.payload;
	cleanup_close int dm = -1;

	if (control_open(&dm, err) < 0)
		return -1;
	snprintf(message->message, sizeof(request.payload) - sizeof(*message), "%s", text);
	if (call(dm, DM_TARGET_MSG, name, &request) < 0)
		return err_sys(err, errno, "send \"%s\" to device /dev/mapper/%s", text, name);
	return 0;
}

int dm_number(const char *name, dev_t *ret, struct err *err)
{
	struct request request = { 0 };
	cleanup_close int dm = -1;

	if (control_open(&dm, err) < 0)
		return -1;
	if (call(dm, DM_DEV_STATUS, name, &request) < 0)
		return errno == ENXIO ? 0 : failed(name, "look at", err);
	if (!(request.head.flags & DM_ACTIVE_PRESENT_FLAG))
		return 0;
	*ret = (dev_t)request.head.dev;
	return 1;
}

/* --- all of them ------------------------------------------------------------------------------ */

/* *ret is owned. */
static int list_all(int dm, struct request **ret, struct err *err)
{
	for (uint32_t size = LIST_SIZE;; size *= 2) {
		cleanup_free struct request *request = xcalloc(1, size);

		if (call_sized(dm, DM_LIST_DEVICES, "", request, size) < 0)
			return err_sys(err, errno, "list the devices of device-mapper");
		if (request->head.flags & DM_BUFFER_FULL_FLAG)
			continue;
		*ret = steal_ptr(&request);
		return 0;
	}
}

static int device_is_suspended(int dm, const char *name, bool *ret, struct err *err)
{
	struct request request = { 0 };

	if (call(dm, DM_DEV_STATUS, name, &request) < 0 && errno != ENXIO)
		return failed(name, "look at", err);
	*ret = request.head.flags & DM_SUSPEND_FLAG;
	return 0;
}

/* The first of an empty list has no number. */
static const struct dm_name_list *first_entry(const struct request *all)
{
	const struct dm_name_list *entry = (const struct dm_name_list *)all->payload;

	return entry->dev ? entry : NULL;
}

static const struct dm_name_list *next_entry(const struct dm_name_list *entry)
{
	if (!entry->next)
		return NULL;
	return (const struct dm_name_list *)((const char *)entry + entry->next);
}

int dm_list_suspended(const char *prefix, struct root_names *ret, struct err *err)
{
	cleanup_root_names struct root_names names = { 0 };
	cleanup_free struct request *all = NULL;
	cleanup_close int dm = -1;

	if (control_open(&dm, err) < 0 || list_all(dm, &all, err) < 0)
		return -1;
	for (const struct dm_name_list *e = first_entry(all); e; e = next_entry(e)) {
		bool suspended = false;

		if (strncmp(e->name, prefix, strlen(prefix)) != 0)
			continue;
		if (device_is_suspended(dm, e->name, &suspended, err) < 0)
			return -1;
		if (suspended)
			root_names_add(&names, e->name);
	}
	*ret = names;
	names = (struct root_names) { 0 };
	return 0;
}
