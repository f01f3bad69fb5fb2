// A CUDA driver for a card that is not there, for PyCUDA itself to speak to: what PyCUDA passes on is checked as the
// real driver checks it, or more strictly. Memory is the host's, and work is done at once: that streams and events
// are waited for is tested with tests/emulator/driver.py.
//
// CUDA_FAILS_AT=n has the nth call fail, counted from 0, and with CUDA_LOST all after it; CUDA_MEMORY is how many bytes
// there are.

#include "kernels.cpp"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <vector>
#include <dlfcn.h>

typedef unsigned long long Address;

enum {
    DONE = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    INVALID_DEVICE = 101,
    INVALID_IMAGE = 200,
    INVALID_CONTEXT = 201,
    INVALID_HANDLE = 400,
    NOT_FOUND = 500,
    ILLEGAL_ADDRESS = 700,
    UNKNOWN = 999,
};

struct Kernel {
    std::string name;
};

static std::map<Address, size_t> card_memory, host_memory;
static std::set<const void *> streams, events;
static std::map<std::string, Kernel> kernels;
static std::string module;  // its address is its handle
static size_t used, calls, modules;
static int references;
static std::string refused;
static thread_local std::vector<const void *> current;
static const void *const PRIMARY = &references;

static long setting(const char *name, long otherwise) {
    const char *value = std::getenv(name);
    return value ? std::atol(value) : otherwise;
}

static bool fails(const char *call) {
    long number = calls++, first = setting("CUDA_FAILS_AT", -1);
    if (number == first) refused = call;
    return number == first || (number > first && first >= 0 && setting("CUDA_LOST", 0));
}

static bool within(const std::map<Address, size_t> &memory, Address address, size_t size) {
    auto after = memory.upper_bound(address);
    if (after == memory.begin()) return false;
    auto held = std::prev(after);
    return address + size <= held->first + held->second;
}

// What kernels.cpp exports.
static void *symbol(const std::string &name) {
    Dl_info here;
    dladdr((void *)&references, &here);
    return dlsym(dlopen(here.dli_fname, RTLD_NOW | RTLD_NOLOAD), name.c_str());
}

// Before anything that needs the context.
#define BEGIN                                                                \
    if (fails(__func__)) return ILLEGAL_ADDRESS;                                     \
    if (current.empty() || references < 1) return INVALID_CONTEXT;

#define CALL extern "C" int

CALL cuInit(unsigned flags) { return flags ? INVALID_VALUE : DONE; }

CALL cuDriverGetVersion(int *version) { return *version = 13000, DONE; }

CALL cuDeviceGetCount(int *count) { return *count = 1, DONE; }

CALL cuDeviceGet(int *device, int number) { return number ? INVALID_DEVICE : (*device = 0, DONE); }

CALL cuDeviceGetName(char *name, int size, int) { return std::snprintf(name, size, "Emulated"), DONE; }

CALL cuDeviceTotalMem_v2(size_t *bytes, int) { return *bytes = setting("CUDA_MEMORY", 1 << 30), DONE; }

CALL cuDeviceGetAttribute(int *value, int attribute, int) { return *value = attribute == 75 ? 9 : 0, DONE; }

CALL cuDeviceComputeCapability(int *major, int *minor, int) { return *major = 9, *minor = 0, DONE; }

CALL cuDevicePrimaryCtxRetain(const void **context, int) { return ++references, *context = PRIMARY, DONE; }

CALL cuDevicePrimaryCtxRelease_v2(int) { return references-- > 0 ? DONE : INVALID_CONTEXT; }

CALL cuCtxPushCurrent_v2(const void *context) {
    if (context != PRIMARY || references < 1) return INVALID_CONTEXT;
    return current.push_back(context), DONE;
}

CALL cuCtxPopCurrent_v2(const void **context) {
    if (current.empty()) return INVALID_CONTEXT;
    return *context = current.back(), current.pop_back(), DONE;
}

CALL cuCtxSynchronize() {
    BEGIN
    return DONE;
}

CALL cuMemAlloc_v2(Address *address, size_t size) {
    BEGIN
    if (!size) return INVALID_VALUE;
    if (used + size > (size_t)setting("CUDA_MEMORY", 1 << 30)) return OUT_OF_MEMORY;
    *address = (Address)std::aligned_alloc(256, (size + 255) / 256 * 256);
    std::memset((void *)*address, 0x42, size);
    card_memory[*address] = size;
    return used += size, DONE;
}

CALL cuMemFree_v2(Address address) {
    BEGIN
    auto held = card_memory.find(address);
    if (held == card_memory.end()) return INVALID_VALUE;
    used -= held->second;
    return card_memory.erase(held), std::free((void *)address), DONE;
}

CALL cuMemHostAlloc(void **memory, size_t size, unsigned) {
    BEGIN
    if (!size) return INVALID_VALUE;
    *memory = std::malloc(size);
    return host_memory[(Address)*memory] = size, DONE;
}

CALL cuMemFreeHost(void *memory) {
    BEGIN
    return host_memory.erase((Address)memory) ? (std::free(memory), DONE) : INVALID_VALUE;
}

CALL cuStreamCreate(const void **stream, unsigned flags) {
    BEGIN
    if (flags != 1) return INVALID_VALUE;  // tied to the default stream: what nobody here wants
    return streams.insert(*stream = std::malloc(1)), DONE;
}

CALL cuStreamDestroy_v2(const void *stream) {
    BEGIN
    return streams.erase(stream) ? DONE : INVALID_HANDLE;
}

CALL cuStreamSynchronize(const void *stream) {
    BEGIN
    return streams.count(stream) ? DONE : INVALID_HANDLE;
}

CALL cuEventCreate(const void **event, unsigned flags) {
    BEGIN
    if (flags > 3) return INVALID_VALUE;
    return events.insert(*event = std::malloc(1)), DONE;
}

CALL cuEventDestroy_v2(const void *event) {
    BEGIN
    return events.erase(event) ? DONE : INVALID_HANDLE;
}

CALL cuEventRecord(const void *event, const void *stream) {
    BEGIN
    return events.count(event) && (!stream || streams.count(stream)) ? DONE : INVALID_HANDLE;
}

CALL cuEventQuery(const void *event) {
    BEGIN
    return events.count(event) ? DONE : INVALID_HANDLE;
}

CALL cuStreamWaitEvent(const void *stream, const void *event, unsigned flags) {
    BEGIN
    if (flags) return INVALID_VALUE;
    return events.count(event) && streams.count(stream) ? DONE : INVALID_HANDLE;
}

static int copied(Address to, Address from, size_t size, Address card, Address host, const void *stream) {
    if (!streams.count(stream)) return INVALID_HANDLE;
    if (!within(card_memory, card, size) || !within(host_memory, host, size)) return INVALID_VALUE;
    return std::memcpy((void *)to, (void *)from, size), DONE;
}

CALL cuMemcpyHtoDAsync_v2(Address card, const void *host, size_t size, const void *stream) {
    BEGIN
    return copied(card, (Address)host, size, card, (Address)host, stream);
}

CALL cuMemcpyDtoHAsync_v2(void *host, Address card, size_t size, const void *stream) {
    BEGIN
    return copied((Address)host, card, size, card, (Address)host, stream);
}

CALL cuModuleLoadDataEx(const void **loaded, const void *image, unsigned count, int *, void **) {
    BEGIN
    // PyCUDA asks for two logs and their sizes. PTX is text that ends with a zero; anything else has a length inside.
    if (!image || !*(const char *)image || count != 4) return INVALID_IMAGE;
    return ++modules, *loaded = &module, DONE;
}

CALL cuModuleUnload(const void *loaded) {
    BEGIN
    return loaded == &module && modules-- > 0 ? DONE : INVALID_HANDLE;
}

CALL cuModuleGetFunction(const void **function, const void *loaded, const char *name) {
    BEGIN
    if (loaded != &module) return INVALID_HANDLE;
    if (!symbol(std::string("launch_") + name)) return NOT_FOUND;
    return *function = &(kernels[name] = Kernel{name}), DONE;
}

CALL cuFuncSetBlockShape(const void *, int x, int y, int z) {
    BEGIN
    return x > 0 && y > 0 && z > 0 ? DONE : INVALID_VALUE;
}

// CU_LAUNCH_PARAM_BUFFER_POINTER, _BUFFER_SIZE, _END of cuda.h; both from PyCUDA.
CALL cuLaunchKernel(const Kernel *kernel, unsigned x, unsigned y, unsigned z, unsigned across, unsigned down,
                    unsigned deep, unsigned shared, const void *stream, void **separate, void **together) {
    BEGIN
    if (!streams.count(stream)) return INVALID_HANDLE;
    if (shared || separate || together[0] != (void *)1 || together[2] != (void *)2 || together[4]) return INVALID_VALUE;
    auto size = (int (*)())symbol("size_" + kernel->name);
    auto run = (void (*)(const unsigned *, const unsigned *, const void *, int))symbol("launch_" + kernel->name);
    if (*(size_t *)together[3] != (size_t)size()) return INVALID_VALUE;
    unsigned grid[3] = {x, y, z}, block[3] = {across, down, deep};
    if (!x || y > 65535 || z > 65535 || across * down * deep > 1024) return INVALID_VALUE;
    return run(grid, block, together[1], 0), DONE;
}

CALL cuGetErrorString(int error, const char **text) {
    return *text = error == OUT_OF_MEMORY ? "out of memory" : error == ILLEGAL_ADDRESS ? "injected" : "refused", DONE;
}

// What has not been given back, in words; "" if everything has.
extern "C" const char *left() {
    static std::string said;
    said = "";
    auto add = [](size_t count, const char *what) {
        if (count) said += std::to_string(count) + " " + what + "; ";
    };
    add(card_memory.size(), "buffers of the card");
    add(host_memory.size(), "page-locked buffers");
    add(streams.size(), "streams");
    add(events.size(), "events");
    add(modules, "modules");
    add(references, "contexts");
    return said.c_str();
}

extern "C" size_t count_of_calls() { return calls; }

extern "C" const char *first_refused() { return refused.c_str(); }
