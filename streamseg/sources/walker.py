"""The moving figure of `test:`: somebody walks to and fro in front of a wall."""

from __future__ import annotations

import math
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.sources.planes import Plane, from_rgb, halved

_HEIGHT = 0.78
"""Of the figure, as a share of the frame's."""
_FLOOR = 0.93
"""Where the feet are, as a share of the frame's height."""
_WIDTH = 0.62
"""Of a sprite, as a share of the figure's height: room for arms and legs."""
_CYCLE = 1.1
"""Seconds for two steps."""
_PHASES = 18
"""Pictures of a cycle at most: each takes 1.3 MB at 1080p."""
_STRIDE = 0.68
"""Way the figure makes in that time, in figure heights."""
_STRIP = 64
"""Rows of the background drawn at a time; even, as chroma has half as many."""

_SKIN, _HAIR, _SHIRT, _TROUSERS, _SHOE = (
    (222, 170, 138),
    (74, 46, 32),
    (196, 84, 58),
    (44, 58, 96),
    (36, 32, 34),
)

Point = tuple[float, float]


class Walker:
    """Blits sprites of one walking cycle, drawn when first needed, onto copies of one background."""

    def __init__(self, width: int, height: int, rate: Fraction) -> None:
        self._size = width, height
        self._background = _background(width, height)
        self._tall = max(2.0, _HEIGHT * height)
        self._phases = max(1, min(_PHASES, round(_CYCLE * rate)))
        wide, high = _sprite_size(self._tall)
        shapes = (high, wide), (high // 2, wide // 2), (high // 2, wide // 2)
        # One block for all of them, or the memory used while drawing is left in pieces between them.
        self._sprites = [np.empty((self._phases, 2, *shape), np.uint8) for shape in shapes]
        self._drawn: set[int] = set()
        self._rate = rate

    def paint(self, picture: list[Plane], index: int) -> None:
        """Fill the planes of frame `index`."""
        for plane, background in zip(picture, self._background, strict=True):
            np.copyto(plane, background)
        left, top, phase, mirrored = self._pose(index)
        if phase not in self._drawn:
            self._draw(phase)
        for number, (plane, sprites) in enumerate(zip(picture, self._sprites, strict=True)):
            colour, through = sprites[phase]
            if mirrored:  # on the spot: sprites kept both ways would take 90 MB at 1080p
                colour, through = np.asarray(cv2.flip(colour, 1)), np.asarray(cv2.flip(through, 1))
            shrink = 2 if number else 1
            _blend(plane, colour, through, left // shrink, top // shrink)

    def _pose(self, index: int) -> tuple[int, int, int, bool]:
        """Return the sprite's even left and top, the phase of its steps and whether it walks to the left."""
        width, height = self._size
        seconds = float(index / self._rate)
        room = max(width - self._tall * _WIDTH, 1.0)
        way = (0.25 * room + seconds / _CYCLE * _STRIDE * self._tall) % (2 * room)
        left = min(way, 2 * room - way) + min(0.0, width - self._tall * _WIDTH) / 2
        phase = int(seconds / _CYCLE * self._phases) % self._phases
        return 2 * round(left / 2), 2 * round((_FLOOR * height - self._tall) / 2), phase, way > room

    def _draw(self, phase: int) -> None:
        """Draw a sprite and keep it: for each plane colour times opacity, and 255 - opacity."""
        colours, opacity = _figure(self._tall, 2 * math.pi * phase / self._phases)
        for number, (plane, sprites) in enumerate(zip(from_rgb(colours), self._sprites, strict=True)):
            premultiplied, alpha = plane * opacity, opacity
            if number:
                premultiplied, alpha = halved(premultiplied), halved(opacity)
            sprites[phase] = _rounded(premultiplied), _rounded(255 * (1 - alpha))
        self._drawn.add(phase)


def _rounded(plane: NDArray[np.float32]) -> Plane:
    return np.rint(plane).astype(np.uint8)


def _blend(plane: Plane, colour: Plane, through: Plane, left: int, top: int) -> None:
    """Lay a sprite over a plane in place, cut off at the plane's edges."""
    x, y = max(0, -left), max(0, -top)
    target = plane[top + y : max(0, top + colour.shape[0]), left + x : max(0, left + colour.shape[1])]
    if target.size:
        rows, columns = slice(y, y + target.shape[0]), slice(x, x + target.shape[1])
        dimmed = cv2.multiply(target, through[rows, columns], scale=1 / 255)
        cv2.add(dimmed, colour[rows, columns], dst=target)


def _background(width: int, height: int) -> list[Plane]:
    """A lit wall, a skirting board and a floor in perspective, dithered against banding."""
    half = (height + 1) // 2, (width + 1) // 2
    background = [np.empty(shape, np.uint8) for shape in ((height, width), half, half)]
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    grain = np.random.default_rng(1)
    for top in range(0, height, _STRIP):  # a strip at a time stays in the cache
        luma, *chroma = from_rgb(_room(width, y[top : top + _STRIP], grain))
        background[0][top : top + _STRIP] = _rounded(luma)
        for plane, strip in zip(background[1:], chroma, strict=True):
            plane[top // 2 : (top + _STRIP) // 2] = _rounded(halved(strip))
    return background


def _room(width: int, y: NDArray[np.float32], grain: np.random.Generator) -> NDArray[np.float32]:
    """Draw some rows of the room, at heights `y` (h, 1) from 0 to 1, as (h, W, 3) RGB codes."""
    x = np.linspace(0, 1, width, dtype=np.float32)[None, :]
    light = np.exp(-((x - 0.3) ** 2) / 0.18) * np.exp(-((y - 0.25) ** 2) / 0.3)
    wall, floor = y[:, 0] < 0.775, y[:, 0] >= 0.8
    rough = grain.random((len(y), width), np.float32) * 4 - 2
    rough[wall] += 2.5 * np.sin(x * 190) * np.sin(y[wall] * 107)
    depth = (y[floor] - 0.8) / 0.2
    rough[floor] += 7 * np.sign(np.sin((x - 0.5) * 60 / (0.35 + depth)))
    rgb = np.empty((len(y), width, 3), np.float32)
    for channel, (dark, lit, near, far) in enumerate(
        ((112, 74, 138, 30), (138, 62, 106, 24), (146, 48, 82, 18))
    ):
        rgb[..., channel] = 176 + 30 * light
        rgb[wall, :, channel] = dark + lit * light[wall] + rough[wall]
        rgb[floor, :, channel] = near + far * depth + rough[floor]
    return rgb


def _sprite_size(tall: float) -> tuple[int, int]:
    """Return the even (w, h) that hold a figure `tall` pixels high in every pose."""
    return 2 * math.ceil(_WIDTH * tall / 2), 2 * math.ceil(1.02 * tall / 2)


def _figure(tall: float, phase: float) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Draw the figure walking to the right: (h, w, 3) RGB codes and (h, w) opacity 0..1, of even size."""
    wide, high = _sprite_size(tall)
    finer = 1 if tall > 256 else 2 if tall > 64 else 8
    canvas = _Canvas(wide * finer, high * finer, tall * finer)
    _draw_person(canvas, phase)
    rgb, opacity = (
        np.asarray(cv2.resize(plane, (wide, high), interpolation=cv2.INTER_AREA), np.uint8)
        for plane in (canvas.rgb, canvas.opacity)
    )
    return rgb, opacity.astype(np.float32) / np.float32(255)


class _Canvas:
    """Shapes in figure heights, from the middle of the sprite (x) and from its top (y)."""

    def __init__(self, width: int, height: int, scale: float) -> None:
        self.rgb = np.empty((height, width, 3), np.uint8)
        self.rgb[:] = _SHIRT  # what shows through at half covered edges
        self.opacity = np.zeros((height, width), np.uint8)
        self._scale = scale

    def capsule(
        self, start: Point, end: Point, thick: float, thin: float, colour: tuple[int, int, int]
    ) -> None:
        """A limb from a circle of radius `thick` to one of radius `thin`, lit from the upper left."""
        self._hull(start, end, thick, thin, tuple(int(0.8 * value) for value in colour))
        shift = 0.18 * thin
        lit = (start[0] - shift, start[1] - shift), (end[0] - shift, end[1] - shift)
        self._hull(*lit, 0.72 * thick, 0.72 * thin, colour)

    def _hull(self, start: Point, end: Point, thick: float, thin: float, colour: tuple[int, ...]) -> None:
        angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        circle = np.stack([np.cos(angles), np.sin(angles)], -1)
        points = np.concatenate([np.array(start) + thick * circle, np.array(end) + thin * circle])
        points = (points * self._scale + (self.opacity.shape[1] / 2, 0)) * 16
        hull = cv2.convexHull(points.round().astype(np.int32))
        cv2.fillConvexPoly(self.rgb, hull, colour, cv2.LINE_AA, 4)
        cv2.fillConvexPoly(self.opacity, hull, (255,), cv2.LINE_AA, 4)


def _draw_person(canvas: _Canvas, phase: float) -> None:
    bob = 0.008 * math.cos(2 * phase)
    hip, shoulder = (0.0, 0.5 + bob), (0.02, 0.215 + bob)
    _arm(canvas, shoulder, phase, shade=0.72)
    _leg(canvas, hip, phase + math.pi, shade=0.72)
    _leg(canvas, hip, phase, shade=1.0)
    canvas.capsule((shoulder[0], shoulder[1] + 0.012), (hip[0], hip[1] - 0.02), 0.068, 0.06, _SHIRT)
    canvas.capsule((0.02, 0.17 + bob), (0.022, 0.12 + bob), 0.028, 0.03, _SKIN)
    canvas.capsule((0.024, 0.06 + bob), (0.026, 0.068 + bob), 0.056, 0.054, _HAIR)
    canvas.capsule((0.038, 0.074 + bob), (0.04, 0.095 + bob), 0.046, 0.036, _SKIN)
    canvas.capsule((0.082, 0.086 + bob), (0.088, 0.092 + bob), 0.008, 0.008, _SKIN)
    _arm(canvas, shoulder, phase + math.pi, shade=1.0)


def _leg(canvas: _Canvas, hip: Point, phase: float, shade: float) -> None:
    thigh = 0.46 * math.sin(phase)
    shin = thigh - 0.1 - 0.85 * max(0.0, math.cos(phase)) ** 1.4
    knee = _along(hip, thigh, 0.225)
    ankle = _along(knee, shin, 0.215)
    toe = (ankle[0] + 0.062 * math.cos(shin), ankle[1] + 0.02 - 0.062 * math.sin(shin))
    canvas.capsule((ankle[0] - 0.012, ankle[1] + 0.012), toe, 0.028, 0.016, _shaded(_SHOE, shade))
    canvas.capsule(hip, knee, 0.066, 0.044, _shaded(_TROUSERS, shade))
    canvas.capsule(knee, ankle, 0.044, 0.028, _shaded(_TROUSERS, shade))


def _arm(canvas: _Canvas, shoulder: Point, phase: float, shade: float) -> None:
    upper = 0.5 * math.sin(phase)
    elbow = _along(shoulder, upper, 0.155)
    wrist = _along(elbow, upper + 0.35, 0.135)
    canvas.capsule(elbow, wrist, 0.03, 0.022, _shaded(_SKIN, shade))
    canvas.capsule(wrist, _along(wrist, upper + 0.4, 0.025), 0.024, 0.02, _shaded(_SKIN, shade))
    canvas.capsule(shoulder, elbow, 0.04, 0.033, _shaded(_SHIRT, shade))


def _along(start: Point, angle: float, length: float) -> Point:
    """Go `length` from a joint; angle 0 points down, positive ones forward (to the right)."""
    return start[0] + length * math.sin(angle), start[1] + length * math.cos(angle)


def _shaded(colour: tuple[int, int, int], shade: float) -> tuple[int, int, int]:
    red, green, blue = (int(shade * value) for value in colour)
    return red, green, blue
