/* SPDX-License-Identifier: Apache-2.0 */
/* What is refused before anything is grown. Growing itself is in tests/vm/programs/volume_fs.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "csi/volume/grow.h"

static void expect_refused(const char *fs, const char *path, const char *device, const char *word)
{
	uint64_t bytes = 7;
	struct err err = ERR_INIT;

	assert_int_equal(grow_mounted(fs_find(fs), path, device, &bytes, &err), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	if (!strstr(err.msg, word))
		fail_msg("'%s' is missing in '%s'", word, err.msg);
	assert_int_equal(bytes, 7);
}

static void test_refused(void **state)
{
	(void)state;
	expect_refused("ext4", "/", "/no/such/device", "/no/such/device");
	expect_refused("xfs", "/", "/dev/null", "/dev/null is not a block device");
	expect_refused("btrfs", "/", "/", "/ is not a block device");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_refused) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
