"""The things that travel: Frame, Matte, LabelMap; and what stays the same for a whole stream: VideoFormat,
Tracks."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeAlias

import cv2  # noqa: F401  (before av: both wheels bring a libxcb, and OpenCV's windows hang on PyAV's)

# isort: split
import av
import av.stream
import numpy as np
from numpy.typing import NDArray

from streamseg.colour import tags_of
from streamseg.errors import reason
from streamseg.pictures import in_memory, layout, on_card, planes, with_timing_of

if TYPE_CHECKING:
    from streamseg.gpu.surface import OnCard

LabelMap: TypeAlias = NDArray[np.uint8]
"""(H, W) class ids: the argmax of every pixel's class vector."""


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """What a source promises about all its frames."""

    width: int
    height: int
    time_base: Fraction
    """Seconds per tick of every pts."""
    rate: Fraction | None = None
    """Frames per second on average, where known."""
    sample_aspect_ratio: Fraction = Fraction(1)
    """Width of a pixel over its height."""
    spare_chroma: bool = False
    """Chroma finer than 4:2:0 is but the way a camera sends pictures: what players show counts for more."""


@dataclass(slots=True)
class Frame:
    """One picture in its native pixel format, upright, with its pts and time base (`native.pts`,
    `native.time_base`).

    A frame belongs to one stage at a time; whoever changes pixels makes a new picture.
    """

    native: av.VideoFrame
    """The picture as it was decoded: in memory, or on a graphics card, where only kernels can read it."""
    captured: float
    """`time.monotonic()` when the picture was read."""
    repaired: bool = False
    """The picture repeats the last good one because this one was damaged."""
    name: str | None = None
    """Path of a still, relative to its folder (`a/b.jpg`); sinks that keep names use it."""
    again: bool = False
    """The same once more: a still, for a viewer who asked for another effect; the last frame of a source
    that is silent, for a stream. Files have it already."""
    lost: str | None = None
    """Why the pixels are not those of the camera: they were on a card that failed, and are black now."""
    absent: bool = False
    """There is no input now: the picture means nothing, nobody is in it."""
    hidden: bool = False
    """Nothing of the camera is in the picture: somebody panicked."""
    stays: bool = False
    """Whoever takes the finished picture can read it on the card: it need not come down."""
    brought: str | None = None
    """Why it came down nevertheless, where FFmpeg refused it there."""
    _fetched: av.VideoFrame | None = field(default=None, repr=False)

    @property
    def picture(self) -> av.VideoFrame:
        """The picture in memory: `native`, or what was brought down from the card, once.

        Where the card fails it is a black one, and `lost` says why.
        """
        if not on_card(self.native):
            return self.native
        if self._fetched is None:
            try:
                self._fetched = in_memory(self.native)
            except av.FFmpegError as error:
                self.lost = f"the GPU failed: {reason(error)}"
                self.native = self._fetched = _black(self.native)
        return self._fetched

    @property
    def size(self) -> tuple[int, int]:
        """(W, H) in pixels."""
        return self.native.width, self.native.height

    @property
    def time(self) -> Fraction:
        """Seconds since the stream's zero, exactly."""
        if self.native.pts is None or self.native.time_base is None:
            raise ValueError("a frame without a pts left its source")
        return self.native.pts * Fraction(self.native.time_base)

    def with_picture(self, picture: av.VideoFrame) -> Frame:
        """Return this frame with other pixels and the same timing."""
        return replace(self, native=with_timing_of(self.native, picture), _fetched=None)


def _black(picture: av.VideoFrame) -> av.VideoFrame:
    """A black picture in place of one that cannot be had any more."""
    grey = av.VideoFrame(picture.width, picture.height, "gray")
    planes(grey)[0].fill(0)
    black = grey.reformat(format=layout(picture).name)
    tags_of(picture).put(black)
    return with_timing_of(picture, black)


@dataclass(slots=True)
class Matte:
    """What the segmenter found in one frame."""

    alpha: NDArray[np.uint8]
    """(h, w) opacity of the foreground, 0..255, at any resolution: it is sampled bilinearly to the frame's
    size."""
    labels: LabelMap | None = None
    """(H, W) at the frame's own size, where the effect asked for it."""
    failure: str | None = None
    """Why segmentation failed; `alpha` is then all zero, so that effects which hide something show the
    background."""
    held: OnCard | None = None
    """What of the frame and its matte is on the GPU, for a compositor there."""


@dataclass(slots=True)
class Tracks:
    """The streams that travel beside the picture: sound, subtitles.

    The source's thread puts packets, the sinks' thread takes them: each packet once, in the order they were
    read. Appending to and popping from a deque are atomic, so no lock is needed.
    """

    streams: Sequence[av.stream.Stream] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    """The container's own: title, artist, ..."""
    picture: av.stream.Stream | None = None
    """The picture's own stream, for its language, title and role."""
    chapters: Sequence[Any] = ()
    """As PyAV gives them: dicts of id, start, end, time_base and metadata."""
    packets: deque[av.Packet[Any]] = field(default_factory=deque)

    def put(self, packet: av.Packet[Any]) -> None:
        """Add a packet (the source's thread)."""
        self.packets.append(packet)

    @property
    def oldest(self) -> av.Packet[Any] | None:
        """The packet that has waited longest; None where all are taken."""
        try:
            return self.packets[0]
        except IndexError:
            return None

    def take(self) -> list[av.Packet[Any]]:
        """Remove and return all packets read so far (the sinks' thread)."""
        taken = []
        while self.packets:
            taken.append(self.packets.popleft())
        return taken
