/* SPDX-License-Identifier: Apache-2.0 */
/* Unpacking: real messages of any size pass, bombs do not, and neither leaks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "csi.pb-c.h"
#include "csi/rpc/unpack.h"
#include "nvme/base/cleanup.h"

#define LIST &csi__v1__list_volumes_response__descriptor

/* Entries of two bytes each, all empty. */
static void test_bomb(void **state)
{
	static const size_t sizes[] = { 20000, 1 << 20, 4 << 20 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		cleanup_free unsigned char *data = xcalloc(1, sizes[i]);
		bool exhausted = false;

		for (size_t k = 0; k < sizes[i]; k += 2)
			data[k] = 0x0a;
		assert_null(rpc_unpack(LIST, data, sizes[i], &exhausted));
		assert_true(exhausted);
	}
}

static void test_not_a_message(void **state)
{
	bool exhausted = true;

	(void)state;
	assert_null(rpc_unpack(LIST, "\x0a\x7f", 2, &exhausted));
	assert_false(exhausted);
}

/* A page of volumes with the shortest of everything that they have. */
static void test_real(void **state)
{
	static const size_t counts[] = { 0, 1, 10, 1000, 10000 };
	Csi__V1__Volume__VolumeContextEntry context = CSI__V1__VOLUME__VOLUME_CONTEXT_ENTRY__INIT;
	Csi__V1__Volume__VolumeContextEntry *contexts[] = { &context, &context, &context };
	Csi__V1__ListVolumesResponse__Entry entry = CSI__V1__LIST_VOLUMES_RESPONSE__ENTRY__INIT;
	Csi__V1__Volume volume = CSI__V1__VOLUME__INIT;

	(void)state;
	context.key = (char *)"queueSize";
	context.value = (char *)"64";
	volume.volume_id = (char *)"t/p/5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a11";
	volume.volume_context = contexts;
	volume.n_volume_context = ARRAY_SIZE(contexts);
	entry.volume = &volume;
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		Csi__V1__ListVolumesResponse list = CSI__V1__LIST_VOLUMES_RESPONSE__INIT;
		cleanup_free Csi__V1__ListVolumesResponse__Entry **entries =
			xcalloc(counts[i], sizeof(*entries));
		cleanup_free uint8_t *data = NULL;
		ProtobufCMessage *message;
		bool exhausted;
		size_t size;

		for (size_t k = 0; k < counts[i]; k++)
			entries[k] = &entry;
		list.entries = entries;
		list.n_entries = counts[i];
		size = protobuf_c_message_get_packed_size(&list.base);
		data = xcalloc(1, size + 1);
		protobuf_c_message_pack(&list.base, data);
		message = rpc_unpack(LIST, data, size, &exhausted);
		assert_non_null(message);
		assert_false(exhausted);
		assert_int_equal(((Csi__V1__ListVolumesResponse *)message)->n_entries, counts[i]);
		protobuf_c_message_free_unpacked(message, NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bomb),
		cmocka_unit_test(test_not_a_message),
		cmocka_unit_test(test_real),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
