"""Pixel formats: which one an encoder gets for the frames that come, and how they are converted."""

from __future__ import annotations

from collections.abc import Sequence

import av
import numpy as np
from av.video.format import VideoFormat
from av.video.reformatter import Interpolation, VideoReformatter

from streamseg.colour import BT601, BT709, FULL, LIMITED, RGB, UNSPECIFIED, Tags, reading, reading_of, tags_of
from streamseg.grey import readable
from streamseg.hdr import NAMES
from streamseg.pictures import Shape, alpha_of, layout, shape

_EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT

_PLAYABLE = {
    "libx264": ("yuv420p", "yuv420p10le"),
    "libx265": ("yuv420p", "yuv420p10le", "yuv420p12le"),
    "libvpx": ("yuv420p",),
    "libvpx-vp9": ("yuv420p",),
}
"""What players expect of these encoders, for frames that come as RGB, grey or from a camera."""

_ALPHA = {"libvpx-vp9": ("yuva420p",), "libx265": ()}
"""The transparency browsers can show, and the one nobody can yet."""

_SAYS_RANGE = {"libx264", "libx265", "libvpx-vp9", "libsvtav1", "wrapped_avframe"}
"""Encoders whose bitstream tells full from limited range; of FFV1 only some containers do."""

_SAYS_TRANSFER = frozenset({"mp4", "mov", "matroska", "webm", "png", "mpeg2video"}) | {
    *("libx264", "libx264rgb", "libx265", "libsvtav1", "h264_nvenc", "hevc_nvenc", "av1_nvenc")
}
"""Containers that note the transfer whatever the codec, and encoders whose bitstream does."""

_OFFERED = {
    "wrapped_avframe": tuple(
        kind + depth
        for depth in ("", "10le", "12le", "16le")
        for kind in ("yuv420p", "yuv422p", "yuv444p", "gray")
    ),
    "tiff": ("rgb24", "rgb48le", "pal8", "rgba", "rgba64le", "gray", "ya8", "gray16le", "ya16le"),
}
"""Where an encoder does not say what it takes (YUV4MPEG), or takes what few readers do (YUV in TIFF)."""

_FIXED = {"mjpeg": (BT601, FULL), "libwebp": (BT601, LIMITED), "virtual camera": (BT601, LIMITED)}
"""Matrix and range that JFIF and WebP prescribe, and V4L2 where nothing else is said: BT.601."""


def best_format(
    source: str, encoder: str, offered: Sequence[str], *, exact: bool = False, playable: bool = False
) -> str | None:
    """Return the pixel format in which `encoder` keeps most of `source`; None if it cannot keep transparency.

    `exact`: RGB and grey stay what they are, instead of becoming what players expect. `playable`: whatever
    comes becomes that.
    """
    held, offered = shape(source), _OFFERED.get(encoder, offered)
    if held.alpha:
        offered = [name for name in _ALPHA.get(encoder, offered) if shape(name).alpha]
    else:
        offered = [name for name in offered if not shape(name).alpha]
        if (held.rgb or held.grey or playable) and not exact:
            offered = _PLAYABLE.get(encoder, offered)
    if source in offered:
        return source
    return min(offered, key=lambda name: _losses(held, shape(name)), default=None)


def _losses(held: Shape, other: Shape) -> tuple[float, ...]:
    """How bad it is to put `held` into `other`, worst first: colour, depth, chroma, conversion, waste."""
    kept_chroma = (
        (0.0, 0.0) if held.grey else (max(0, b - a) for a, b in zip(held.step, other.step, strict=True))
    )
    return (
        not held.grey and other.grey,
        max(0, held.depth - other.depth),
        sum(kept_chroma),
        held.rgb != other.rgb,
        held.grey != other.grey,
        other.depth - held.depth,
        -sum(other.step),
    )


def lost_range(first: av.VideoFrame, stored: str, *writers: str) -> list[str]:
    """Return a note for each thing that high dynamic range loses in frames like `first`, none for others.

    `stored`: the pixel format in the file. `writers`: what writes it, as users call it, then its encoder.
    """
    name = NAMES.get(int(first.color_trc))
    if name is None:
        return []
    notes = []
    if shape(stored).depth <= 8 < shape(first.format.name).depth:
        notes.append(f"high dynamic range ({name}) is stored in 8 bits: smooth areas may show bands")
    if _SAYS_TRANSFER.isdisjoint(writers):
        dull = "they will look dull; use .mp4, .mkv or .mov"
        notes.append(f"{writers[0]} cannot say that its colours are {name}: {dull}")
    return notes


class Conversion:
    """From the frames that come to the pixel format an encoder takes; `colour` is how to read the result."""

    def __init__(
        self,
        first: av.VideoFrame,
        format_name: str,
        encoder: str,
        *,
        tagging: bool = False,
        interpolation: int = _EXACT,
    ) -> None:
        """`tagging`: the container notes the range. `interpolation`: swscale's flags."""
        says_range = encoder in _SAYS_RANGE or (tagging and encoder == "ffv1")
        self.format = format_name
        self.colour = _target_tags(first, format_name, encoder, says_range=says_range)
        self._pixels = VideoFormat(format_name)
        self._interpolation = interpolation
        self._reformatter = VideoReformatter()

    def keeps(self, picture: av.VideoFrame) -> bool:
        """Whether nothing is to be done to a picture, in memory or on a card."""
        before, after = reading_of(picture), reading(self.colour, self._pixels, picture.height)
        kept = shape(self.format)
        same = kept.rgb or before == after or (kept.grey and before.full == after.full)
        return same and layout(picture).name == self.format

    def __call__(self, picture: av.VideoFrame) -> av.VideoFrame:
        """Return `picture` in the target format; itself, if nothing is to be done."""
        if self.keeps(picture):
            return picture
        before, after = reading_of(picture), reading(self.colour, self._pixels, picture.height)
        kept = shape(self.format)
        result = self._reformatter.reformat(
            readable(picture, before),
            format=self.format,
            src_colorspace=after.matrix if shape(picture.format.name).grey else before.matrix,
            dst_colorspace=after.matrix,
            src_color_range=before.range,
            dst_color_range=after.range,
            interpolation=self._interpolation,
        )
        result.colorspace, result.color_range = self.colour.matrix, self.colour.range
        if kept.alpha and shape(picture.format.name).alpha:
            _keep_alpha(picture, result)
        return result


def _keep_alpha(picture: av.VideoFrame, result: av.VideoFrame) -> None:
    """Give `result` the alpha of `picture`: where depths differ swscale only shifts it, 255 to 1020 of 1023,
    and nothing is opaque any more; out of rgba it rounds it too."""
    before, after = shape(picture.format.name), shape(result.format.name)
    if before.depth == after.depth:
        alpha_of(result)[:] = alpha_of(picture)
        return
    codes = np.rint(np.arange(before.largest + 1) * (after.largest / before.largest))
    alpha_of(result)[:] = codes.astype(after.dtype)[alpha_of(picture)]


def _target_tags(first: av.VideoFrame, format_name: str, encoder: str, *, says_range: bool) -> Tags:
    before, source, target = tags_of(first), shape(first.format.name), shape(format_name)
    if target.rgb:
        return Tags(RGB, FULL, before.primaries, before.transfer)
    if encoder in _FIXED and not target.grey:
        return Tags(*_FIXED[encoder], before.primaries, before.transfer)
    if target.grey and not says_range:
        return Tags(range=FULL)
    if source.rgb or (source.grey and not target.grey):
        return Tags(
            before.matrix if before.matrix not in (RGB, UNSPECIFIED) and source.grey else BT709,
            LIMITED,
            before.primaries if before.primaries not in (0, UNSPECIFIED) else BT709,
            before.transfer if before.transfer not in (0, UNSPECIFIED) else BT709,
        )
    return Tags(before.matrix, before.range if says_range else LIMITED, before.primaries, before.transfer)
