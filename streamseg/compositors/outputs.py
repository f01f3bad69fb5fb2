"""What comes out other than an opaque picture: transparency, the matte itself, label maps."""

from __future__ import annotations

from dataclasses import replace

import av
import cv2
import numpy as np

from streamseg.colour import BT601, FULL, Reading, Tags, label_palette
from streamseg.compositors.merge import Sampler
from streamseg.compositors.planes import Canvas, alpha_kin, planar_kin
from streamseg.frame import LabelMap
from streamseg.grey import readable
from streamseg.mattes import Alpha
from streamseg.pictures import Plane, Pool, planes


def grey_canvas(size: tuple[int, int]) -> Canvas:
    """What the matte of a frame of `size` (W, H) is painted on."""
    return Canvas(*size, "gray", Tags(range=FULL), Reading(BT601, full=True))


def grey_picture(alpha: Alpha, size: tuple[int, int], pool: Pool) -> av.VideoFrame:
    """The matte of a frame of `size` (W, H) as a grey picture, 0..255, full range."""
    canvas = grey_canvas(size)
    picture = canvas.blank(pool)
    Sampler(canvas).ramp(alpha, planes(picture), [0], [255])
    return picture


def label_picture(labels: LabelMap) -> av.VideoFrame:
    """Class ids as a picture with a palette: id n has colour n of the Pascal VOC colour map."""
    palette = np.hstack([np.full((256, 1), 255, np.uint8), label_palette()])
    return av.VideoFrame.from_ndarray((labels, palette), format="pal8")  # type: ignore[arg-type]  # as documented


def cut_out(picture: av.VideoFrame, opaque: av.VideoFrame, alpha: Alpha, pool: Pool) -> av.VideoFrame:
    """The picture with alpha; `opaque` is its planar kin.

    What is fully transparent is painted black, so that it is not in the file. Elsewhere colours have the
    source's bytes, unless no format with alpha has the same sampling and depth (alpha_kin). A source's own
    alpha is multiplied with the matte.
    """
    kin = alpha_canvas(Canvas.of(opaque))
    made = kin.blank(pool)
    *colours, transparency = planes(made)
    Sampler(kin).ramp(alpha, [transparency], [0], [kin.shape.largest])
    own = own_alpha(picture, kin)
    if own is not None:
        cv2.multiply(transparency, own, dst=transparency, scale=1 / kin.shape.largest)
    shown = np.multiply(transparency > 0, 255, dtype=np.uint8)
    for index, (source, target) in enumerate(zip(planes(coloured(opaque, kin)), colours, strict=True)):
        target.fill(kin.codes((0, 0, 0))[index])
        cv2.copyTo(source, shown if target.shape == shown.shape else _covering(shown, kin), dst=target)
    return made


def alpha_canvas(canvas: Canvas) -> Canvas:
    """What the picture on an opaque planar canvas is cut out on."""
    tags = replace(canvas.tags, range=FULL if canvas.reading.full else canvas.tags.range)
    return replace(canvas, format=alpha_kin(canvas.format), tags=tags)


def coloured(opaque: av.VideoFrame, kin: Canvas) -> av.VideoFrame:
    """An opaque planar picture as its kin with alpha holds its colours; the same object if it does so."""
    wanted = planar_kin(kin.format)
    if opaque.format.name.replace("yuvj", "yuv") == wanted:
        return opaque
    same = kin.reading.range
    read = readable(opaque, kin.reading)
    return read.reformat(format=wanted, src_color_range=same, dst_color_range=same, threads=1)


def _covering(shown: Plane, kin: Canvas) -> Plane:
    """255 for every chroma sample that colours at least one shown pixel."""
    across, down = kin.shape.step
    widened = cv2.dilate(shown, np.ones((down, across), np.uint8), anchor=(0, 0))
    return np.ascontiguousarray(widened[::down, ::across])


def own_alpha(picture: av.VideoFrame, kin: Canvas) -> Plane | None:
    """The alpha a picture came with, in codes of `kin`; None if it came without."""
    if not any(component.is_alpha for component in picture.format.components):
        return None
    if picture.format.name == kin.format:
        return planes(picture)[3]
    alpha = planes(picture.reformat(format="yuva444p", threads=1))[3]
    codes: Plane = np.rint(alpha * (kin.shape.largest / 255)).astype(kin.shape.dtype)
    return codes
