#!/usr/bin/env bash
# nvidia-ml-py 13.615.71 beside NVIDIA's own nvml.h (nvidia-nvml-dev 13.5.37): the flag for memory
# that cannot be repaired is lost between the two.
# Guess: the structure is a version and the flag, as in nearly every versioned call of NVML and in
# the Python binding (13.590.48, 13.595.45 and 13.610.43 have the same).
# Seen: the header's nvmlUnrepairableMemoryStatus_v1_t is the flag alone, 4 bytes to the binding's 8.
# A library that keeps to the header writes the flag where the binding has its version, and
# nvmlDeviceGetUnrepairableMemoryFlag_v1() then gives 0, "no such memory", for a GPU that has some.
# What a real driver writes was not seen here: there is no GPU.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/python -m pip install --quiet nvidia-ml-py==13.615.71 nvidia-nvml-dev==13.5.37
header=$(dirname "$(find venv -name nvml.h -print -quit)")

cat >library.c <<'C'
#include <nvml.h>
nvmlReturn_t nvmlInitWithFlags(unsigned int flags) { return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetUnrepairableMemoryFlag_v1(
    nvmlDevice_t device, nvmlUnrepairableMemoryStatus_v1_t *status) {
    status->bUnrepairableMemory = 1;
    return NVML_SUCCESS;
}
unsigned int size(void) { return sizeof(nvmlUnrepairableMemoryStatus_v1_t); }
C
gcc -w -shared -fPIC -I "$header" -o libnvidia-ml.so.1 library.c

found=$(LD_LIBRARY_PATH=$folder venv/bin/python -c '
import ctypes, pynvml
pynvml.nvmlInit()
theirs = ctypes.CDLL("libnvidia-ml.so.1").size()
ours = ctypes.sizeof(pynvml.c_nvmlUnrepairableMemory_v1_t)
told = pynvml.nvmlDeviceGetUnrepairableMemoryFlag_v1(ctypes.c_void_p(1))
print(f"bytes by the header {theirs}, by the binding {ours}; the library said 1, the binding {told}")
')
echo "$found"
[ "$found" = "bytes by the header 4, by the binding 8; the library said 1, the binding 0" ]
