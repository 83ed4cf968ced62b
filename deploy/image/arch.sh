# SPDX-License-Identifier: Apache-2.0
#
# . arch.sh ARCH: sets arch, and what goes with it: the Makefile's variant, the folder of libraries,
# the program that strips. amd64 is the machine that builds.
# shellcheck shell=bash disable=SC2034
arch=$1
case $arch in
amd64) variant=gcc triplet=x86_64-linux-gnu strip=strip ;;
arm64) variant=arm64 triplet=aarch64-linux-gnu strip=aarch64-linux-gnu-strip ;;
*)
	echo "deploy/image: no architecture '$arch' (known: amd64, arm64)" >&2
	exit 1
	;;
esac
