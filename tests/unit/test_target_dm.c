/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked of device-mapper about devices of others, and told them, by a made-up driver:
 * numbers, lines, messages, and which are suspended among many. The device of a volume is in
 * test_target_view.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nvme/target/devnode.h"
#include "nvme/target/dm.h"

#define COUNT 3000

/* Devices "vg-0" to "vg-COUNT-1", every thousandth of them suspended, and one of another group. */
static struct {
	unsigned count;
	bool no_table;
	int fails; /* with this errno */
	unsigned long command;
	char said[256]; /* the last message to a device */
} kernel;

int devnode_control(const char *name, unsigned minor, const char *what, int *ret, struct err *err)
{
	(void)name, (void)minor, (void)what, (void)err;
	*ret = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return 0;
}

int devnode_ensure(const char *name, mode_t type, dev_t number, struct err *err)
{
	(void)name, (void)type, (void)number, (void)err;
	return 0;
}

int devnode_remove(const char *name, struct err *err)
{
	(void)name, (void)err;
	return 0;
}

int mkdir(const char *path, mode_t mode)
{
	(void)path, (void)mode;
	return 0;
}

static int list(struct dm_ioctl *head)
{
	char *at = (char *)head + head->data_start, *end = (char *)head + head->data_size;
	struct dm_name_list *entry = NULL;

	for (unsigned i = 0; i < kernel.count; i++) {
		char name[DM_NAME_SIZE];
		size_t size;

		snprintf(name, sizeof(name), i ? "vg-%u" : "other-%u", i);
		size = (offsetof(struct dm_name_list, name) + strlen(name) + 1 + 7) & ~7UL;
		if (at + size > end) {
			head->flags |= DM_BUFFER_FULL_FLAG;
			return 0;
		}
		if (entry)
			entry->next = (uint32_t)(at - (char *)entry);
		entry = (struct dm_name_list *)at;
		*entry = (struct dm_name_list) { .dev = 64512 + i };
		strcpy(entry->name, name);
		at += size;
	}
	return 0;
}

/* A line for whoever asks for one, of what the device is or was made with. */
static int line(struct dm_ioctl *head)
{
	struct dm_target_spec *spec = (void *)((char *)head + head->data_start);

	head->target_count = 1;
	strcpy((char *)(spec + 1), head->flags & DM_STATUS_TABLE_FLAG ? "254:2 7" : "64 127");
	return 0;
}

static int message(struct dm_ioctl *head)
{
	struct dm_target_msg *sent = (void *)((char *)head + head->data_start);

	assert_int_equal(sent->sector, 0);
	snprintf(kernel.said, sizeof(kernel.said), "%s: %s", head->name, sent->message);
	return 0;
}

static int status(struct dm_ioctl *head)
{
	unsigned number = 0;

	errno = ENXIO;
	if (sscanf(head->name, "vg-%u", &number) != 1 || number >= kernel.count)
		return -1;
	head->dev = 64512 + number;
	head->flags |= (kernel.no_table ? 0 : DM_ACTIVE_PRESENT_FLAG) |
		       (number % 1000 == 999 ? DM_SUSPEND_FLAG : 0);
	return 0;
}

int ioctl(int fd, unsigned long command, ...)
{
	struct dm_ioctl *head;
	va_list args;

	(void)fd;
	va_start(args, command);
	head = va_arg(args, struct dm_ioctl *);
	va_end(args);
	errno = kernel.fails;
	if (kernel.fails && kernel.command == command)
		return -1;
	switch (command) {
	case DM_LIST_DEVICES:
		return list(head);
	case DM_TARGET_MSG:
		return message(head);
	case DM_TABLE_STATUS:
		return status(head) < 0 ? -1 : line(head);
	default:
		return status(head);
	}
}

static int setup(void **state)
{
	(void)state;
	memset(&kernel, 0, sizeof(kernel));
	kernel.count = COUNT;
	return 0;
}

static void test_number(void **state)
{
	dev_t number = 1;
	struct err err;

	(void)state;
	assert_int_equal(dm_number("vg-5", &number, &err), 1);
	assert_int_equal(number, 64512 + 5);
	number = 1;
	assert_int_equal(dm_number("vg-99999", &number, &err), 0);
	/* lvm2 makes it first, and gives it its table then. */
	kernel.no_table = true;
	assert_int_equal(dm_number("vg-5", &number, &err), 0);
	kernel.fails = EPERM;
	kernel.command = DM_DEV_STATUS;
	assert_int_equal(dm_number("vg-5", &number, &err), -1);
	assert_int_equal(err.sys, EPERM);
	assert_int_equal(number, 1);
}

static void test_lines(void **state)
{
	char text[DM_STATUS_SIZE] = "";
	struct err err;

	(void)state;
	assert_int_equal(dm_status("vg-5", text, &err), 1);
	assert_string_equal(text, "64 127");
	assert_int_equal(dm_table("vg-5", text, &err), 1);
	assert_string_equal(text, "254:2 7");
	assert_int_equal(dm_table("vg-99999", text, &err), 0);
}

static void test_message(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(dm_message("vg-5", "reserve_metadata_snap", &err), 0);
	assert_string_equal(kernel.said, "vg-5: reserve_metadata_snap");
	kernel.fails = EBUSY;
	kernel.command = DM_TARGET_MSG;
	assert_int_equal(dm_message("vg-5", "reserve_metadata_snap", &err), -1);
	assert_int_equal(err.sys, EBUSY);
	assert_non_null(strstr(err.msg, "send \"reserve_metadata_snap\" to device "
					"/dev/mapper/vg-5: Device or resource busy"));
}

static void test_list_suspended(void **state)
{
	cleanup_root_names struct root_names names = { 0 }, none = { 0 };
	struct err err;

	(void)state;
	assert_int_equal(dm_list_suspended("vg-", &names, &err), 0);
	assert_int_equal(names.count, 3);
	assert_string_equal(names.names[0], "vg-999");
	assert_string_equal(names.names[2], "vg-2999");
	assert_int_equal(dm_list_suspended("other-", &none, &err), 0);
	kernel.count = 0;
	assert_int_equal(dm_list_suspended("vg-", &none, &err), 0);
	assert_int_equal(none.count, 0);
}

static void test_list_failures(void **state)
{
	static const unsigned long commands[] = { DM_LIST_DEVICES, DM_DEV_STATUS };
	cleanup_root_names struct root_names names = { 0 };
	struct err err;

	(void)state;
	kernel.fails = EPERM;
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		kernel.command = commands[i];
		assert_int_equal(dm_list_suspended("vg-", &names, &err), -1);
		assert_int_equal(err.sys, EPERM);
	}
	/* One that goes in this moment is not suspended. */
	kernel.fails = ENXIO;
	assert_int_equal(dm_list_suspended("vg-", &names, &err), 0);
	assert_int_equal(names.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_number, setup),
		cmocka_unit_test_setup(test_lines, setup),
		cmocka_unit_test_setup(test_message, setup),
		cmocka_unit_test_setup(test_list_suspended, setup),
		cmocka_unit_test_setup(test_list_failures, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
