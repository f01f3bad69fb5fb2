"""A plain reference for compositors, in double precision, and what their tests share."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.video.format import VideoFormat
from numpy.typing import NDArray

from streamseg.compositors import open_compositor
from streamseg.effects import Blurred, Camera, ClassColours, Colour, Dimmed, Layer, Recipe
from streamseg.frame import Frame, Matte

PEOPLE = ("background", "person")
Planes = list[NDArray[np.float64]]
LUMA = {1: (0.2126, 0.7152, 0.0722), 6: (0.299, 0.587, 0.114), 9: (0.2627, 0.678, 0.0593)}


def read(picture: av.VideoFrame) -> list[NDArray[np.int64]]:
    """The planes of a planar picture as integers."""
    dtype = np.dtype("<u2" if picture.format.components[0].bits > 8 else "u1")
    planes = []
    for plane in picture.planes:
        rows = np.frombuffer(bytes(plane), dtype).reshape(plane.height, -1)
        planes.append(rows[:, : plane.width].astype(np.int64))
    return planes


def noise(width: int, height: int, name: str, seed: int = 0) -> av.VideoFrame:
    """A planar picture of random code values; a third of them the smallest or the largest."""
    random = np.random.default_rng(seed)
    picture = av.VideoFrame(width, height, name)
    bits = picture.format.components[0].bits
    for plane in picture.planes:
        dtype = np.dtype("<u2" if bits > 8 else "u1")
        codes = random.integers(0, 1 << bits, (plane.height, plane.line_size // dtype.itemsize))
        extreme = random.integers(0, 6, codes.shape)
        codes = np.where(extreme == 0, 0, np.where(extreme == 1, (1 << bits) - 1, codes))
        plane.update(codes.astype(dtype).tobytes())
    return picture


def coloured(picture: av.VideoFrame) -> av.VideoFrame:
    """A grey picture as RGB of its depth, by the definition of its range; others as they are."""
    name = picture.format.name
    if not name.startswith("gray"):
        return picture
    made = av.VideoFrame(picture.width, picture.height, name.replace("gray", "gbrp"))
    (codes,), bits = read(picture), picture.format.components[0].bits
    if picture.color_range == 1:
        light = (codes / (1 << (bits - 8)) - 16) / 219
        codes = np.rint(np.clip(light, 0, 1) * ((1 << bits) - 1)).astype(np.int64)
    for plane in made.planes:
        dtype = np.dtype("<u2" if bits > 8 else "u1")
        padded = np.zeros((plane.height, plane.line_size // dtype.itemsize), dtype)
        padded[:, : plane.width] = codes
        plane.update(padded.tobytes())
    return made


def frame_of(picture: av.VideoFrame, pts: int = 0, rate: int = 25) -> Frame:
    """A frame shown at pts / rate seconds."""
    picture.pts, picture.time_base, picture.duration = pts, Fraction(1, rate), 1
    return Frame(picture, captured=0.0)


def composed(
    recipe: Recipe, picture: av.VideoFrame, matte: Matte, classes: tuple[str, ...] = PEOPLE
) -> av.VideoFrame:
    """One frame, composited."""
    with open_compositor(recipe, classes=classes) as compositor:
        return compositor(frame_of(picture), matte).picture


def full_matte(value: int) -> Matte:
    """The same everywhere."""
    return Matte(np.full((9, 16), value, np.uint8))


def furthest(one: list[Any], other: list[Any]) -> float:
    """The largest difference of two pictures, in code values."""
    return max(float(np.abs(a - b).max()) for a, b in zip(one, other, strict=True))


class Reference:
    """Composites one picture in double precision."""

    def __init__(
        self, picture: av.VideoFrame, alpha: NDArray[np.uint8], labels: NDArray[np.uint8] | None = None
    ) -> None:
        self.planes: Planes = [plane.astype(np.float64) for plane in read(picture)]
        self.alpha, self.labels = alpha, labels
        self.width, self.height = picture.width, picture.height
        pixels = VideoFormat(picture.format.name, 64, 64)
        self.rgb, self.grey = pixels.is_rgb, len(pixels.components) == 1
        self.depth = pixels.components[0].bits
        self.largest = (1 << self.depth) - 1
        self.across = 1 if self.rgb or self.grey else 64 // pixels.chroma_width()
        full_by_format = (
            self.rgb or picture.format.name.startswith("yuvj") or (self.grey and picture.color_range == 0)
        )
        self.full = full_by_format or picture.color_range == 2
        guess = 6 if picture.height < 720 else 1
        self.weights = LUMA[picture.colorspace if picture.colorspace in LUMA else guess]

    def composite(self, recipe: Recipe) -> Planes:
        """Planes of the opaque picture a recipe without matte operations makes."""
        base, over = self.layer(recipe.background), self.layer(recipe.foreground)
        alpha = self.alpha.astype(np.float64)
        if isinstance(recipe.foreground, ClassColours):
            opacity = recipe.foreground.opacity
            if isinstance(recipe.background, Camera):
                alpha = np.rint(self.alpha * opacity)
            else:
                opacity = np.rint(255 * opacity) / 255
                over = [
                    np.rint(opacity * colour + (1 - opacity) * seen)
                    for colour, seen in zip(over, self.planes, strict=True)
                ]
        masks = [np.rint(self.sampled(alpha, index) * self.largest / 255) for index in range(len(base))]
        return [
            np.rint((m * o + (self.largest - m) * b) / self.largest)
            for b, o, m in zip(base, over, masks, strict=True)
        ]

    def sampled(self, alpha: NDArray[np.float64], index: int) -> NDArray[np.float64]:
        """Alpha at the samples of a plane."""
        rows, columns = self.planes[index].shape
        subsampled = index > 0 and not self.rgb
        across = self.across if subsampled else 1
        x = (across * np.arange(columns) + 0.5) * alpha.shape[1] / self.width - 0.5
        if self.across == 1 or not subsampled:
            x = (np.arange(columns) + 0.5) * alpha.shape[1] / columns - 0.5
        y = (np.arange(rows) + 0.5) * alpha.shape[0] / rows - 0.5
        return linear(y, alpha.shape[0]) @ alpha @ linear(x, alpha.shape[1]).T

    def layer(self, layer: Layer) -> Planes:
        """The planes of one layer."""
        match layer:
            case Camera():
                return self.planes
            case Colour(rgb) | ClassColours(tint=rgb):
                return [
                    np.full(plane.shape, code)
                    for plane, code in zip(self.planes, self.codes(rgb), strict=False)
                ]
            case Dimmed(light):
                return self.dimmed(light)
            case Blurred(strength):
                return self.blurred(strength)
        raise AssertionError(layer)

    def codes(self, rgb: tuple[int, int, int]) -> tuple[float, ...]:
        """Code values of a colour, one for each plane."""
        red, green, blue = (value / 255 for value in rgb)
        if self.rgb:
            return tuple(np.rint(value * self.largest) for value in (green, blue, red))
        kr, kg, kb = self.weights
        y = kr * red + kg * green + kb * blue
        chroma = (blue - y) / (2 - 2 * kb), (red - y) / (2 - 2 * kr)
        step, middle = 2 ** (self.depth - 8), 2 ** (self.depth - 1)
        if self.full:
            codes = [y * self.largest, *(c * self.largest + middle for c in chroma)]
        else:
            codes = [step * (16 + 219 * y), *(step * 224 * c + middle for c in chroma)]
        return tuple(np.clip(np.rint(codes), 0, self.largest))

    def dimmed(self, light: float) -> Planes:
        """Grey, and darker."""
        black = self.codes((0, 0, 0))
        if self.rgb:
            green, blue, red = self.planes
            kr, kg, kb = self.weights
            return 3 * [np.rint(light * (kr * red + kg * green + kb * blue))]
        luma = np.clip(np.rint(black[0] + light * (self.planes[0] - black[0])), 0, self.largest)
        return [luma, *(np.full(plane.shape, black[1]) for plane in self.planes[1:])]

    def blurred(self, strength: float) -> Planes:
        """Normalised convolution on a grid 2^n times coarser."""
        sigma = strength * self.height / 1080
        factor = 2 ** math.floor(math.log2(sigma / 1.5)) if sigma >= 3 else 1
        wide, high = -(-self.width // factor), -(-self.height // factor)
        y = (np.arange(high) + 0.5) * self.alpha.shape[0] / high - 0.5
        x = (np.arange(wide) + 0.5) * self.alpha.shape[1] / wide - 0.5
        alpha = linear(y, self.alpha.shape[0]) @ self.alpha @ linear(x, self.alpha.shape[1]).T
        weight = np.clip(1 - 2 * alpha / 255, 1e-3, None)
        down, right = gaussian(high, sigma / factor), gaussian(wide, sigma / factor)
        layers = []
        for plane in self.planes:
            rows, columns = plane.shape
            if rows >= 2 * high and columns >= 2 * wide and rows % 2 == columns % 2 == 0:
                half = np.floor(area(rows // 2, rows) @ plane @ area(columns // 2, columns).T + 0.5)
                small = np.floor(area(high, rows // 2) @ half @ area(wide, columns // 2).T + 0.5)
            elif rows >= high and columns >= wide:
                small = np.floor(area(high, rows) @ plane @ area(wide, columns).T + 0.5)
            else:
                y, x = (
                    (np.arange(high) + 0.5) * rows / high - 0.5,
                    (np.arange(wide) + 0.5) * columns / wide - 0.5,
                )
                small = linear(y, rows) @ plane @ linear(x, columns).T
            small = (down @ (small * weight) @ right.T) / (down @ weight @ right.T)
            y = (np.arange(rows) + 0.5) * high / rows - 0.5
            x = (np.arange(columns) + 0.5) * wide / columns - 0.5
            layers.append(np.rint(linear(y, high) @ small @ linear(x, wide).T))
        return layers


def linear(places: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """(places, count) weights of linear interpolation between `count` samples, the edge repeated."""
    places = np.clip(places, 0, count - 1)
    return np.clip(1 - np.abs(places[:, None] - np.arange(count)), 0, None)


def area(fewer: int, count: int) -> NDArray[np.float64]:
    """(fewer, count) weights of averaging over areas."""
    edges = np.arange(fewer + 1) * count / fewer
    cells = np.arange(count)
    overlap = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    weights = np.clip(overlap, 0, None)
    return weights / weights.sum(axis=1, keepdims=True)


def gaussian(count: int, sigma: float) -> NDArray[np.float64]:
    """(count, count) weights of a Gaussian cut off at 2.5 sigma, the edge repeated."""
    reach = math.ceil(2.5 * sigma)
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    taps /= taps.sum()
    weights = np.zeros((count, count))
    for row in range(count):
        for offset, tap in zip(range(-reach, reach + 1), taps, strict=True):
            weights[row, min(max(row + offset, 0), count - 1)] += tap
    return weights
