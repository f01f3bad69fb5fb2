// What a network's output says: the opacity of the chosen classes, and the class of every pixel. As scores.py has it.

#pragma once

enum { PROBABILITY, LOGITS, LABELS };

#define GREATEST 3.4028234e38f

// An output of a network, wherever its values lie.
struct Scores {
    const void *data;
    int half;  // float16, else float32
    int kind;
    int classes;
    int alone;  // one channel says it all: the second of two classes
    int width, height;
    int class_step, row_step, column_step;  // values from one to the next
};

__device__ inline float value_of(const Scores &s, int channel, int x, int y) {
    i64 index = (i64)channel * s.class_step + (i64)y * s.row_step + (i64)x * s.column_step;
    return s.half ? from_half(((const u16 *)s.data)[index]) : ((const float *)s.data)[index];
}

__device__ inline float score(const Scores &s, int label, int x, int y) {
    if (!s.alone) return value_of(s, label, x, y);
    if (label) return value_of(s, 0, x, y);
    return s.kind == LOGITS ? 0 : 1 - value_of(s, 0, x, y);
}

struct ShareJob {
    Scores scores;
    const u8 *chosen;  // (256) nonzero for classes that count
    float *share;      // (height, width)
    int *broken;       // becomes 1 where a score is not finite
};

// log(sum(exp)) over the classes that are chosen, or over those that are not; the least number if there is none.
__device__ inline float log_sum_exp(const ShareJob &job, int x, int y, bool chosen) {
    float greatest = -GREATEST, total = 0;
    int found = 0;
    for (int label = 0; label < job.scores.classes; ++label) {
        if ((job.chosen[label] != 0) != chosen) continue;
        greatest = fmaxf(greatest, score(job.scores, label, x, y));
        ++found;
    }
    if (found < 2) return greatest;
    for (int label = 0; label < job.scores.classes; ++label) {
        if ((job.chosen[label] != 0) == chosen) total += expf(score(job.scores, label, x, y) - greatest);
    }
    return greatest + logf(total);
}

// Of every cell: the chosen classes' probability, or of logits its log-odds.
extern "C" __global__ void share_of_chosen(const ShareJob job) {
    int x = column(), y = row();
    const Scores &s = job.scores;
    if (x >= s.width || y >= s.height) return;
    float share = 0;
    for (int channel = 0; channel < (s.alone || s.kind == LABELS ? 1 : s.classes); ++channel) {
        float value = value_of(s, channel, x, y);
        if (!(fabsf(value) <= GREATEST)) *job.broken = 1;
    }
    if (s.kind == LABELS) {
        share = job.chosen[clamp((int)value_of(s, 0, x, y), 0, 255)] ? 1 : 0;
    } else if (s.kind == LOGITS) {
        share = clampf(log_sum_exp(job, x, y, true) - log_sum_exp(job, x, y, false), -40, 40);
    } else {
        for (int label = 0; label < s.classes; ++label) {
            if (job.chosen[label]) share += score(s, label, x, y);
        }
    }
    job.share[(i64)y * s.width + x] = share;
}

// The middle of pixel i lies at cell step * i + start.
struct Axis {
    float step, start;
};

struct MatteJob {
    const float *share;  // (cells_high, cells_wide)
    u8 *alpha;           // (height, width)
    Axis x, y;
    float offset, gain;
    int logits;
    int cells_wide, cells_high, width, height;
};

extern "C" __global__ void matte(const MatteJob job) {
    int x = column(), y = row();
    if (x >= job.width || y >= job.height) return;
    auto read = [&](int i, int j) { return job.share[(i64)j * job.cells_wide + i]; };
    Place across = place_at(job.x.step * x + job.x.start), down = place_at(job.y.step * y + job.y.start);
    float share = between(read, across, down, job.cells_wide, job.cells_high);
    if (job.logits) share = 0.5f + 0.5f * tanhf(0.5f * share);
    float alpha = clampf((share + job.offset) * job.gain, 0, 1);
    job.alpha[(i64)y * job.width + x] = (u8)rintf(alpha * 255);
}

struct LabelsJob {
    Scores scores;
    Axis x, y;
    u8 *labels;           // (height, width)
    u8 *alpha;            // the same, or none
    const u8 *opacities;  // (256) of the classes, for alpha
    int width, height;
};

// The class with the greatest interpolated score, the first of equals: full-size scores are never stored.
__device__ inline int winner(const Scores &s, Place x, Place y) {
    int best = 0;
    float greatest = -GREATEST;
    for (int label = 0; label < s.classes; ++label) {
        auto read = [&](int i, int j) { return score(s, label, i, j); };
        float value = between(read, x, y, s.width, s.height);
        if (value > greatest) {
            greatest = value;
            best = label;
        }
    }
    return best;
}

extern "C" __global__ void labels(const LabelsJob job) {
    int x = column(), y = row();
    if (x >= job.width || y >= job.height) return;
    const Scores &s = job.scores;
    float u = job.x.step * x + job.x.start, v = job.y.step * y + job.y.start;
    int label;
    if (s.kind == LABELS) {
        int i = clamp((int)floorf(u + 0.5f), 0, s.width - 1), j = clamp((int)floorf(v + 0.5f), 0, s.height - 1);
        label = clamp((int)value_of(s, 0, i, j), 0, 255);
    } else {
        label = winner(s, place_at(u), place_at(v));
    }
    i64 index = (i64)y * job.width + x;
    job.labels[index] = (u8)label;
    if (job.alpha) job.alpha[index] = job.opacities[label];
}
