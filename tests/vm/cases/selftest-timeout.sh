#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Must fail: takes longer than it may.
# timeout: 2
sleep 100
