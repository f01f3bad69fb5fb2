// Two layers, made sample by sample, blended by a matte. compositors/merge.py has the formulas.

#pragma once

enum { SUM, CLASSES, GRID };

struct Layer {
    Component pictures[3];
    const u16 *codes;    // CLASSES: by the ids in the label map pictures[0], or by its codes
    float weights[3];    // SUM: of the pictures' samples
    float offset;        // SUM: added to them; alone it is a flat colour
    int count;           // SUM: of pictures
    int kind;
    int across, down;    // CLASSES: columns and rows of the label map to a sample
};

struct BlendJob {
    Component target;
    Layer base, over;
    Alpha alpha;
    int across;   // luma columns to a sample
    int width;    // luma columns
    int largest;  // code
};

__device__ inline int layer_code(const Layer &layer, int x, int y, int width, int height, int largest) {
    const Component &first = layer.pictures[0];
    if (layer.kind == CLASSES) return layer.codes[sample(first, x * layer.across, y * layer.down)];
    if (layer.kind == GRID) {
        auto read = [&](int i, int j) { return (float)sample(first, i, j); };
        Place u = place(2 * x + 1, first.width, width), v = place(2 * y + 1, first.height, height);
        return min((int)rintf(rintf(between(read, u, v, first.width, first.height)) * layer.weights[0]), largest);
    }
    float total = layer.offset;
#pragma unroll
    for (int i = 0; i < 3; ++i) {
        if (i < layer.count) total += layer.weights[i] * (float)sample(layer.pictures[i], x, y);
    }
    return clamp((int)rintf(total), 0, largest);
}

// Alpha at a sample of a plane of `rows`, 0..65535.
__device__ inline float opacity(const Alpha &a, int x, int y, int across, int width, int rows) {
    auto read = [&](int i, int j) { return (float)(a.data[(i64)j * a.width + i] * 257); };
    Place u = place(2 * across * x + 1, a.width, width), v = place(2 * y + 1, a.height, rows);
    return rintf(between(read, u, v, a.width, a.height));
}

// One thread for each sample of the plane. A layer is only read where it shows.
extern "C" __global__ void blend(const BlendJob job) {
    int x = column(), y = row();
    const Component &target = job.target;
    if (x >= target.width || y >= target.height) return;
    float alpha = opacity(job.alpha, x, y, job.across, job.width, target.height);
    if (job.base.kind == SUM && job.over.kind == SUM && !job.base.count && !job.over.count) {
        float ramp = alpha * ((job.over.offset - job.base.offset) / 65535) + job.base.offset;
        store(target, x, y, (int)rintf(ramp));
        return;
    }
    u32 largest = job.largest, mask = (u32)rintf(alpha * (job.largest / 65535.0f)), base = 0, over = 0;
    if (mask < largest) base = layer_code(job.base, x, y, target.width, target.height, job.largest);
    if (mask > 0) over = layer_code(job.over, x, y, target.width, target.height, job.largest);
    store(target, x, y, (int)((mask * over + (largest - mask) * base + largest / 2) / largest));
}

struct VeilJob {
    Component source, target, transparency;
    int across, down;  // columns and rows of transparency to a sample
    int black;
};

// What is transparent is painted black: a sample of chroma if all that it colours is.
extern "C" __global__ void veil(const VeilJob job) {
    int x = column(), y = row();
    if (x >= job.target.width || y >= job.target.height) return;
    const Component &t = job.transparency;
    int right = min((x + 1) * job.across, t.width), bottom = min((y + 1) * job.down, t.height);
    bool shown = false;
    for (int j = y * job.down; j < bottom; ++j) {
        for (int i = x * job.across; i < right; ++i) shown = shown || sample(t, i, j) > 0;
    }
    store(job.target, x, y, shown ? sample(job.source, x, y) : job.black);
}

struct ClearJob {
    Component target;  // of transparency
    Component own;     // the picture's own, in the same codes; width 0 if it has none
    Alpha alpha;
    int largest;
};

extern "C" __global__ void transparency(const ClearJob job) {
    int x = column(), y = row();
    const Component &target = job.target;
    if (x >= target.width || y >= target.height) return;
    float code = rintf(opacity(job.alpha, x, y, 1, target.width, target.height) * (job.largest / 65535.0f));
    if (job.own.width) code = rintf(code * (float)sample(job.own, x, y) * (1.0f / (float)job.largest));
    store(target, x, y, (int)code);
}
