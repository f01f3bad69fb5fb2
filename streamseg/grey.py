"""Grey of limited range: swscale takes all grey for full range, whatever it is told."""

from __future__ import annotations

import av

from streamseg.colour import Reading
from streamseg.pictures import planes, shape, with_timing_of


def readable(picture: av.VideoFrame, read: Reading) -> av.VideoFrame:
    """Return `picture` as swscale reads it right: grey of limited range as YUV of the same code values.

    `read` is how the picture's codes stand for colours; all other pictures come back as they are.
    """
    held = shape(picture.format.name)
    if not held.grey or read.full or held.depth > 16:
        return picture
    deep = "" if held.depth == 8 else f"{held.depth}le"
    grey = picture if picture.format.name == f"gray{deep}" else picture.reformat(format=f"gray{deep}")
    made = av.VideoFrame(picture.width, picture.height, f"yuv444p{deep}")
    luma, *chroma = planes(made)
    luma[:] = planes(grey)[0]
    for plane in chroma:
        plane.fill(1 << (held.depth - 1))
    return with_timing_of(picture, made)
