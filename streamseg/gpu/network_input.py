"""From a frame on the card to the tensor a network wants, without leaving it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamseg import hdr
from streamseg.colour import BT601, Reading, luma_weights
from streamseg.compositors.planes import Canvas
from streamseg.crop import Box
from streamseg.gpu.jobs import Record
from streamseg.gpu.slot import Slot
from streamseg.gpu.surface import Surface
from streamseg.models.card import InputSpec
from streamseg.network_input import Placement, place

_ROWS = {"rgb": (0, 1, 2), "bgr": (2, 1, 0)}
_GBR = {"g": 0, "b": 1, "r": 2}
"""Rows and columns of hdr.TO_BT709."""


class CardInput:
    """Fills a network's input on the card, as NetworkInput does with swscale: to a code or two of 255.

    Areas are averaged where the picture shrinks, in float32; chroma is taken to be centred, as swscale takes
    it. The result is rounded to codes: the masks `selfie` finds then have an IoU of 0.9996 and more with
    those of the CPU path, unrounded one of 0.995 (four frames of the demo portrait).
    """

    def __init__(self, spec: InputSpec, *, half: bool) -> None:
        """`half`: the network takes float16, not float32."""
        self._spec, self._half = spec, half
        self.size = int(np.prod(spec.shape)) * (2 if half else 4)
        """Of the tensor, in bytes."""
        mean = np.broadcast_to(np.array(spec.mean), spec.channels)
        std = np.broadcast_to(np.array(spec.std), spec.channels)
        self._gain, self._bias = list(spec.scale / std), list(-mean / std)

    def __call__(self, slot: Slot, surface: Surface, tensor: int, view: Box | None = None) -> Placement:
        """Queue filling the tensor at an address; return where on it the picture lies.

        `view`: the part of the frame the network sees instead of the whole; it begins at a chroma sample.
        """
        spec, canvas = self._spec, surface.canvas
        box = view or Box(0, 0, canvas.width, canvas.height)
        placement = place(spec, (box.width, box.height))
        only_luma = spec.colour == "grey" and not canvas.shape.rgb
        components = surface.components[:1] if only_luma else surface.components
        slot.launch(
            "network_input",
            (spec.width, spec.height),
            planes=[part(component, box, canvas, index) for index, component in enumerate(components)],
            tensor=tensor,
            matrix=matrix(canvas, spec.colour),
            gain=self._gain,
            bias=self._bias,
            count=len(components),
            channels=spec.channels,
            half=self._half,
            channels_last=spec.layout == "nhwc",
            width=spec.width,
            height=spec.height,
            left=placement.x,
            top=placement.y,
            columns=placement.width,
            rows=placement.height,
            **self._ordinary(slot, canvas),
        )
        return placement

    def _ordinary(self, slot: Slot, canvas: Canvas) -> dict[str, Any]:
        """What turns high dynamic range into ordinary codes; nothing for a frame that has them."""
        transfer, primaries = canvas.tags.transfer, canvas.tags.primaries
        if transfer not in (hdr.PQ, hdr.HLG):
            return {}
        mixed = np.eye(3)
        if primaries == hdr.WIDE and self._spec.colour != "grey":
            rows = [_GBR[letter] for letter in self._spec.colour]
            mixed = hdr.TO_BT709[np.ix_(rows, rows)]
        return {
            "light": slot.table("light", hdr.shares_of_white(transfer)),
            "ordinary": slot.table("ordinary", hdr.codes_of_roots()),
            "primaries": mixed,
            "brightest": hdr.BRIGHTEST,
            "roots": hdr.STEPS / math.sqrt(hdr.BRIGHTEST),
        }


def part(component: Record, box: Box, canvas: Canvas, index: int) -> Record:
    """The part of a plane that shows a box of the frame."""
    across, down = canvas.shape.step if index else (1, 1)
    cut: Any = component.copy()
    x, y = box.x // across, box.y // down
    cut["data"] += np.uint64(y * int(component["linesize"]) + x * int(component["step"]))
    cut["width"], cut["height"] = -(-box.width // across), -(-box.height // down)
    taken: Record = cut
    return taken


def matrix(canvas: Canvas, colour: str) -> NDArray[np.float64]:
    """(3, 4): factors and offset that make of the codes of a canvas a network's channels, 0..255."""
    held = canvas.shape
    made = np.zeros((3, 4))
    if held.rgb:
        rgb = np.zeros((3, 4))
        rgb[[0, 1, 2], [2, 0, 1]] = 255 / held.largest
    else:
        rgb = _rgb_of_yuv(canvas.reading, held.depth)
        if held.grey or colour == "grey":  # of YUV that is its luma
            rgb[:, 1:3] = 0
            rgb[:, 3] = rgb[0, 0] * -_black(canvas.reading, held.depth)
    if colour == "grey":
        made[0] = np.array(luma_weights(BT601)) @ rgb  # swscale's grey of RGB, whatever its matrix
    else:
        made[:] = rgb[list(_ROWS[colour])]
    return made


def _black(read: Reading, depth: int) -> float:
    return 0 if read.full else 16 << (depth - 8)


def _rgb_of_yuv(read: Reading, depth: int) -> NDArray[np.float64]:
    """(3, 4): red, green, blue in 0..255 from Y, Cb, Cr (ITU-T H.273, 8.3)."""
    largest, middle = (1 << depth) - 1, 1 << (depth - 1)
    luma, chroma = (largest, largest) if read.full else (219 << (depth - 8), 224 << (depth - 8))
    red, green, blue = luma_weights(read.matrix)
    of_cb, of_cr = 2 * (1 - blue), 2 * (1 - red)
    made = np.array(
        [
            [1, 0, of_cr, 0],
            [1, -of_cb * blue / green, -of_cr * red / green, 0],
            [1, of_cb, 0, 0],
        ]
    ) * (255 / np.array([luma, chroma, chroma, 1]))
    made[:, 3] = -made[:, 0] * _black(read, depth) - (made[:, 1] + made[:, 2]) * middle
    return made
