/* A double of libnvidia-ml.so.1, compiled against NVIDIA's own header, so that the compiler
 * holds every prototype and structure. What it answers is in scenario.h; what is not in the
 * scenario is NVML_ERROR_NOT_SUPPORTED, and so is every call that is not here (generated).
 *
 * Faults of GPU i: `i.fault.code` after `i.fault.after_s` seconds or `i.fault.after_calls`
 * calls; one call that takes `i.slow.for_s` seconds at `i.slow.at_s`.
 */
#include <nvml.h>

#include "scenario.h"

enum { KEY = 160, MOST_GPUS = 16, MOST_MIG = 8 };

struct nvmlDevice_st {
    char prefix[32];
    int gpu; /* whose faults are its own */
    int mig; /* -1 for a whole GPU */
};

struct nvmlGpmSample_st {
    double at;
};

static struct nvmlDevice_st devices[MOST_GPUS][MOST_MIG + 1];
static int running;

static void pause_for(double length)
{
    struct timespec left = {(time_t)length, (long)((length - (double)(time_t)length) * 1e9)};
    nanosleep(&left, NULL);
}

typedef struct {
    double after_s, after_calls, slow_at_s, slow_for_s;
    nvmlReturn_t code;
    int read, slept;
    unsigned long long calls;
} fault;

static fault faults[MOST_GPUS];

static double setting(int gpu, const char *name, double otherwise)
{
    char key[KEY];
    snprintf(key, sizeof key, "%d.%s", gpu, name);
    const char *text = text_of(key);
    return text ? strtod(text + is_error(text), NULL) : otherwise;
}

static fault *fault_settings(int gpu)
{
    fault *own = &faults[gpu];
    if (own->read)
        return own;
    own->read = 1;
    own->after_s = setting(gpu, "fault.after_s", 1e18);
    own->after_calls = setting(gpu, "fault.after_calls", 1e18);
    own->code = (nvmlReturn_t)setting(gpu, "fault.code", NVML_ERROR_GPU_IS_LOST);
    own->slow_at_s = setting(gpu, "slow.at_s", 1e18);
    own->slow_for_s = setting(gpu, "slow.for_s", 0);
    return own;
}

static nvmlReturn_t fault_of(int gpu)
{
    fault *own = fault_settings(gpu);
    double age = seconds_now() - started;
    if (!own->slept && age >= own->slow_at_s) {
        own->slept = 1;
        pause_for(own->slow_for_s);
    }
    own->calls++;
    int well = age < own->after_s && (double)own->calls <= own->after_calls;
    return well ? NVML_SUCCESS : own->code;
}

/* The scenario's answer to a call, or the reason why there is none. */
static nvmlReturn_t answer(nvmlDevice_t gpu, const char *key, const char **text)
{
    char whole[KEY];
    if (!running)
        return NVML_ERROR_UNINITIALIZED;
    nvmlReturn_t fault = fault_of(gpu->gpu);
    if (fault != NVML_SUCCESS)
        return fault;
    snprintf(whole, sizeof whole, "%s%s", gpu->prefix, key);
    *text = text_of(whole);
    for (char *dot = strrchr(whole, '.'); !*text && dot && dot > whole + strlen(gpu->prefix);
         dot = strrchr(whole, '.')) { /* an error of the whole call */
        *dot = 0;
        const char *above = text_of(whole);
        if (above && is_error(above))
            *text = above;
    }
    if (!*text)
        return NVML_ERROR_NOT_SUPPORTED;
    return is_error(*text) ? (nvmlReturn_t)strtol(*text + 1, NULL, 10) : NVML_SUCCESS;
}

static nvmlReturn_t number(nvmlDevice_t gpu, const char *key, unsigned long long *out)
{
    const char *text;
    nvmlReturn_t code = answer(gpu, key, &text);
    if (code == NVML_SUCCESS)
        *out = number_in(text);
    return code;
}

static nvmlReturn_t words(nvmlDevice_t gpu, const char *key, char *out, unsigned int length)
{
    const char *text;
    nvmlReturn_t code = answer(gpu, key, &text);
    if (code == NVML_SUCCESS && strlen(text) >= length)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    if (code == NVML_SUCCESS)
        strcpy(out, text);
    return code;
}

static nvmlReturn_t known(const char *key, const char **text)
{
    if (!running)
        return NVML_ERROR_UNINITIALIZED;
    *text = text_of(key);
    if (!*text)
        return NVML_ERROR_NOT_SUPPORTED;
    return is_error(*text) ? (nvmlReturn_t)strtol(*text + 1, NULL, 10) : NVML_SUCCESS;
}

/* A part of an answer that is optional once the call itself succeeds. */
static unsigned long long part(nvmlDevice_t gpu, const char *call, const char *name)
{
    char key[KEY];
    snprintf(key, sizeof key, "%s%s.%s", gpu->prefix, call, name);
    const char *text = text_of(key);
    return text && !is_error(text) ? number_in(text) : 0;
}

#define BY1(key, call, a) snprintf(key, sizeof key, "%s.%u", call, (unsigned)(a))
#define BY2(key, call, a, b) snprintf(key, sizeof key, "%s.%u.%u", call, (unsigned)(a), (unsigned)(b))

/* ---- the library ------------------------------------------------------------------- */

nvmlReturn_t DECLDIR nvmlInitWithFlags(unsigned int flags)
{
    (void)flags;
    load_scenario();
    const char *code = text_of("init"), *hang = text_of("hang_s");
    if (hang)
        pause_for(strtod(hang, NULL));
    if (text_of("abort"))
        abort();
    if (code && is_error(code))
        return (nvmlReturn_t)strtol(code + 1, NULL, 10);
    running++;
    return NVML_SUCCESS;
}

nvmlReturn_t DECLDIR nvmlInit_v2(void)
{
    return nvmlInitWithFlags(0);
}

nvmlReturn_t DECLDIR nvmlShutdown(void)
{
    if (!running)
        return NVML_ERROR_UNINITIALIZED;
    running--;
    return NVML_SUCCESS;
}

const DECLDIR char *nvmlErrorString(nvmlReturn_t code)
{
    static const char *const words[] = {
        [NVML_SUCCESS] = "Success",
        [NVML_ERROR_UNINITIALIZED] = "Uninitialized",
        [NVML_ERROR_INVALID_ARGUMENT] = "Invalid Argument",
        [NVML_ERROR_NOT_SUPPORTED] = "Not Supported",
        [NVML_ERROR_NO_PERMISSION] = "Insufficient Permissions",
        [NVML_ERROR_ALREADY_INITIALIZED] = "Already Initialized",
        [NVML_ERROR_NOT_FOUND] = "Not Found",
        [NVML_ERROR_INSUFFICIENT_SIZE] = "Insufficient Size",
        [NVML_ERROR_INSUFFICIENT_POWER] = "Insufficient External Power",
        [NVML_ERROR_DRIVER_NOT_LOADED] = "Driver Not Loaded",
        [NVML_ERROR_TIMEOUT] = "Timeout",
        [NVML_ERROR_IRQ_ISSUE] = "Interrupt Request Issue",
        [NVML_ERROR_LIBRARY_NOT_FOUND] = "NVML Shared Library Not Found",
        [NVML_ERROR_FUNCTION_NOT_FOUND] = "Function Not Found",
        [NVML_ERROR_CORRUPTED_INFOROM] = "Corrupted infoROM",
        [NVML_ERROR_GPU_IS_LOST] = "GPU is lost",
        [NVML_ERROR_RESET_REQUIRED] = "GPU requires restart",
        [NVML_ERROR_OPERATING_SYSTEM] = "The operating system has blocked the request.",
        [NVML_ERROR_LIB_RM_VERSION_MISMATCH] = "RM has detected an NVML/RM version mismatch.",
        [NVML_ERROR_IN_USE] = "In use by another client",
        [NVML_ERROR_MEMORY] = "Insufficient Memory",
        [NVML_ERROR_NO_DATA] = "No data",
        [NVML_ERROR_VGPU_ECC_NOT_SUPPORTED] = "vGPU ECC not supported",
        [NVML_ERROR_INSUFFICIENT_RESOURCES] = "Insufficient Resources",
        [NVML_ERROR_FREQ_NOT_SUPPORTED] = "Frequency not supported",
        [NVML_ERROR_ARGUMENT_VERSION_MISMATCH] = "Argument version mismatch",
        [NVML_ERROR_DEPRECATED] = "Deprecated",
        [NVML_ERROR_NOT_READY] = "Not ready",
        [NVML_ERROR_GPU_NOT_FOUND] = "GPU not found",
        [NVML_ERROR_INVALID_STATE] = "Invalid state",
        [NVML_ERROR_RESET_TYPE_NOT_SUPPORTED] = "Reset type not supported",
    };
    return (unsigned)code < sizeof words / sizeof *words ? words[code] : "Unknown Error";
}

static nvmlReturn_t system_words(const char *key, char *out, unsigned int length)
{
    const char *text;
    nvmlReturn_t code = known(key, &text);
    if (code == NVML_SUCCESS)
        snprintf(out, length, "%s", text);
    return code;
}

nvmlReturn_t DECLDIR nvmlSystemGetDriverVersion(char *out, unsigned int length)
{
    return system_words("DriverVersion", out, length);
}

nvmlReturn_t DECLDIR nvmlSystemGetNVMLVersion(char *out, unsigned int length)
{
    return system_words("NVMLVersion", out, length);
}

nvmlReturn_t DECLDIR nvmlSystemGetCudaDriverVersion_v2(int *out)
{
    const char *text;
    nvmlReturn_t code = known("CudaDriverVersion", &text);
    if (code == NVML_SUCCESS)
        *out = (int)number_in(text);
    return code;
}

nvmlReturn_t DECLDIR nvmlSystemGetProcessName(unsigned int pid, char *out, unsigned int length)
{
    char key[KEY];
    BY1(key, "ProcessName", pid);
    nvmlReturn_t code = system_words(key, out, length);
    return code == NVML_ERROR_NOT_SUPPORTED ? NVML_ERROR_NOT_FOUND : code;
}

nvmlReturn_t DECLDIR nvmlDeviceGetCount_v2(unsigned int *out)
{
    const char *text;
    nvmlReturn_t code = known("count", &text);
    if (code == NVML_SUCCESS)
        *out = (unsigned)number_in(text);
    return code;
}

static nvmlDevice_t device(unsigned int gpu, int mig)
{
    nvmlDevice_t found = &devices[gpu][mig + 1];
    found->gpu = (int)gpu;
    found->mig = mig;
    if (mig < 0)
        snprintf(found->prefix, sizeof found->prefix, "%u.", gpu);
    else
        snprintf(found->prefix, sizeof found->prefix, "%u.mig.%d.", gpu, mig);
    return found;
}

nvmlReturn_t DECLDIR nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *out)
{
    unsigned int count;
    nvmlReturn_t code = nvmlDeviceGetCount_v2(&count);
    if (code != NVML_SUCCESS)
        return code;
    if (index >= count || index >= MOST_GPUS)
        return NVML_ERROR_INVALID_ARGUMENT;
    char key[KEY];
    snprintf(key, sizeof key, "%u.HandleByIndex", index);
    const char *text = text_of(key);
    if (text && is_error(text))
        return (nvmlReturn_t)strtol(text + 1, NULL, 10);
    *out = device(index, -1);
    return fault_of((int)index);
}

/* The first GPU whose `key` this text is, as a UUID or as a PCI bus id of any width. */
static nvmlReturn_t handle_by(
    const char *call, const char *text, int same(const char *, const char *), nvmlDevice_t *out)
{
    unsigned int count;
    nvmlReturn_t code = nvmlDeviceGetCount_v2(&count);
    for (unsigned gpu = 0; code == NVML_SUCCESS && gpu < count && gpu < MOST_GPUS; gpu++) {
        char key[KEY];
        snprintf(key, sizeof key, "%u.%s", gpu, call);
        const char *own = text_of(key);
        if (own && same(own, text))
            return nvmlDeviceGetHandleByIndex_v2(gpu, out);
    }
    return code == NVML_SUCCESS ? NVML_ERROR_NOT_FOUND : code;
}

static int same_text(const char *one, const char *other)
{
    return strcmp(one, other) == 0;
}

static int same_bus(const char *one, const char *other)
{
    unsigned a[3], b[3];
    int read = sscanf(one, "%x:%x:%x", &a[0], &a[1], &a[2]);
    return read == 3 && sscanf(other, "%x:%x:%x", &b[0], &b[1], &b[2]) == 3
        && memcmp(a, b, sizeof a) == 0;
}

nvmlReturn_t DECLDIR nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *out)
{
    return handle_by("UUID", uuid, same_text, out);
}

nvmlReturn_t DECLDIR nvmlDeviceGetHandleByPciBusId_v2(const char *bus, nvmlDevice_t *out)
{
    return handle_by("PciInfo.busId", bus, same_bus, out);
}

nvmlReturn_t DECLDIR nvmlDeviceGetIndex(nvmlDevice_t gpu, unsigned int *out)
{
    *out = (unsigned)gpu->gpu;
    return gpu->mig < 0 ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
}

/* ---- one value --------------------------------------------------------------------- */

#define WORDS(call)                                                                             \
    nvmlReturn_t DECLDIR nvmlDeviceGet##call(nvmlDevice_t gpu, char *out, unsigned int length)   \
    {                                                                                           \
        return words(gpu, #call, out, length);                                                  \
    }
WORDS(Name)
WORDS(UUID)
WORDS(Serial)
WORDS(VbiosVersion)
WORDS(InforomImageVersion)

#define ONE(call, type)                                                                         \
    nvmlReturn_t DECLDIR nvmlDeviceGet##call(nvmlDevice_t gpu, type *out)                        \
    {                                                                                           \
        unsigned long long found = 0;                                                           \
        nvmlReturn_t code = number(gpu, #call, &found);                                         \
        if (code == NVML_SUCCESS)                                                               \
            *out = (type)found;                                                                 \
        return code;                                                                            \
    }
ONE(Architecture, nvmlDeviceArchitecture_t)
ONE(Brand, nvmlBrandType_t)
ONE(ComputeInstanceId, unsigned int)
ONE(ComputeMode, nvmlComputeMode_t)
ONE(CurrPcieLinkGeneration, unsigned int)
ONE(CurrPcieLinkWidth, unsigned int)
ONE(CurrentClocksEventReasons, unsigned long long)
ONE(CurrentClocksThrottleReasons, unsigned long long)
ONE(DisplayActive, nvmlEnableState_t)
ONE(DisplayMode, nvmlEnableState_t)
ONE(EnforcedPowerLimit, unsigned int)
ONE(FanSpeed, unsigned int)
ONE(GpuInstanceId, unsigned int)
ONE(GpuMaxPcieLinkGeneration, unsigned int)
ONE(MaxMigDeviceCount, unsigned int)
ONE(MaxPcieLinkGeneration, unsigned int)
ONE(MaxPcieLinkWidth, unsigned int)
ONE(MemoryBusWidth, unsigned int)
ONE(MinorNumber, unsigned int)
ONE(NumGpuCores, unsigned int)
ONE(NumaNodeId, unsigned int)
ONE(PcieReplayCounter, unsigned int)
ONE(PerformanceState, nvmlPstates_t)
ONE(PersistenceMode, nvmlEnableState_t)
ONE(PowerManagementDefaultLimit, unsigned int)
ONE(PowerManagementLimit, unsigned int)
ONE(PowerUsage, unsigned int)
ONE(RetiredPagesPendingStatus, nvmlEnableState_t)
ONE(SupportedClocksEventReasons, unsigned long long)
ONE(SupportedClocksThrottleReasons, unsigned long long)
ONE(SupportedEventTypes, unsigned long long)
ONE(TotalEnergyConsumption, unsigned long long)
ONE(VirtualizationMode, nvmlGpuVirtualizationMode_t)

/* ---- two values -------------------------------------------------------------------- */

#define PAIR(call, type)                                                                        \
    nvmlReturn_t DECLDIR nvmlDeviceGet##call(nvmlDevice_t gpu, type *first, type *second)        \
    {                                                                                           \
        unsigned long long found = 0;                                                           \
        nvmlReturn_t code = number(gpu, #call ".0", &found);                                    \
        if (code != NVML_SUCCESS)                                                               \
            return code;                                                                        \
        *first = (type)found;                                                                   \
        *second = (type)part(gpu, #call, "1");                                                  \
        return NVML_SUCCESS;                                                                    \
    }
PAIR(CudaComputeCapability, int)
PAIR(DecoderUtilization, unsigned int)
PAIR(EccMode, nvmlEnableState_t)
PAIR(EncoderUtilization, unsigned int)
PAIR(GspFirmwareMode, unsigned int)
PAIR(MigMode, unsigned int)
PAIR(PowerManagementLimitConstraints, unsigned int)

/* ---- one value by kind ------------------------------------------------------------- */

#define BY(call, kind, type)                                                                    \
    nvmlReturn_t DECLDIR nvmlDeviceGet##call(nvmlDevice_t gpu, kind which, type *out)            \
    {                                                                                           \
        char key[KEY];                                                                          \
        unsigned long long found = 0;                                                           \
        BY1(key, #call, which);                                                                 \
        nvmlReturn_t code = number(gpu, key, &found);                                           \
        if (code == NVML_SUCCESS)                                                               \
            *out = (type)found;                                                                 \
        return code;                                                                            \
    }
BY(ApplicationsClock, nvmlClockType_t, unsigned int)
BY(ClockInfo, nvmlClockType_t, unsigned int)
BY(DefaultApplicationsClock, nvmlClockType_t, unsigned int)
BY(MaxClockInfo, nvmlClockType_t, unsigned int)
BY(NvLinkState, unsigned int, nvmlEnableState_t)
BY(NvLinkVersion, unsigned int, unsigned int)
BY(Temperature, nvmlTemperatureSensors_t, unsigned int)
BY(TemperatureThreshold, nvmlTemperatureThresholds_t, unsigned int)

nvmlReturn_t DECLDIR nvmlDeviceGetTotalEccErrors(
    nvmlDevice_t gpu, nvmlMemoryErrorType_t type, nvmlEccCounterType_t counter,
    unsigned long long *out)
{
    char key[KEY];
    BY2(key, "TotalEccErrors", type, counter);
    return number(gpu, key, out);
}

nvmlReturn_t DECLDIR nvmlDeviceGetMemoryErrorCounter(
    nvmlDevice_t gpu, nvmlMemoryErrorType_t type, nvmlEccCounterType_t counter,
    nvmlMemoryLocation_t location, unsigned long long *out)
{
    char key[KEY];
    snprintf(key, sizeof key, "MemoryErrorCounter.%u.%u.%u", (unsigned)type, (unsigned)counter,
             (unsigned)location);
    return number(gpu, key, out);
}

nvmlReturn_t DECLDIR nvmlDeviceGetP2PStatus(
    nvmlDevice_t gpu, nvmlDevice_t other, nvmlGpuP2PCapsIndex_t kind, nvmlGpuP2PStatus_t *out)
{
    char key[KEY];
    unsigned long long found = 0;
    BY2(key, "P2PStatus", other->gpu, kind);
    nvmlReturn_t code = number(gpu, key, &found);
    if (code == NVML_SUCCESS)
        *out = (nvmlGpuP2PStatus_t)found;
    return code;
}

nvmlReturn_t DECLDIR nvmlDeviceValidateInforom(nvmlDevice_t gpu)
{
    unsigned long long found = 0;
    return number(gpu, "ValidateInforom", &found);
}

nvmlReturn_t DECLDIR nvmlDeviceGetNvLinkErrorCounter(
    nvmlDevice_t gpu, unsigned int link, nvmlNvLinkErrorCounter_t counter, unsigned long long *out)
{
    char key[KEY];
    BY2(key, "NvLinkErrorCounter", link, counter);
    return number(gpu, key, out);
}

/* ---- structures -------------------------------------------------------------------- */

nvmlReturn_t DECLDIR nvmlDeviceGetTemperatureV(nvmlDevice_t gpu, nvmlTemperature_t *out)
{
    char key[KEY];
    unsigned long long found = 0;
    if (out->version != nvmlTemperature_v1)
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    BY1(key, "TemperatureV", out->sensorType);
    nvmlReturn_t code = number(gpu, key, &found);
    if (code == NVML_SUCCESS)
        out->temperature = (int)found;
    return code;
}

nvmlReturn_t DECLDIR nvmlDeviceGetMarginTemperature(nvmlDevice_t gpu, nvmlMarginTemperature_t *out)
{
    unsigned long long found = 0;
    if (out->version != nvmlMarginTemperature_v1)
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    nvmlReturn_t code = number(gpu, "MarginTemperature", &found);
    if (code == NVML_SUCCESS)
        out->marginTemperature = (int)found;
    return code;
}

nvmlReturn_t DECLDIR nvmlDeviceGetMemoryInfo(nvmlDevice_t gpu, nvmlMemory_t *out)
{
    nvmlReturn_t code = number(gpu, "MemoryInfo.total", &out->total);
    out->free = part(gpu, "MemoryInfo", "free");
    out->used = part(gpu, "MemoryInfo", "used");
    return code;
}

nvmlReturn_t DECLDIR nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t gpu, nvmlMemory_v2_t *out)
{
    if (out->version != nvmlMemory_v2)
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    nvmlReturn_t code = number(gpu, "MemoryInfo_v2.total", &out->total);
    out->free = part(gpu, "MemoryInfo_v2", "free");
    out->used = part(gpu, "MemoryInfo_v2", "used");
    out->reserved = part(gpu, "MemoryInfo_v2", "reserved");
    return code;
}

nvmlReturn_t DECLDIR nvmlDeviceGetPciInfo_v3(nvmlDevice_t gpu, nvmlPciInfo_t *out)
{
    memset(out, 0, sizeof *out);
    nvmlReturn_t code = words(gpu, "PciInfo.busId", out->busId, sizeof out->busId);
    if (code != NVML_SUCCESS)
        return code;
    sscanf(out->busId, "%x:%x:%x", &out->domain, &out->bus, &out->device);
    snprintf(out->busIdLegacy, sizeof out->busIdLegacy, "%04x:%02x:%02x.0", out->domain & 0xffff,
             out->bus & 0xff, out->device & 0xff);
    out->pciDeviceId = (unsigned)part(gpu, "PciInfo", "pciDeviceId");
    out->pciSubSystemId = (unsigned)part(gpu, "PciInfo", "pciSubSystemId");
    return NVML_SUCCESS;
}

nvmlReturn_t DECLDIR nvmlDeviceGetUtilizationRates(nvmlDevice_t gpu, nvmlUtilization_t *out)
{
    unsigned long long found = 0;
    nvmlReturn_t code = number(gpu, "UtilizationRates.gpu", &found);
    out->gpu = (unsigned)found;
    out->memory = (unsigned)part(gpu, "UtilizationRates", "memory");
    return code;
}

/* "This function is querying a byte counter over a 20ms interval" (nvml.h). */
nvmlReturn_t DECLDIR nvmlDeviceGetPcieThroughput(
    nvmlDevice_t gpu, nvmlPcieUtilCounter_t counter, unsigned int *out)
{
    char key[KEY];
    unsigned long long found = 0;
    BY1(key, "PcieThroughput", counter);
    nvmlReturn_t code = number(gpu, key, &found);
    if (code != NVML_SUCCESS)
        return code;
    pause_for(0.02);
    *out = (unsigned)found;
    return NVML_SUCCESS;
}

nvmlReturn_t DECLDIR nvmlDeviceGetRemappedRows(
    nvmlDevice_t gpu, unsigned int *correctable, unsigned int *uncorrectable,
    unsigned int *pending, unsigned int *failed)
{
    unsigned long long found = 0;
    nvmlReturn_t code = number(gpu, "RemappedRows.0", &found);
    if (code != NVML_SUCCESS)
        return code;
    *correctable = (unsigned)found;
    *uncorrectable = (unsigned)part(gpu, "RemappedRows", "1");
    *pending = (unsigned)part(gpu, "RemappedRows", "2");
    *failed = (unsigned)part(gpu, "RemappedRows", "3");
    return NVML_SUCCESS;
}

nvmlReturn_t DECLDIR nvmlDeviceGetRowRemapperHistogram(
    nvmlDevice_t gpu, nvmlRowRemapperHistogramValues_t *out)
{
    unsigned long long found = 0;
    nvmlReturn_t code = number(gpu, "RowRemapperHistogram.max", &found);
    out->max = (unsigned)found;
    out->high = (unsigned)part(gpu, "RowRemapperHistogram", "high");
    out->partial = (unsigned)part(gpu, "RowRemapperHistogram", "partial");
    out->low = (unsigned)part(gpu, "RowRemapperHistogram", "low");
    out->none = (unsigned)part(gpu, "RowRemapperHistogram", "none");
    return code;
}

nvmlReturn_t DECLDIR nvmlDeviceGetRepairStatus(nvmlDevice_t gpu, nvmlRepairStatus_t *out)
{
    unsigned long long found = 0;
    if (out->version != nvmlRepairStatus_v1)
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    nvmlReturn_t code = number(gpu, "RepairStatus.0", &found);
    out->bChannelRepairPending = (unsigned)found;
    out->bTpcRepairPending = (unsigned)part(gpu, "RepairStatus", "1");
    return code;
}

nvmlReturn_t DECLDIR nvmlDeviceGetSramEccErrorStatus(
    nvmlDevice_t gpu, nvmlEccSramErrorStatus_t *out)
{
    unsigned long long found = 0;
    if (out->version != nvmlEccSramErrorStatus_v1)
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    nvmlReturn_t code = number(gpu, "SramEccErrorStatus.aggregateUncParity", &found);
    out->aggregateUncParity = found;
    out->aggregateUncSecDed = part(gpu, "SramEccErrorStatus", "aggregateUncSecDed");
    out->aggregateCor = part(gpu, "SramEccErrorStatus", "aggregateCor");
    out->bThresholdExceeded = (unsigned)part(gpu, "SramEccErrorStatus", "bThresholdExceeded");
    return code;
}

nvmlReturn_t DECLDIR nvmlDeviceGetBAR1MemoryInfo(nvmlDevice_t gpu, nvmlBAR1Memory_t *out)
{
    nvmlReturn_t code = number(gpu, "BAR1MemoryInfo.bar1Total", &out->bar1Total);
    out->bar1Free = part(gpu, "BAR1MemoryInfo", "bar1Free");
    out->bar1Used = part(gpu, "BAR1MemoryInfo", "bar1Used");
    return code;
}

nvmlReturn_t DECLDIR nvmlDeviceGetRetiredPages(
    nvmlDevice_t gpu, nvmlPageRetirementCause_t cause, unsigned int *count,
    unsigned long long *addresses)
{
    char key[KEY];
    unsigned long long found = 0;
    BY1(key, "RetiredPages", cause);
    nvmlReturn_t code = number(gpu, key, &found);
    if (code != NVML_SUCCESS)
        return code;
    int fits = *count >= found;
    *count = (unsigned)found;
    if (!fits)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    for (unsigned page = 0; addresses && page < found; page++)
        addresses[page] = 0;
    return NVML_SUCCESS;
}

nvmlReturn_t DECLDIR nvmlDeviceGetViolationStatus(
    nvmlDevice_t gpu, nvmlPerfPolicyType_t policy, nvmlViolationTime_t *out)
{
    char key[KEY];
    BY1(key, "ViolationStatus", policy);
    out->referenceTime = (unsigned long long)(seconds_now() * 1e6);
    return number(gpu, key, &out->violationTime);
}

nvmlReturn_t DECLDIR nvmlDeviceGetGpuFabricInfoV(nvmlDevice_t gpu, nvmlGpuFabricInfoV_t *out)
{
    unsigned long long found = 0;
    if (out->version != nvmlGpuFabricInfo_v3 && out->version != nvmlGpuFabricInfo_v2)
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    nvmlReturn_t code = number(gpu, "GpuFabricInfo.state", &found);
    if (code != NVML_SUCCESS)
        return code;
    out->state = (nvmlGpuFabricState_t)found;
    out->status = (nvmlReturn_t)part(gpu, "GpuFabricInfo", "status");
    out->cliqueId = (unsigned)part(gpu, "GpuFabricInfo", "cliqueId");
    out->healthMask = (unsigned)part(gpu, "GpuFabricInfo", "healthMask");
    if (out->version == nvmlGpuFabricInfo_v3)
        out->healthSummary = (unsigned char)part(gpu, "GpuFabricInfo", "healthSummary");
    memset(out->clusterUuid, (int)part(gpu, "GpuFabricInfo", "cluster"), sizeof out->clusterUuid);
    return NVML_SUCCESS;
}

/* ---- bulk -------------------------------------------------------------------------- */

static void set_value(nvmlFieldValue_t *field, const char *text)
{
    unsigned long long found = number_in(text);
    if (strchr(text, '.')) {
        field->valueType = NVML_VALUE_TYPE_DOUBLE;
        field->value.dVal = strtod(text, NULL);
    } else if (text[0] == '-') {
        field->valueType = NVML_VALUE_TYPE_SIGNED_INT;
        field->value.siVal = (int)found;
    } else if (found <= 0xffffffffu && !strchr(text, '+')) {
        field->valueType = NVML_VALUE_TYPE_UNSIGNED_INT;
        field->value.uiVal = (unsigned)found;
    } else {
        field->valueType = NVML_VALUE_TYPE_UNSIGNED_LONG_LONG;
        field->value.ullVal = found;
    }
}

nvmlReturn_t DECLDIR nvmlDeviceGetFieldValues(nvmlDevice_t gpu, int count, nvmlFieldValue_t *fields)
{
    char key[KEY];
    const char *text;
    snprintf(key, sizeof key, "%sFieldValues", gpu->prefix);
    const char *refused = text_of(key);
    if (!running)
        return NVML_ERROR_UNINITIALIZED;
    if (refused && is_error(refused))
        return (nvmlReturn_t)strtol(refused + 1, NULL, 10);
    for (int at = 0; at < count; at++) {
        nvmlFieldValue_t *field = &fields[at];
        BY2(key, "Field", field->fieldId, field->scopeId);
        field->nvmlReturn = answer(gpu, key, &text);
        if (field->nvmlReturn == NVML_ERROR_NOT_SUPPORTED && field->scopeId == 0) {
            BY1(key, "Field", field->fieldId);
            field->nvmlReturn = answer(gpu, key, &text);
        }
        if (field->nvmlReturn == NVML_SUCCESS)
            set_value(field, text);
    }
    return NVML_SUCCESS;
}

static nvmlReturn_t processes(
    nvmlDevice_t gpu, const char *call, unsigned int *count, nvmlProcessInfo_t *out)
{
    char key[KEY];
    unsigned long long found = 0;
    snprintf(key, sizeof key, "%s.count", call);
    nvmlReturn_t code = number(gpu, key, &found);
    if (code != NVML_SUCCESS)
        return code;
    int fits = *count >= found;
    *count = (unsigned)found;
    if (!fits)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    for (unsigned at = 0; out && at < found; at++) {
        snprintf(key, sizeof key, "%u.pid", at);
        out[at].pid = (unsigned)part(gpu, call, key);
        snprintf(key, sizeof key, "%u.usedGpuMemory", at);
        out[at].usedGpuMemory = part(gpu, call, key);
        out[at].gpuInstanceId = out[at].computeInstanceId = 0xffffffffu;
    }
    return NVML_SUCCESS;
}

nvmlReturn_t DECLDIR nvmlDeviceGetComputeRunningProcesses_v3(
    nvmlDevice_t gpu, unsigned int *count, nvmlProcessInfo_t *out)
{
    return processes(gpu, "ComputeRunningProcesses", count, out);
}

nvmlReturn_t DECLDIR nvmlDeviceGetGraphicsRunningProcesses_v3(
    nvmlDevice_t gpu, unsigned int *count, nvmlProcessInfo_t *out)
{
    return processes(gpu, "GraphicsRunningProcesses", count, out);
}

/* ---- MIG --------------------------------------------------------------------------- */

nvmlReturn_t DECLDIR nvmlDeviceGetMigDeviceHandleByIndex(
    nvmlDevice_t gpu, unsigned int index, nvmlDevice_t *out)
{
    char key[KEY];
    snprintf(key, sizeof key, "%smig.%u.UUID", gpu->prefix, index);
    if (index >= MOST_MIG || !text_of(key))
        return NVML_ERROR_NOT_FOUND;
    *out = device((unsigned)gpu->gpu, (int)index);
    return fault_of(gpu->gpu);
}

nvmlReturn_t DECLDIR nvmlDeviceIsMigDeviceHandle(nvmlDevice_t gpu, unsigned int *out)
{
    *out = gpu->mig >= 0;
    return NVML_SUCCESS;
}

nvmlReturn_t DECLDIR nvmlDeviceGetDeviceHandleFromMigDeviceHandle(
    nvmlDevice_t mig, nvmlDevice_t *out)
{
    *out = device((unsigned)mig->gpu, -1);
    return NVML_SUCCESS;
}

nvmlReturn_t DECLDIR nvmlDeviceGetAttributes_v2(nvmlDevice_t gpu, nvmlDeviceAttributes_t *out)
{
    unsigned long long found = 0;
    memset(out, 0, sizeof *out);
    nvmlReturn_t code = number(gpu, "Attributes.multiprocessorCount", &found);
    out->multiprocessorCount = (unsigned)found;
    out->memorySizeMB = part(gpu, "Attributes", "memorySizeMB");
    return code;
}

/* ---- GPM --------------------------------------------------------------------------- */

nvmlReturn_t DECLDIR nvmlGpmQueryDeviceSupport(nvmlDevice_t gpu, nvmlGpmSupport_t *out)
{
    unsigned long long found = 0;
    nvmlReturn_t code = number(gpu, "GpmSupport", &found);
    out->isSupportedDevice = (unsigned)found;
    return code;
}

nvmlReturn_t DECLDIR nvmlGpmSampleAlloc(nvmlGpmSample_t *out)
{
    *out = calloc(1, sizeof **out);
    return *out ? NVML_SUCCESS : NVML_ERROR_MEMORY;
}

nvmlReturn_t DECLDIR nvmlGpmSampleFree(nvmlGpmSample_t sample)
{
    free(sample);
    return NVML_SUCCESS;
}

static nvmlDevice_t gpm_device; /* a sample does not say whose it is; metrics are the last one's */

nvmlReturn_t DECLDIR nvmlGpmSampleGet(nvmlDevice_t gpu, nvmlGpmSample_t sample)
{
    unsigned long long found = 0;
    sample->at = seconds_now();
    gpm_device = gpu;
    return number(gpu, "GpmSupport", &found);
}

/* Two samples must lie 100 ms apart. Only `numMetrics` entries are touched, as the length of
 * the array differs by version of the header. */
nvmlReturn_t DECLDIR nvmlGpmMetricsGet(nvmlGpmMetricsGet_t *out)
{
    char key[KEY];
    const char *text;
    if (out->version != NVML_GPM_METRICS_GET_VERSION)
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    if (out->sample2->at - out->sample1->at < 0.1)
        return NVML_ERROR_INVALID_ARGUMENT;
    for (unsigned at = 0; at < out->numMetrics; at++) {
        nvmlGpmMetric_t *metric = &out->metrics[at];
        BY1(key, "Gpm", metric->metricId);
        metric->nvmlReturn = answer(gpm_device, key, &text);
        if (metric->nvmlReturn == NVML_SUCCESS)
            metric->value = strtod(text, NULL);
    }
    return NVML_SUCCESS;
}

/* ---- events: none ever comes ------------------------------------------------------- */

nvmlReturn_t DECLDIR nvmlEventSetCreate(nvmlEventSet_t *out)
{
    *out = calloc(1, 1);
    return *out ? NVML_SUCCESS : NVML_ERROR_MEMORY;
}

nvmlReturn_t DECLDIR nvmlEventSetFree(nvmlEventSet_t set)
{
    free(set);
    return NVML_SUCCESS;
}

nvmlReturn_t DECLDIR nvmlDeviceRegisterEvents(
    nvmlDevice_t gpu, unsigned long long types, nvmlEventSet_t set)
{
    unsigned long long known = 0;
    nvmlReturn_t code = number(gpu, "SupportedEventTypes", &known);
    (void)set;
    return code == NVML_SUCCESS && types & ~known ? NVML_ERROR_NOT_SUPPORTED : code;
}

nvmlReturn_t DECLDIR nvmlEventSetWait_v2(
    nvmlEventSet_t set, nvmlEventData_t *out, unsigned int milliseconds)
{
    (void)set;
    (void)out;
    pause_for(milliseconds / 1e3);
    return NVML_ERROR_TIMEOUT;
}
