/* A double of the few calls of libcuda.so.1 that tell which device an ordinal is. NVIDIA's
 * cuda.h is not among the packages the tests need, so these prototypes are written from the
 * CUDA driver API's reference and the compiler does not hold them against the original.
 */
#include "scenario.h"

typedef struct {
    char bytes[16];
} CUuuid;

int cuInit(unsigned int flags);
int cuDeviceGetCount(int *count);
int cuDeviceGet(int *device, int ordinal);
int cuDeviceGetUuid_v2(CUuuid *uuid, int device);
int cuDeviceGetPCIBusId(char *out, int length, int device);
int cuGetErrorName(int code, const char **name);

static const char *said(int device, const char *name)
{
    char key[64];
    snprintf(key, sizeof key, "cuda.%d.%s", device, name);
    const char *text = text_of(key);
    return text ? text : "!801";
}

int cuInit(unsigned int flags)
{
    (void)flags;
    load_scenario();
    const char *code = text_of("cuda.init"), *hang = text_of("cuda.hang_s");
    if (hang) {
        struct timespec left = {atoi(hang), 0};
        nanosleep(&left, NULL);
    }
    return code && is_error(code) ? atoi(code + 1) : 0;
}

int cuDeviceGetCount(int *count)
{
    const char *text = text_of("cuda.count");
    *count = text ? atoi(text) : 0;
    return 0;
}

int cuDeviceGet(int *device, int ordinal)
{
    int count;
    cuDeviceGetCount(&count);
    *device = ordinal;
    return ordinal < count ? 0 : 101;
}

static int uuid_of(const char *text, CUuuid *uuid)
{
    int filled = 0;
    unsigned byte;
    if (is_error(text))
        return atoi(text + 1);
    for (text = strchr(text, '-') + 1; *text && filled < 16; text += *text == '-') {
        if (sscanf(text, "%2x", &byte) != 1)
            return 1;
        uuid->bytes[filled++] = (char)byte;
        text += 2;
    }
    return filled == 16 ? 0 : 1;
}

int cuDeviceGetUuid_v2(CUuuid *uuid, int device)
{
    return uuid_of(said(device, "uuid"), uuid);
}

int cuDeviceGetPCIBusId(char *out, int length, int device)
{
    const char *text = said(device, "bus_id");
    if (is_error(text))
        return atoi(text + 1);
    snprintf(out, (size_t)length, "%s", text);
    return 0;
}

int cuGetErrorName(int code, const char **name)
{
    switch (code) {
    case 100: *name = "CUDA_ERROR_NO_DEVICE"; return 0;
    case 101: *name = "CUDA_ERROR_INVALID_DEVICE"; return 0;
    case 801: *name = "CUDA_ERROR_NOT_SUPPORTED"; return 0;
    case 803: *name = "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"; return 0;
    default: return 1;
    }
}
