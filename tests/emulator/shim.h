// What lets the kernels compile as ordinary C++: CUDA's words, its built-in variables, half precision in software.

#include <algorithm>
#include <cmath>
#include <cstring>

#define __global__
#define __device__

struct Dim {
    unsigned x, y, z;
};

static thread_local Dim blockIdx, threadIdx, blockDim, gridDim;

using std::max;
using std::min;

static inline float float_of_half(unsigned short bits) {
    _Float16 value;
    std::memcpy(&value, &bits, 2);
    return (float)value;
}

static inline unsigned short half_of_float(float value) {
    _Float16 rounded = (_Float16)value;
    unsigned short bits;
    std::memcpy(&bits, &rounded, 2);
    return bits;
}

// One thread after another, from the first to the last or the other way round: kernels must not depend on it.
template <class Kernel, class Job>
static void launch(Kernel kernel, const Dim &grid, const Dim &block, const void *bytes, bool backwards) {
    Job job;
    std::memcpy(&job, bytes, sizeof job);
    gridDim = grid;
    blockDim = block;
    unsigned long long inner = (unsigned long long)block.x * block.y * block.z;
    unsigned long long count = inner * grid.x * grid.y * grid.z;
    for (unsigned long long step = 0; step < count; ++step) {
        unsigned long long index = backwards ? count - 1 - step : step, thread = index % inner, place = index / inner;
        threadIdx = Dim{unsigned(thread % block.x), unsigned(thread / block.x % block.y), unsigned(thread / block.x / block.y)};
        blockIdx = Dim{unsigned(place % grid.x), unsigned(place / grid.x % grid.y), unsigned(place / grid.x / grid.y)};
        kernel(job);
    }
}

#define EMULATED(kernel, Job)                                                                              \
    extern "C" void launch_##kernel(const unsigned *grid, const unsigned *block, const void *job, int backwards) { \
        launch<decltype(&kernel), Job>(&kernel, Dim{grid[0], grid[1], grid[2]}, Dim{block[0], block[1], block[2]}, \
                                       job, backwards);                                                    \
    }                                                                                                      \
    extern "C" int size_##kernel() { return sizeof(Job); }
