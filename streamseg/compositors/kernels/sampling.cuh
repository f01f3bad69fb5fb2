// Where the samples of one grid lie on another, along one axis: bilinearly between two cells, or averaged over several.

#pragma once

struct Place {
    int cell;
    float share;  // of the next cell, 0..1
};

// The point twice / 2 of a length `count`, counted in `cells` of the same length from the first cell's middle:
//
//     twice / 2 * cells / count - 1 / 2
//
// in whole numbers, then rounded as OpenCV rounds it: on steep edges that shows.
__device__ inline Place place(int twice, int cells, int count) {
    int numerator = twice * cells - count;
    int cell = numerator < 0 ? -1 : numerator / (2 * count);
    float exact = (float)cell + (float)(numerator - cell * 2 * count) / (float)(2 * count);
    float whole = floorf(exact);
    return Place{(int)whole, exact - whole};
}

__device__ inline Place place_at(float position) {
    float whole = floorf(position);
    return Place{(int)whole, position - whole};
}

// As OpenCV treats columns beyond the edge. Of rows it only repeats the edge and keeps the share.
__device__ inline Place inside(Place p, int cells) {
    if (p.cell < 0 || p.cell >= cells - 1) p.share = 0;
    p.cell = clamp(p.cell, 0, cells - 1);
    return p;
}

// The value between four cells; `read(x, y)` returns that of one.
template <class Read>
__device__ inline float between(Read read, Place x, Place y, int width, int height) {
    x = inside(x, width);
    int next = min(x.cell + 1, width - 1);
    int above = clamp(y.cell, 0, height - 1), below = clamp(y.cell + 1, 0, height - 1);
    float upper = read(x.cell, above) * (1 - x.share) + read(next, above) * x.share;
    float lower = read(x.cell, below) * (1 - x.share) + read(next, below) * x.share;
    return upper * (1 - y.share) + lower * y.share;
}

// Cells first..last and what each counts; the weights add up to 1.
struct Span {
    int first, last;
    float left, middle, right;
};

__device__ inline float weight(const Span &s, int cell) {
    return cell == s.first ? s.left : cell == s.last ? s.right : s.middle;
}

// Part `index` of `count` equal parts of a row of `cells`, at least as many. Like OpenCV's INTER_AREA it leaves out
// slivers of a thousandth of a cell.
__device__ inline Span area(int index, int count, int cells) {
    int begin = index * cells, end = begin + cells;  // in 1 / count of a cell
    int first = begin / count, last = (end + count - 1) / count - 1;
    int left = (first + 1) * count - begin, right = end - last * count;
    if (last > first && left * 1000 <= count) {
        first += 1;
        left = count;
    }
    if (last > first && right * 1000 <= count) {
        last -= 1;
        right = count;
    }
    if (first == last) return Span{first, last, 1, 0, 0};
    float whole = (float)cells;
    return Span{first, last, left / whole, count / whole, right / whole};
}

__device__ inline Span line(int index, int count, int cells) {
    Place p = place(2 * index + 1, cells, count);
    int first = clamp(p.cell, 0, cells - 1), last = clamp(p.cell + 1, 0, cells - 1);
    return first == last ? Span{first, last, 1, 0, 0} : Span{first, last, 1 - p.share, 0, p.share};
}

// Averaged where a picture shrinks, interpolated where it grows.
__device__ inline Span span(int index, int count, int cells) {
    return cells >= count ? area(index, count, cells) : line(index, count, cells);
}

template <class Read>
__device__ inline float average(Read read, const Span &x, const Span &y) {
    float total = 0;
    for (int j = y.first; j <= y.last; ++j) {
        float across = 0;
        for (int i = x.first; i <= x.last; ++i) across += read(i, j) * weight(x, i);
        total += across * weight(y, j);
    }
    return total;
}

// The average of a cell of the `columns` x `rows` grid over `width` x `height` codes, as a code: as INTER_AREA rounds.
template <class Read>
__device__ inline int average_code(Read read, int x, int y, int columns, int rows, int width, int height) {
    if (width % columns || height % rows) {
        return (int)rintf(average(read, area(x, columns, width), area(y, rows, height)));
    }
    int across = width / columns, down = height / rows;
    u32 total = 0;
    for (int j = 0; j < down; ++j) {
        for (int i = 0; i < across; ++i) total += (u32)read(x * across + i, y * down + j);
    }
    if (across == 2 && down == 2) return (int)((total + 2) >> 2);
    return (int)rintf((float)total * (1.0f / (float)(across * down)));
}
