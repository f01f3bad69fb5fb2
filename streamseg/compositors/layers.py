"""Painters: one for each kind of layer. A painter keeps what it can from frame to frame."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.colour import Rgb, luma_weights, overlay_palette
from streamseg.compositors.merge import affine
from streamseg.compositors.planes import Canvas
from streamseg.effects import Backdrop, Blurred, Camera, ClassColours, Colour, Dimmed, Layer
from streamseg.frame import LabelMap
from streamseg.pictures import Plane, planes


@dataclass(frozen=True, slots=True)
class Scene:
    """All that is known of one frame when its layers are painted."""

    canvas: Canvas
    picture: av.VideoFrame
    """The frame, planar."""
    alpha: NDArray[np.uint8]
    """The matte after the recipe's operations, at any size."""
    labels: LabelMap | None
    time: Fraction


class Painter(ABC):
    """Paints one layer."""

    @abstractmethod
    def __call__(self, scene: Scene) -> av.VideoFrame:
        """Return the layer's picture for this frame, in its format; the next call may paint it over."""

    def close(self) -> None:  # noqa: B027  (most layers hold nothing)
        """Release everything."""


def open_painter(layer: Layer, *, many: bool) -> Painter:
    """Return the painter of a layer; `many` says that there is more than one class beside the background.

    Raises UsageError or SourceError when a background cannot be opened.
    """
    match layer:
        case Camera():
            return CameraPainter()
        case Colour(rgb):
            return ColourPainter(rgb)
        case Blurred(strength):
            return BlurredPainter(strength)
        case Dimmed(light):
            return DimmedPainter(light)
        case ClassColours() if many:
            return ClassPainter()
        case ClassColours(tint=tint):
            return ColourPainter(tint)
        case Backdrop(uri, fit):
            from streamseg.compositors.backdrop import BackdropPainter

            return BackdropPainter(uri, fit)


class CameraPainter(Painter):
    """The frame itself."""

    def __call__(self, scene: Scene) -> av.VideoFrame:
        """Nothing to paint."""
        return scene.picture


class ColourPainter(Painter):
    """One flat colour, painted once for each kind of frame."""

    def __init__(self, rgb: Rgb) -> None:
        self.rgb = rgb
        self._canvas: Canvas | None = None

    def __call__(self, scene: Scene) -> av.VideoFrame:
        """Paint it if the frame differs in kind from the last."""
        if scene.canvas != self._canvas:
            self._canvas, self._picture = scene.canvas, scene.canvas.flat(self.rgb)
        return self._picture


class DimmedPainter(Painter):
    """The frame in grey, its light scaled down to black (0.1 ms at 720p)."""

    def __init__(self, light: float) -> None:
        self._light = light
        self._canvas: Canvas | None = None

    def __call__(self, scene: Scene) -> av.VideoFrame:
        """Scale luma; chroma stays neutral."""
        canvas = scene.canvas
        if canvas != self._canvas:
            self._canvas, self._picture = canvas, canvas.flat((0, 0, 0))
        sources, targets = planes(scene.picture), planes(self._picture)
        black = canvas.codes((0, 0, 0))[0]
        if canvas.shape.rgb:
            red, green, blue = luma_weights(canvas.reading.matrix)
            weights = np.array([[green, blue, red]]) * self._light
            cv2.transform(cv2.merge(sources), weights, dst=targets[0])
            np.copyto(targets[1], targets[0])
            np.copyto(targets[2], targets[0])
        else:
            affine(sources[0], self._light, black * (1 - self._light), targets[0])
        return self._picture


class BlurredPainter(Painter):
    """The frame blurred by a Gaussian, the foreground left out: blur(picture * weight) / blur(weight).

    `weight` is 1 where alpha is 0 and falls to next to nothing where it is a half, so that soft edges don't
    bleed. All planes are averaged down to one small grid, blurred there and scaled up bilinearly (0.6 ms at
    720p, 1.5 ms at 1080p).
    """

    FLOOR = 1e-3
    """Weight of the foreground: what is behind it is made of its surroundings, as far as there are any."""

    def __init__(self, strength: float) -> None:
        self._strength = strength
        self._canvas: Canvas | None = None

    def __call__(self, scene: Scene) -> av.VideoFrame:
        """Average down, blur, scale up."""
        canvas = scene.canvas
        if canvas != self._canvas:
            self._canvas, self._picture = canvas, canvas.blank()
            self._wide = [np.empty(plane.shape, np.uint16) for plane in planes(self._picture)]
        factor, sigma = self.grid(self._strength, canvas.height)
        grid = -(-canvas.width // factor), -(-canvas.height // factor)
        weight = cv2.resize(scene.alpha.astype(np.float32), grid)
        weight = np.clip(1 - weight * np.float32(2 / 255), np.float32(self.FLOOR), None)
        small = [_averaged(plane, grid) for plane in planes(scene.picture)]
        stack = cv2.merge([*(plane * weight for plane in small), weight])
        *totals, weights = cv2.split(_gaussian(stack, sigma))
        # Scaled up in 16 bits, where OpenCV rounds to nearest.
        fine = 1 << (16 - canvas.shape.depth)
        for plane, wide, total in zip(planes(self._picture), self._wide, totals, strict=True):
            codes = np.rint(total / weights * fine).clip(0, 65535).astype(np.uint16)
            cv2.resize(codes, plane.shape[::-1], dst=wide)
            affine(wide, 1 / fine, 0, plane)
        return self._picture

    @staticmethod
    def grid(strength: float, height: int) -> tuple[int, float]:
        """How many pixels of a frame share a cell of the grid each way, and the Gaussian's width in cells."""
        sigma = strength * height / 1080
        # A power of two is fast to average; below 1.5 pixels of the grid facets would begin to show.
        factor = 1 << max(0, int(sigma / 1.5).bit_length() - 1)
        return factor, sigma / factor


def _averaged(plane: Plane, grid: tuple[int, int]) -> cv2.typing.MatLike:
    """Average a plane down to the grid (W, H); one that has fewer samples, as chroma may, is interpolated.

    Halves of even sides are a case of their own for OpenCV, nine times as fast, so that is done first.
    """
    rows, columns = plane.shape
    if columns >= 2 * grid[0] and rows >= 2 * grid[1] and columns % 2 == rows % 2 == 0:
        halved = cv2.resize(plane, (columns // 2, rows // 2), interpolation=cv2.INTER_AREA)
        return cv2.resize(halved, grid, interpolation=cv2.INTER_AREA)
    if columns >= grid[0] and rows >= grid[1]:
        return cv2.resize(plane, grid, interpolation=cv2.INTER_AREA)
    return cv2.resize(plane.astype(np.float32), grid)


def _gaussian(stack: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    side = 2 * math.ceil(2.5 * sigma) + 1
    return cast(
        NDArray[np.float32], cv2.GaussianBlur(stack, (side, side), sigma, borderType=cv2.BORDER_REPLICATE)
    )


class ClassPainter(Painter):
    """The colour of each pixel's class; chroma takes the class of the luma sample it is sited on."""

    def __init__(self) -> None:
        self._canvas: Canvas | None = None

    def __call__(self, scene: Scene) -> av.VideoFrame:
        """Look the colours up, plane by plane."""
        canvas = scene.canvas
        if canvas != self._canvas:
            self._canvas, self._picture, self._tables = canvas, canvas.blank(), class_codes(canvas)
        if scene.labels is None:
            return self._picture
        across, down = canvas.shape.step
        sited = (
            scene.labels
            if canvas.shape.step == (1, 1)
            else np.ascontiguousarray(scene.labels[::down, ::across])
        )
        for index, plane in enumerate(planes(self._picture)):
            cv2.LUT(sited if index else scene.labels, self._tables[index], dst=plane)
        return self._picture


def class_codes(canvas: Canvas) -> list[NDArray[Any]]:
    """For each plane the (256,) code values of the classes' colours."""
    codes = [canvas.codes((int(red), int(green), int(blue))) for red, green, blue in overlay_palette()]
    return [np.array(column, canvas.shape.dtype) for column in zip(*codes, strict=True)]
