#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Must fail: ends with status 3.
exit 3
