"""Blending two pictures by a matte, in their own pixel format.

A matte of (h, w) is sampled bilinearly, its edge repeated, for a frame of (H, W). Sample (X, Y) of a full
plane (luma, green, blue, red, alpha) takes it at

    x = (X + 0.5) * w / W - 0.5,               y = (Y + 0.5) * h / H - 0.5

and sample (X, Y) of a chroma plane of `rows` rows, each sample of which is `across` luma samples wide, at

    x = (across * X + 0.5) * w / W - 0.5,      y = (Y + 0.5) * h / rows - 0.5

that is, on the luma column it is sited on (the left one, as MPEG-2 and H.264 have it) and half-way between
its luma rows. The sample is rounded to a code of the frame's depth, `mask`, and the two layers to

    round((mask * over + (largest - mask) * base) / largest)
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import av
import av.filter
import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.compositors.planes import Canvas
from streamseg.mattes import Alpha
from streamseg.pictures import Plane, planes


class Sampler:
    """Samples mattes for the planes of one kind of frame. Keeps scratch memory; one thread uses it.

    It works in 16 bits, where OpenCV rounds to nearest: in 8 it is off by up to 0.8, and no faster.
    """

    def __init__(self, canvas: Canvas) -> None:
        rows, columns, (across, down) = canvas.height, canvas.width, canvas.shape.step
        self._across = across
        self._full = np.empty((rows, columns), np.uint16)
        self._chroma = self._full
        if (across, down) != (1, 1):
            self._chroma = np.empty((-(-rows // down), -(-columns // across)), np.uint16)
        self._columns = np.zeros((self._chroma.shape[0], self._chroma.shape[1] * across), np.uint16)

    def ramp(self, alpha: Alpha, targets: Sequence[Plane], low: Sequence[int], high: Sequence[int]) -> None:
        """Fill each plane with codes from its `low` (where alpha is 0) to its `high` (255)."""
        wide = np.multiply(alpha, 257, dtype=np.uint16)
        fresh: list[Plane] = []
        for index, (target, dark, light) in enumerate(zip(targets, low, high, strict=True)):
            sampled = self._chroma if index else self._full
            if dark == light:
                target.fill(dark)
                continue
            if not any(sampled is one for one in fresh):
                self._sample(wide, sampled)
                fresh.append(sampled)
            affine(sampled, (light - dark) / 65535, dark, target)

    def _sample(self, wide: NDArray[np.uint16], sampled: NDArray[np.uint16]) -> None:
        rows, columns = sampled.shape
        if sampled is self._full or self._across == 1:
            cv2.resize(wide, (columns, rows), dst=sampled)
            return
        width = self._full.shape[1]
        cv2.resize(wide, (width, rows), dst=self._columns[:, :width])
        cv2.extractChannel(self._columns.reshape(rows, columns, self._across), 0, dst=sampled)


class Merger:
    """libavfilter's maskedmerge for one kind of frame: exact where the mask is 0 or full, else rounded.

    Sampling the mask included: 0.6 ms at 720p and 1.4 ms at 1080p for yuv420p. Above 8 bits maskedmerge has
    no SIMD: 2.2 and 4.8 ms more, shared among the graph's threads.
    """

    def __init__(self, canvas: Canvas, sampler: Sampler) -> None:
        self._canvas = canvas
        self._sampler = sampler
        # The filter lets go of a frame when the next one comes, so the one mask is free again by then.
        self._mask = canvas.blank()
        self._mask_planes = planes(self._mask)
        self._graph = av.filter.Graph()
        # With SIMD a frame is merged before a second thread has woken up.
        self._graph.threads = 1 if canvas.shape.depth == 8 else min(4, os.cpu_count() or 1)
        merge = self._graph.add("maskedmerge")
        self._inputs = [self._input(merge, index) for index in range(3)]
        self._output = self._graph.add("buffersink")
        merge.link_to(self._output)
        self._graph.configure()

    def __call__(self, base: av.VideoFrame, over: av.VideoFrame, alpha: Alpha) -> av.VideoFrame:
        """Return a new picture: `over` where alpha is 255, `base` where it is 0."""
        count = len(self._mask_planes)
        self._sampler.ramp(alpha, self._mask_planes, count * [0], count * [self._canvas.shape.largest])
        for entry, picture in zip(self._inputs, (base, over, self._mask), strict=True):
            entry.push(picture)
        merged = self._output.pull()
        assert isinstance(merged, av.VideoFrame)
        self._canvas.tag(merged)
        return merged

    def _input(self, merge: av.filter.context.FilterContext, index: int) -> av.filter.context.FilterContext:
        canvas = self._canvas
        entry = self._graph.add(
            "buffer",
            f"video_size={canvas.width}x{canvas.height}:pix_fmt={canvas.format}:time_base=1/1:pixel_aspect=1/1"
            f":colorspace={canvas.tags.matrix}:range={canvas.tags.range}",
        )
        # Frames are matched by pts: counted here, so that the frames' own don't matter and stay as they are.
        count = self._graph.add("setpts", "N")
        entry.link_to(count)
        count.link_to(merge, 0, index)
        return entry


def affine(source: Plane, scale: float, offset: float, target: Plane) -> None:
    """Write `source * scale + offset`, which is nowhere negative, rounded to nearest, into `target`."""
    if target.dtype == np.uint8:
        cv2.convertScaleAbs(source, dst=target, alpha=scale, beta=offset)
    else:
        cv2.addWeighted(source, scale, source, 0, offset, dst=target)
