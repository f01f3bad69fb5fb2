// What a recipe does to mattes, to the code as OpenCV does it: thresholds and outlines are steep, so one code more or
// less before them would be many after.

#pragma once

struct CodesJob {
    const u8 *source;  // (height, width)
    u8 *to;          // (rows, columns)
    int width, height, columns, rows;
};

__device__ inline int code_at(const CodesJob &job, int x, int y) { return job.source[(i64)y * job.width + x]; }

// cv2.resize of 8-bit codes, INTER_LINEAR: weights in 1/2048, rows summed with four bits less.
extern "C" __global__ void resize_codes(const CodesJob job) {
    int x = column(), y = row();
    if (x >= job.columns || y >= job.rows) return;
    auto read = [&](int i, int j) { return code_at(job, i, j); };
    int code;
    if (job.width == 2 * job.columns && job.height == 2 * job.rows) {
        code = average_code(read, x, y, job.columns, job.rows, job.width, job.height);
    } else {
        Place u = inside(place(2 * x + 1, job.width, job.columns), job.width);
        Place v = place(2 * y + 1, job.height, job.rows);
        int next = min(u.cell + 1, job.width - 1);
        int above = clamp(v.cell, 0, job.height - 1), below = clamp(v.cell + 1, 0, job.height - 1);
        int here = (int)rintf((1 - u.share) * 2048), there = (int)rintf(u.share * 2048);
        int upper = read(u.cell, above) * here + read(next, above) * there;
        int lower = read(u.cell, below) * here + read(next, below) * there;
        int up = (int)rintf((1 - v.share) * 2048), down = (int)rintf(v.share * 2048);
        code = ((up * (upper >> 4) >> 16) + (down * (lower >> 4) >> 16) + 2) >> 2;
    }
    job.to[(i64)y * job.columns + x] = (u8)code;
}

// cv2.resize of 8-bit codes, INTER_AREA, to fewer or as many.
extern "C" __global__ void average_codes(const CodesJob job) {
    int x = column(), y = row();
    if (x >= job.columns || y >= job.rows) return;
    auto read = [&](int i, int j) { return code_at(job, i, j); };
    int code = average_code(read, x, y, job.columns, job.rows, job.width, job.height);
    job.to[(i64)y * job.columns + x] = (u8)code;
}

__device__ inline int mirrored(int index, int count) {
    if (count == 1) return 0;
    return index < 0 ? -index : index >= count ? 2 * count - 2 - index : index;
}

// cv2.GaussianBlur of 3x3, the edge mirrored: 1, 2, 1 over 4 each way.
extern "C" __global__ void smooth_codes(const CodesJob job) {
    int x = column(), y = row();
    if (x >= job.columns || y >= job.rows) return;
    int total = 8;
    for (int j = -1; j <= 1; ++j) {
        for (int i = -1; i <= 1; ++i) {
            int code = code_at(job, mirrored(x + i, job.width), mirrored(y + j, job.height));
            total += code * (i ? 1 : 2) * (j ? 1 : 2);
        }
    }
    job.to[(i64)y * job.columns + x] = (u8)(total >> 4);
}

struct TableJob {
    const u8 *source;
    u8 *to;
    const u8 *table;  // (256)
    int width, height;           // of what is made
    int linesize, across, down;  // of what is read: bytes to a row, columns and rows to a sample
};

// Inverting, cutting at a level, class ids to opacities: anything that looks at one code at a time; may thin out too.
extern "C" __global__ void look_up(const TableJob job) {
    int x = column(), y = row();
    if (x >= job.width || y >= job.height) return;
    int code = job.source[(i64)y * job.down * job.linesize + (i64)x * job.across];
    job.to[(i64)y * job.width + x] = job.table[code];
}

struct GaussJob {
    const u8 *codes;    // (height, width)
    u16 *between;       // the same size: blurred along rows, in 1/256 of a code
    u8 *to;
    const u16 *kernel;  // (2 * reach + 1), in 1/256
    int reach, width, height;
};

// cv2.GaussianBlur of 8-bit codes in whole numbers, the edge repeated: along rows, then along columns.
extern "C" __global__ void gauss_across(const GaussJob job) {
    int x = column(), y = row();
    if (x >= job.width || y >= job.height) return;
    u32 total = 0;
    for (int i = -job.reach; i <= job.reach; ++i) {
        total += (u32)job.kernel[i + job.reach] * job.codes[(i64)y * job.width + clamp(x + i, 0, job.width - 1)];
    }
    job.between[(i64)y * job.width + x] = (u16)total;
}

extern "C" __global__ void gauss_down(const GaussJob job) {
    int x = column(), y = row();
    if (x >= job.width || y >= job.height) return;
    u32 total = 32768;
    for (int j = -job.reach; j <= job.reach; ++j) {
        total += (u32)job.kernel[j + job.reach] * job.between[(i64)clamp(y + j, 0, job.height - 1) * job.width + x];
    }
    job.to[(i64)y * job.width + x] = (u8)(total >> 16);
}

struct EchoJob {
    const u8 *alpha;     // (height, width)
    const float *past;   // the trace of earlier mattes, (past_height, past_width), or none
    float *trace;        // the new one, (height, width)
    u8 *to;
    float fade, strength;
    int width, height, past_width, past_height;
};

extern "C" __global__ void echo(const EchoJob job) {
    int x = column(), y = row();
    if (x >= job.width || y >= job.height) return;
    float trace = 0;
    if (job.past) {
        auto read = [&](int i, int j) { return job.past[(i64)j * job.past_width + i]; };
        Place u = place(2 * x + 1, job.past_width, job.width), v = place(2 * y + 1, job.past_height, job.height);
        trace = between(read, u, v, job.past_width, job.past_height) * job.fade;
    }
    i64 index = (i64)y * job.width + x;
    int alpha = job.alpha[index];
    job.to[index] = (u8)max(alpha, (int)trace);
    job.trace[index] = fmaxf(trace, (float)alpha * job.strength);
}
