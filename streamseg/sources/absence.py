"""What is shown where there is no input."""

from __future__ import annotations

import av

from streamseg.colour import tags_of
from streamseg.pictures import layout


def black_like(picture: av.VideoFrame) -> av.VideoFrame:
    """Return a black picture in memory, of the same size, format and colours."""
    black = av.VideoFrame(picture.width, picture.height, "rgb24")
    for plane in black.planes:
        plane.update(bytes(plane.buffer_size))
    tags = tags_of(picture)
    result = black.reformat(format=layout(picture).name, dst_color_range=tags.range or None)
    tags.put(result)
    return result
