// Planes of pictures in any layout, and half precision.

#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef long long i64;

// One component of a picture, wherever its samples lie: planar, interleaved or packed. What FFmpeg calls an
// AVComponentDescriptor, with its plane's address.
struct Component {
    u8 *data;      // of its first sample; even if wide
    int linesize;  // bytes from row to row
    int step;      // bytes from sample to sample
    int width, height;
    int wide;      // two bytes to a sample, little endian
    int shift;     // unused bits below the code
};

__device__ inline int clamp(int value, int least, int most) {
    return value < least ? least : value > most ? most : value;
}

__device__ inline float clampf(float value, float least, float most) {
    return value < least ? least : value > most ? most : value;
}

__device__ inline int column() { return blockIdx.x * blockDim.x + threadIdx.x; }

__device__ inline int row() { return blockIdx.y * blockDim.y + threadIdx.y; }

__device__ inline u8 *at(const Component &c, int x, int y) {
    return c.data + (i64)y * c.linesize + (i64)x * c.step;
}

__device__ inline int sample(const Component &c, int x, int y) {
    const u8 *place = at(c, x, y);
    return (c.wide ? *(const u16 *)place : *place) >> c.shift;
}

__device__ inline void store(const Component &c, int x, int y, int code) {
    if (c.wide) {
        *(u16 *)at(c, x, y) = (u16)(code << c.shift);
    } else {
        *at(c, x, y) = (u8)code;
    }
}

__device__ inline float from_half(u16 bits) {
#ifdef __CUDA_ARCH__
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
#else
    return float_of_half(bits);
#endif
}

__device__ inline u16 to_half(float value) {
#ifdef __CUDA_ARCH__
    u16 bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
#else
    return half_of_float(value);
#endif
}
