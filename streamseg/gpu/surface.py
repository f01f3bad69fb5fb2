"""Pictures on the card: where the samples of each component lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import av
import numpy as np
from numpy.typing import NDArray

from streamseg.compositors.planes import Canvas, planar_kin
from streamseg.gpu.jobs import COMPONENT, Record, struct
from streamseg.gpu.mattes import CardAlpha
from streamseg.gpu.slot import Lease, Slot
from streamseg.pictures import Pool, planes, rows, shape

if TYPE_CHECKING:
    from streamseg.gpu.device import Device

Position: TypeAlias = tuple[int, int, int, int]
"""Plane, first byte, bytes from sample to sample, unused low bits: as an AVComponentDescriptor has them."""

Later: TypeAlias = Callable[[], av.VideoFrame]
"""Makes a picture of what was downloaded, once the card has done all that was queued; on any thread."""

_NATIVE: Mapping[str, tuple[Position, ...]] = {
    "nv12": ((0, 0, 1, 0), (1, 0, 2, 0), (1, 1, 2, 0)),
    "nv21": ((0, 0, 1, 0), (1, 1, 2, 0), (1, 0, 2, 0)),
    "nv16": ((0, 0, 1, 0), (1, 0, 2, 0), (1, 1, 2, 0)),
    "p010le": ((0, 0, 2, 6), (1, 0, 4, 6), (1, 2, 4, 6)),
    "p016le": ((0, 0, 2, 0), (1, 0, 4, 0), (1, 2, 4, 0)),
    "p210le": ((0, 0, 2, 6), (1, 0, 4, 6), (1, 2, 4, 6)),
    "yuyv422": ((0, 0, 2, 0), (0, 1, 4, 0), (0, 3, 4, 0)),
    "uyvy422": ((0, 1, 2, 0), (0, 0, 4, 0), (0, 2, 4, 0)),
    "rgb24": ((0, 1, 3, 0), (0, 2, 3, 0), (0, 0, 3, 0)),
    "bgr24": ((0, 1, 3, 0), (0, 0, 3, 0), (0, 2, 3, 0)),
    "rgba": ((0, 1, 4, 0), (0, 2, 4, 0), (0, 0, 4, 0)),
    "bgra": ((0, 1, 4, 0), (0, 0, 4, 0), (0, 2, 4, 0)),
    "rgb0": ((0, 1, 4, 0), (0, 2, 4, 0), (0, 0, 4, 0)),
    "bgr0": ((0, 1, 4, 0), (0, 0, 4, 0), (0, 2, 4, 0)),
}
"""Formats of cameras, decoders and screens, by component, in the order of their planar kin's planes."""


@dataclass(frozen=True, slots=True)
class Surface:
    """A picture on the card, whoever put it there; it is read, never written."""

    canvas: Canvas
    components: tuple[Record, ...]
    """One for each plane of the canvas' format."""
    decoded: av.VideoFrame | None = None
    """Whose memory it is, if a decoder put it there: it is used again when nobody holds this."""


@dataclass(frozen=True, slots=True)
class OnCard:
    """What of a frame is on the card already, whoever made it having waited; None has to go up."""

    device: Device
    """Whose card it is."""
    surface: Surface | None = None
    alpha: CardAlpha | None = None
    labels: CardAlpha | None = None
    """Class ids, at the frame's size."""
    leases: tuple[Lease, ...] = ()
    """Keep the memory from being used for another frame."""


@lru_cache
def positions(name: str) -> tuple[Position, ...] | None:
    """Where the components of a format lie; None for one that has to be made planar first."""
    kin = planar_kin(name)
    if name.replace("yuva", "yuv").replace("gbrap", "gbrp") == kin:
        held = shape(kin)
        size = np.dtype(held.dtype).itemsize
        return tuple((plane, 0, size, 0) for plane in range(1 if held.grey else 3))
    return _NATIVE.get(name)


def plane_sizes(canvas: Canvas) -> list[tuple[int, int]]:
    """(W, H) of each plane of a canvas."""
    held, width, height = canvas.shape, canvas.width, canvas.height
    if held.grey:
        return [(width, height)]
    across, down = held.step
    return [(width, height)] + 2 * [(-(-width // across), -(-height // down))]


def upload(slot: Slot, name: str, picture: av.VideoFrame) -> Surface:
    """Queue the upload of a picture whose format has `positions`, into the slot's buffer `name`."""
    canvas, found = Canvas.of(picture), positions(picture.format.name)
    assert found is not None
    sizes = plane_sizes(canvas)
    used = [0] * (1 + max(plane for plane, *_ in found))
    for (plane, _, step, _), (width, _) in zip(found, sizes, strict=True):
        used[plane] = max(used[plane], step * width)
    parts = [_used(picture, plane, width) for plane, width in enumerate(used)]
    addresses = slot.upload(name, parts)
    return Surface(canvas, components(canvas, found, addresses, [part.shape[1] for part in parts]))


def components(
    canvas: Canvas, found: Sequence[Position], addresses: Sequence[int], linesizes: Sequence[int]
) -> tuple[Record, ...]:
    """The components of a picture whose planes lie at these addresses."""
    wide = canvas.shape.depth > 8
    return tuple(
        struct(
            COMPONENT,
            data=addresses[plane] + first,
            linesize=linesizes[plane],
            step=step,
            width=width,
            height=height,
            wide=wide,
            shift=shift,
        )
        for (plane, first, step, shift), (width, height) in zip(found, plane_sizes(canvas), strict=True)
    )


def blank(
    slot: Slot, name: str, canvas: Canvas, sizes: list[tuple[int, int]]
) -> tuple[list[Record], int, int]:
    """Planes of `sizes` (W, H) in a buffer of the card; return them, its address and its size in bytes."""
    sample = np.dtype(canvas.shape.dtype).itemsize
    address = slot.memory(name, sum(width * height for width, height in sizes) * sample)
    made, end = [], 0
    for width, height in sizes:
        made.append(plane(address + end, width, height, sample))
        end += width * height * sample
    return made, address, end


def download(slot: Slot, canvas: Canvas, address: int, size: int, pool: Pool) -> Later:
    """Queue the download of a picture whose planes, without padding, lie one behind the other."""
    staging = slot.download("finished", address, size)

    def later() -> av.VideoFrame:
        made, end = canvas.blank(pool), 0
        for target in planes(made):
            codes = staging[end : end + target.nbytes]
            np.copyto(target, codes.view(target.dtype).reshape(target.shape))
            end += target.nbytes
        return made

    return later


def plane(address: int, width: int, height: int, sample: int) -> Record:
    """A plane without padding, of samples of so many bytes."""
    return struct(
        COMPONENT,
        data=address,
        linesize=width * sample,
        step=sample,
        width=width,
        height=height,
        wide=sample == 2,
    )


def _used(picture: av.VideoFrame, index: int, width: int) -> NDArray[np.uint8]:
    """The bytes of a plane without the padding; an even number, as two-byte samples lie on even addresses."""
    held = rows(picture.planes[index])
    return held[:, : min(width + width % 2, held.shape[1])]
