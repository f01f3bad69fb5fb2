"""Bringing pictures into another pixel format, size, matrix or range with swscale."""

from __future__ import annotations

from dataclasses import replace

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from streamseg.colour import FULL, RGB, reading_of, tags_of
from streamseg.compositors.planes import Canvas, planar_kin, with_planes
from streamseg.errors import SourceError, reason
from streamseg.grey import readable
from streamseg.pictures import planes, shape


class Converter:
    """Converts pictures; keeps swscale's tables, which take it 1 to 2 ms, while pictures stay alike."""

    def __init__(self) -> None:
        self._swscale = VideoReformatter()

    def planar(self, picture: av.VideoFrame) -> av.VideoFrame:
        """Return a picture in its planar kin, without loss; the same object if it is planar already.

        Transparency is dropped, not painted over something: the colours under it are what players show.
        Raises SourceError for a format that cannot be converted.
        """
        name = picture.format.name
        kin = planar_kin(name)
        if kin == name:
            return picture
        if name.replace("yuva", "yuv").replace("gbrap", "gbrp") == kin:
            # By hand: swscale 9.5 mixes the planes up when it drops the alpha of gbrap10le and deeper.
            return with_planes(picture, kin, planes(picture)[:3])
        if name.startswith("yaf"):  # swscale 9.5 aborts the process on these
            raise SourceError(f"pixel format {name!r} (floating point grey with alpha) cannot be converted")
        try:
            return self._swscale.reformat(picture, format=kin, threads=1)
        except (av.FFmpegError, ValueError) as error:
            raise SourceError(f"pixel format {name!r} cannot become {kin!r}: {reason(error)}") from error

    def coloured(self, picture: av.VideoFrame) -> av.VideoFrame:
        """Return a grey picture as planar RGB of its depth, one in colour as it is.

        Full-range codes stay; limited range is stretched, as RGB knows no other. It is RGB because PNG keeps
        that and video encoders turn it into the sampling players expect. Raises SourceError like `planar`.
        """
        if not shape(picture.format.name).grey:
            return picture
        tags, read = tags_of(picture), reading_of(picture)
        (codes,) = planes(self.planar(picture))
        kin = "gbrp" + planar_kin(picture.format.name).removeprefix("gray")
        held = shape(kin)
        if not read.full:
            step = 1 << (held.depth - 8)
            stretched = (codes.astype(np.float32) - 16 * step) * (held.largest / (219 * step))
            codes = np.rint(stretched).clip(0, held.largest).astype(held.dtype)
        made = with_planes(picture, kin, [codes] * 3)
        replace(tags, matrix=RGB, range=FULL).put(made)
        return made

    def fill(self, canvas: Canvas, picture: av.VideoFrame) -> av.VideoFrame:
        """Return a picture in a canvas' size, pixel format, matrix and range; raises SourceError."""
        source = reading_of(picture)
        shrinks = picture.width * picture.height > 2 * canvas.width * canvas.height
        try:
            made = self._swscale.reformat(
                readable(picture, source),
                width=canvas.width,
                height=canvas.height,
                # swscale makes grey in one matrix and range only: luma is taken from a picture with chroma.
                format=canvas.format.replace("gray", "yuv444p"),
                interpolation=Interpolation.AREA if shrinks else Interpolation.BICUBIC,
                src_colorspace=source.matrix,
                dst_colorspace=canvas.reading.matrix,
                src_color_range=source.range,
                dst_color_range=canvas.reading.range,
                threads=1,  # swscale 9.5's threads spoil rows of more than 8 bits at widths such as 854
            )
        except (av.FFmpegError, ValueError) as error:
            raise SourceError(
                f"a background of {picture.width}x{picture.height} cannot become "
                f"{canvas.width}x{canvas.height}: {reason(error)}; use one of a shape more like the frame's"
            ) from error
        if canvas.shape.grey:
            made = with_planes(made, canvas.format, planes(made)[:1])
        canvas.tag(made)
        return made
