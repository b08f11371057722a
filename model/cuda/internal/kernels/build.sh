#!/bin/sh
# build.sh [out]: compile every .cu of this folder to PTX with clang 19. The
# result is committed; ptx_test.go checks that it is current.
#
# No file of the CUDA toolkit is needed. sm_80 is the oldest device with bf16
# tensor cores, PTX 7.8 the version drivers since CUDA 11.8 take; the driver
# compiles for newer devices when it loads the module. -ffp-contract=off: only
# fmadd() is fused, so that the simulated device gives the same bits.
set -eu
cd "$(dirname "$0")"
out=$(mkdir -p "${1:-ptx}" && cd "${1:-ptx}" && pwd)
clang=${CLANG:-clang++-19}
command -v "$clang" >/dev/null || { echo "build.sh: no $clang; install clang-19 or set \$CLANG" >&2; exit 1; }
for source in *.cu; do
	"$clang" -x cuda --cuda-device-only --cuda-gpu-arch=sm_80 --cuda-feature=+ptx78 \
		-nocudainc -nocudalib -O3 -std=c++17 -ffp-contract=off -Wall -Werror \
		-fno-ident -S "$source" -o "$out/${source%.cu}.ptx"
done
