/* SPDX-License-Identifier: Apache-2.0 */
/* DH-HMAC-CHAP keys that protect nothing: of each length, with their CRC-32. */
#ifndef TESTS_UNIT_DHCHAP_KEYS_H
#define TESTS_UNIT_DHCHAP_KEYS_H

/* clang-format off */
#define KEY_32_DATA \
	"9oLVCw4h2sttbxDrjtulSeAZGZ4Pr7E7nAexxhx+YKfSzfEQ"
#define KEY_32_DAMAGED \
	"9oLVCB4h2sttbxDrjtulSeAZGZ4Pr7E7nAexxhx+YKfSzfEQ"
#define KEY_OTHER_32_DATA \
	"6H9DRAcEKftK+XnT4fXexPTeERvRW507oGhXZEr/kIkIj/Vw"
#define KEY_48_DATA \
	"4Rux8XCcP75dnt1fSu4IZiD5DlgGj7YDUMfC4n/GbrKJPjReNyM87dRJbRUW" \
	"uVH/vojuXQ=="
#define KEY_64_DATA \
	"BqpUlG/4+G5xWR6GjhsgqsLOXocmaiGFu3IxZOasW0N/1pHXIXKNcACsYcsr" \
	"k2x9neBBxpuYQCT47ATxrFUhtN6LrdE="

#define KEY_32 "DHHC-1:01:" KEY_32_DATA ":"
#define KEY_OTHER_32 "DHHC-1:01:" KEY_OTHER_32_DATA ":"
#define KEY_48 "DHHC-1:02:" KEY_48_DATA ":"
#define KEY_64 "DHHC-1:03:" KEY_64_DATA ":"
#define KEY_32_00 "DHHC-1:00:" KEY_32_DATA ":"
#define KEY_48_00 "DHHC-1:00:" KEY_48_DATA ":"
#define KEY_64_00 "DHHC-1:00:" KEY_64_DATA ":"
/* clang-format on */

#endif
