// From a frame's native planes to the normalised tensor a network wants: scaled, made RGB, shifted, in one pass.

#pragma once

struct InputJob {
    Component planes[3];  // of the part the network sees: Y, Cb, Cr, or R, G, B, or grey alone
    void *tensor;         // (channels, height, width) or (height, width, channels)
    float matrix[3][4];   // codes -> the tensor's channels, 0..255: three factors and an offset each
    float gain[3], bias[3];
    const float *light;      // high dynamic range: (256) shares of white's light; else none
    const u8 *ordinary;      // (1024) codes of ordinary video for its square roots
    float primaries[3][3];   // light of the channels in that of BT.709's primaries
    float brightest, roots;  // the last root's square; how many there are to 1
    int count;            // of planes
    int channels;
    int half;             // float16, else float32
    int channels_last;
    int width, height;                  // of the tensor
    int left, top, columns, rows;       // the rectangle the picture fills; the rest is black
};

__device__ inline float scaled(const Component &c, int x, int y, int columns, int rows) {
    auto read = [&](int i, int j) { return (float)sample(c, i, j); };
    return average(read, span(x, columns, c.width), span(y, rows, c.height));
}

__device__ inline void put(const InputJob &job, int x, int y, int channel, float value) {
    i64 index = job.channels_last ? ((i64)y * job.width + x) * job.channels + channel
                                  : ((i64)channel * job.height + y) * job.width + x;
    if (job.half) {
        ((u16 *)job.tensor)[index] = to_half(value);
    } else {
        ((float *)job.tensor)[index] = value;
    }
}

// As hdr.py has it.
__device__ inline float to_sdr(const InputJob &job, const float *primaries, const float *codes) {
    float light = 0;
#pragma unroll
    for (int i = 0; i < 3; ++i) light += primaries[i] * job.light[(int)codes[i]];
    return job.ordinary[(int)(sqrtf(clampf(light, 0, job.brightest)) * job.roots)];
}

// One thread for each pixel of the tensor.
extern "C" __global__ void network_input(const InputJob job) {
    int x = column(), y = row();
    if (x >= job.width || y >= job.height) return;
    int u = x - job.left, v = y - job.top;
    bool seen = u >= 0 && v >= 0 && u < job.columns && v < job.rows;
    float codes[3] = {0, 0, 0};
    if (seen) {
#pragma unroll
        for (int i = 0; i < 3; ++i) {
            if (i < job.count) codes[i] = scaled(job.planes[i], u, v, job.columns, job.rows);
        }
    }
    // Whole codes, as the CPU has them: networks see the difference (docs/gpu.md).
    float shown[3];
#pragma unroll
    for (int channel = 0; channel < 3; ++channel) {
        const float *m = job.matrix[channel];
        float code = m[0] * codes[0] + m[1] * codes[1] + m[2] * codes[2] + m[3];
        shown[channel] = rintf(clampf(code, 0, 255));
    }
#pragma unroll
    for (int channel = 0; channel < 3; ++channel) {
        if (channel >= job.channels) break;
        float value = job.light ? to_sdr(job, job.primaries[channel], shown) : shown[channel];
        put(job, x, y, channel, (seen ? value : 0) * job.gain[channel] + job.bias[channel]);
    }
}
