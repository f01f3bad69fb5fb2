// The blurred layer: every plane averaged down to one small grid, blurred there without what the matte covers.
// compositors/layers.py, BlurredPainter, says why; blend.cuh scales it up again.

#pragma once

struct Alpha {
    const u8 *data;  // (height, width)
    int width, height;
};

struct ShrinkJob {
    Component plane;
    Alpha alpha;
    float *to;     // (rows, columns): codes times weights; of no plane (width 0) the weights
    float floor;   // the least weight
    int columns, rows;
    int halved;    // first averaged two by two, rounded to codes
};

__device__ inline float reduced(const ShrinkJob &job, int x, int y) {
    const Component &c = job.plane;
    auto whole = [&](int i, int j) { return sample(c, i, j); };
    auto half = [&](int i, int j) { return average_code(whole, i, j, c.width / 2, c.height / 2, c.width, c.height); };
    if (job.halved) return (float)average_code(half, x, y, job.columns, job.rows, c.width / 2, c.height / 2);
    if (c.width >= job.columns && c.height >= job.rows) {
        return (float)average_code(whole, x, y, job.columns, job.rows, c.width, c.height);
    }
    auto code = [&](int i, int j) { return (float)sample(c, i, j); };
    Place u = place(2 * x + 1, c.width, job.columns), v = place(2 * y + 1, c.height, job.rows);
    return between(code, u, v, c.width, c.height);
}

extern "C" __global__ void shrink(const ShrinkJob job) {
    int x = column(), y = row();
    if (x >= job.columns || y >= job.rows) return;
    const Alpha &a = job.alpha;
    auto read = [&](int i, int j) { return (float)a.data[(i64)j * a.width + i]; };
    Place u = place(2 * x + 1, a.width, job.columns), v = place(2 * y + 1, a.height, job.rows);
    float alpha = between(read, u, v, a.width, a.height);
    float weight = fmaxf(1 - alpha * (2.0f / 255), job.floor);
    job.to[(i64)y * job.columns + x] = job.plane.width ? reduced(job, x, y) * weight : weight;
}

struct BlurJob {
    const float *source;     // (rows, columns)
    const float *weights;  // the same, blurred across too
    float *between;
    u16 *to;               // codes with `fine` steps each
    const float *kernel;   // (2 * reach + 1)
    float fine;
    int reach, columns, rows;
};

extern "C" __global__ void blur_across(const BlurJob job) {
    int x = column(), y = row();
    if (x >= job.columns || y >= job.rows) return;
    float total = 0;
    for (int i = -job.reach; i <= job.reach; ++i) {
        total += job.kernel[i + job.reach] * job.source[(i64)y * job.columns + clamp(x + i, 0, job.columns - 1)];
    }
    job.between[(i64)y * job.columns + x] = total;
}

// Down columns, and divided by the blurred weights.
extern "C" __global__ void blur_down(const BlurJob job) {
    int x = column(), y = row();
    if (x >= job.columns || y >= job.rows) return;
    float total = 0, weights = 0;
    for (int j = -job.reach; j <= job.reach; ++j) {
        i64 index = (i64)clamp(y + j, 0, job.rows - 1) * job.columns + x;
        total += job.kernel[j + job.reach] * job.between[index];
        weights += job.kernel[j + job.reach] * job.weights[index];
    }
    job.to[(i64)y * job.columns + x] = (u16)clampf(rintf(total / weights * job.fine), 0, 65535);
}
