"""Pictures that FFmpeg decoded on the card, read where they lie.

FFmpeg and PyCUDA use the same context, the primary one, so an address means the same to both.
"""

from __future__ import annotations

import av
import numpy as np
from numpy.typing import NDArray

from streamseg.compositors.planes import Canvas
from streamseg.gpu.device import Steps
from streamseg.gpu.slot import Slot
from streamseg.gpu.surface import Surface, components, positions
from streamseg.hdr import to_sdr
from streamseg.pictures import layout, on_card


def decoded(picture: av.VideoFrame) -> Surface | None:
    """Where a picture lies on the card; None if it is in memory, or its samples are where no kernel looks.

    A slot that reads it has to `follow_decoder` first. The surface keeps the picture.
    """
    found = positions(layout(picture).name) if on_card(picture) else None
    if found is None:
        return None
    planes, canvas = picture.planes, Canvas.of(picture)
    addresses, linesizes = [plane.buffer_ptr for plane in planes], [plane.line_size for plane in planes]
    return Surface(canvas, components(canvas, found, addresses, linesizes), picture)


def points(slot: Slot, surface: Surface, size: tuple[int, int]) -> Steps[NDArray[np.uint8] | None]:
    """(h, w) luma of pixels spread evenly over a surface, in full range, as Shots compares it.

    None of a picture smaller than `size` (w, h), or whose first component is no luma.
    """
    canvas, luma, (width, height) = surface.canvas, surface.components[0], size
    across, down = canvas.width // width, canvas.height // height
    wide = bool(luma["wide"])
    if not across or not down or canvas.shape.rgb or (wide and int(luma["shift"]) + canvas.shape.depth != 16):
        return None
    step, linesize = int(luma["step"]), int(luma["linesize"])
    to = slot.memory("points", width * height)
    slot.follow_decoder()
    slot.launch(
        "look_up",
        size,
        # The upper of two bytes holds the upper eight bits.
        source=int(luma["data"]) + wide + down // 2 * linesize + across // 2 * step,
        to=to,
        table=slot.table("luma", _full_range(canvas)),
        width=width,
        height=height,
        linesize=linesize,
        across=across * step,
        down=down,
    )
    found = slot.download("points", to, width * height)
    yield slot.queued()
    (grey,) = to_sdr([np.array(found).reshape(height, width)], canvas.tags.transfer, canvas.tags.primaries)
    return grey


def _full_range(canvas: Canvas) -> NDArray[np.uint8]:
    """(256,) luma in full range, by its code."""
    codes = np.arange(256)
    light = codes if canvas.reading.full else (codes - 16) * (255 / 219)
    return np.rint(np.clip(light, 0, 255)).astype(np.uint8)
