"""Blending two layers on the card, as compositors/merge.py has it, and what class colours need of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.compositors.convert import stretched
from streamseg.compositors.planes import Canvas
from streamseg.gpu.jobs import CLASSES, LAYER, Record, struct
from streamseg.gpu.layers import CardCamera, CardScene, weighted
from streamseg.gpu.mattes import CardAlpha, Step
from streamseg.gpu.slot import Slot
from streamseg.gpu.surface import Surface, blank, plane_sizes


def merged(
    slot: Slot, name: str, canvas: Canvas, base: Sequence[Record], over: Sequence[Record], alpha: CardAlpha
) -> tuple[list[Record], int, int]:
    """Queue the blending of two layers, plane by plane; return what `blank` returns of the buffer `name`."""
    targets, address, size = blank(slot, name, canvas, plane_sizes(canvas))
    blend(slot, targets, canvas, base, over, alpha)
    return targets, address, size


def blend(
    slot: Slot,
    targets: Sequence[Record],
    canvas: Canvas,
    base: Sequence[Record],
    over: Sequence[Record],
    alpha: CardAlpha,
) -> None:
    """Queue the blending of two layers into the components `targets`."""
    for index, target in enumerate(targets):
        slot.launch(
            "blend",
            plane_sizes(canvas)[index],
            target=target,
            base=base[index],
            over=over[index],
            alpha=alpha.record(),
            across=canvas.shape.step[0] if index else 1,
            width=canvas.width,
            largest=canvas.shape.largest,
        )


def even(slot: Slot, code: int) -> CardAlpha:
    """A matte of one code all over; it goes up once."""
    return CardAlpha(slot.table(f"even {code}", np.array([code], np.uint8)), 1, 1)


def in_colour(slot: Slot, surface: Surface) -> Surface:
    """A grey picture as Converter.coloured makes it, of one plane read three times; others as they are."""
    canvas = surface.canvas
    if not canvas.shape.grey:
        return surface
    grey = surface.components
    if not canvas.reading.full:
        codes = slot.table("stretched codes", _stretched(canvas.shape.depth))
        layer = struct(LAYER, kind=CLASSES, pictures=list(grey), codes=codes, across=1, down=1)
        made, *_ = merged(slot, "stretched", canvas, [layer], [layer], even(slot, 0))
        grey = tuple(made)
    return Surface(canvas.in_colour, 3 * grey)


def fainter(slot: Slot, alpha: CardAlpha, opacity: float) -> CardAlpha:
    """A matte scaled, rounded to nearest."""
    shares = cv2.convertScaleAbs(np.arange(256, dtype=np.uint8), alpha=opacity).ravel()
    return Step(slot, "opacity").mapped(alpha, shares.astype(np.uint8))


def tinted(scene: CardScene, over: Sequence[Record], opacity: float) -> list[Record]:
    """A layer over the frame, hiding it by `opacity` to the nearest 1/255, as one layer."""
    share = even(scene.slot, round(255 * opacity))
    made, *_ = merged(scene.slot, "tinted", scene.canvas, CardCamera()(scene), over, share)
    return [weighted([component], [1]) for component in made]


@lru_cache
def _stretched(depth: int) -> NDArray[np.uint16]:
    """For every code that fits the sample, in full range: what is above the largest code is read as well."""
    return stretched(np.arange(1 << (8 if depth == 8 else 16)), depth).astype(np.uint16)
