"""Bringing pictures into another pixel format, size, matrix or range with swscale."""

from __future__ import annotations

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from streamseg.colour import FULL, reading_of, tags_of
from streamseg.compositors.planes import Canvas, planar_kin, with_planes
from streamseg.errors import SourceError, reason
from streamseg.grey import readable
from streamseg.hdr import NAMES, to_hdr, to_sdr
from streamseg.pictures import Plane, planes


class Converter:
    """Converts pictures; keeps swscale's tables, which take it 1 to 2 ms, while pictures stay alike."""

    def __init__(self) -> None:
        self._swscale, self._to_rgb = VideoReformatter(), VideoReformatter()

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

        Full-range codes stay; limited range is stretched, as RGB knows no other. Raises SourceError like
        `planar`.
        """
        grey = Canvas.of(picture)
        if not grey.shape.grey:
            return picture
        (codes,) = planes(self.planar(picture))
        if not grey.reading.full:
            codes = stretched(codes, grey.shape.depth)
        made = with_planes(picture, grey.in_colour.format, [codes] * 3)
        grey.in_colour.tag(made)
        return made

    def fill(self, canvas: Canvas, picture: av.VideoFrame) -> av.VideoFrame:
        """Return a picture in a canvas' size, format, matrix, range and transfer; raises SourceError."""
        if tags_of(picture).transfer != canvas.tags.transfer:
            picture = self._regraded(canvas, picture)
        # swscale makes grey in one matrix and range only: luma is taken from a picture with chroma.
        made = self._scaled(self._swscale, canvas, picture, canvas.format.replace("gray", "yuv444p"))
        if canvas.shape.grey:
            made = with_planes(made, canvas.format, planes(made)[:1])
        canvas.tag(made)
        return made

    def _regraded(self, canvas: Canvas, picture: av.VideoFrame) -> av.VideoFrame:
        """Return a picture in a canvas' size and transfer if either is of PQ or HLG, else as it is."""
        before, after = tags_of(picture), canvas.tags
        if before.transfer not in NAMES and after.transfer not in NAMES:
            return picture
        rgb = self._scaled(self._to_rgb, canvas, picture, "gbrp")
        codes = [plane.view(np.uint8) for plane in planes(rgb)]
        ordinary = to_sdr(codes, before.transfer, before.primaries)
        if after.transfer not in NAMES:
            return with_planes(rgb, "gbrp", ordinary)
        return with_planes(rgb, "gbrp16le", to_hdr(ordinary, after.transfer, after.primaries))

    def _scaled(
        self, swscale: VideoReformatter, canvas: Canvas, picture: av.VideoFrame, name: str
    ) -> av.VideoFrame:
        """Return a picture in a canvas' size, matrix and range, and in format `name`; raises SourceError."""
        source = reading_of(picture)
        shrinks = picture.width * picture.height > 2 * canvas.width * canvas.height
        try:
            return swscale.reformat(
                readable(picture, source),
                width=canvas.width,
                height=canvas.height,
                format=name,
                interpolation=Interpolation.AREA if shrinks else Interpolation.BICUBIC,
                src_colorspace=source.matrix,
                dst_colorspace=canvas.reading.matrix,
                src_color_range=source.range,
                dst_color_range=FULL if name == "gbrp" else canvas.reading.range,
                threads=1,  # swscale 9.5's threads spoil rows of more than 8 bits at widths such as 854
            )
        except (av.FFmpegError, ValueError) as error:
            raise SourceError(
                f"a background of {picture.width}x{picture.height} cannot become "
                f"{canvas.width}x{canvas.height}: {reason(error)}; use one of a shape more like the frame's"
            ) from error


def stretched(codes: Plane, depth: int) -> Plane:
    """Return luma codes of limited range in full range, of the same depth and dtype, rounded to nearest."""
    step, largest = 1 << (depth - 8), (1 << depth) - 1
    wide = (codes.astype(np.float32) - 16 * step) * (largest / (219 * step))
    full: Plane = np.rint(wide).clip(0, largest).astype(codes.dtype)
    return full
