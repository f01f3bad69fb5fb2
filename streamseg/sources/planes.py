"""Drawn pictures as yuv420p planes: BT.709 colours in limited range, tagged as such."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.colour import BT709, LIMITED
from streamseg.pictures import planes

Plane = NDArray[np.uint8]

_MATRIX = np.array(
    [[0.2126, 0.7152, 0.0722], [-0.114572, -0.385428, 0.5], [0.5, -0.454153, -0.045847]], np.float32
) * np.array([[219 / 255], [224 / 255], [224 / 255]], np.float32)
_OFFSET = np.array([16, 128, 128], np.float32)


def from_rgb(rgb: NDArray[Any]) -> list[NDArray[np.float32]]:
    """Convert (H, W, 3) codes 0..255 to Y, U and V, all (H, W), as unrounded codes."""
    transform = np.hstack([_MATRIX, _OFFSET[:, None]])
    return [np.asarray(p, np.float32) for p in cv2.split(cv2.transform(rgb.astype(np.float32), transform))]


def halved(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average 2x2 blocks of an (H, W) plane to chroma size, (H + 1) // 2 by (W + 1) // 2."""
    height, width = plane.shape
    even = cv2.copyMakeBorder(plane, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    size = even.shape[1] // 2, even.shape[0] // 2
    return np.asarray(cv2.resize(even, size, interpolation=cv2.INTER_AREA), np.float32)


def blank(width: int, height: int, make: Callable[[int, int, str], av.VideoFrame]) -> av.VideoFrame:
    """Make an unpainted yuv420p picture with its colours tagged; `make` may be a Pool."""
    picture = make(width, height, "yuv420p")
    picture.colorspace = picture.color_primaries = picture.color_trc = BT709
    picture.color_range = LIMITED
    return picture


def views(picture: av.VideoFrame) -> list[Plane]:
    """Return the planes of a picture as arrays to paint on."""
    return [plane.view(np.uint8) for plane in planes(picture)]
