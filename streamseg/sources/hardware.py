"""Decoding on an NVIDIA card, where pictures then stay; and the processor that relieves it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import av
from av.codec.context import ThreadType
from av.codec.hwaccel import HWAccel
from av.video.codeccontext import VideoCodecContext

from streamseg.errors import GpuFailure, reason
from streamseg.gpu import driver
from streamseg.gpu.surface import positions
from streamseg.pictures import in_memory, layout

_COMMON = "h264"
"""A codec that every card decodes."""


def card() -> HWAccel:
    """Return what av.open takes to decode on the first card; raises GpuFailure where none can be used.

    Pictures stay there, in the primary context, which is also PyCUDA's and TensorRT's. FFmpeg wants that to
    wait without spinning, and refuses it if somebody else opened it first: open sources before networks.
    """
    found = driver.probe()
    if found.gpu is None:
        raise GpuFailure(found.problem or "there is none")
    accel = HWAccel("cuda", is_hw_owned=True)
    try:
        av.CodecContext.create(_COMMON, "r", hwaccel=accel)
    except (av.FFmpegError, NotImplementedError) as error:
        raise GpuFailure(f"FFmpeg cannot decode there: {reason(error)}") from error
    return accel


class CardDecoder:
    """Decodes on the card; when that fails the processor goes on from the last keyframe: nothing is lost.

    What the bitstream's own damage causes is for the caller, as with any decoder.
    """

    def __init__(self, decoder: VideoCodecContext) -> None:
        """`decoder`: one that was opened with `card()`. It may decode on the processor all the same."""
        self.used = False
        """A picture came from the card."""
        self.failure: str | None = None
        """Why the processor took over."""
        self._decoder = decoder
        self._begun: list[list[av.Packet[Any]]] = [[], []]
        """Packets since the last keyframe but one, and since the last."""
        self._last: int | None = None
        """pts of the last picture."""

    def decode(self, packet: av.Packet[Any] | None) -> list[av.VideoFrame]:
        """As a codec context does; raises FFmpegError."""
        if self.failure is not None:
            return self._decoder.decode(packet)
        if packet is not None:
            self._keep(packet)
        try:
            pictures = [self._usable(picture) for picture in self._decoder.decode(packet)]
        except av.InvalidDataError:
            raise
        except av.FFmpegError as error:
            self.failure = reason(error)
            return self._relieve(ended=packet is None)
        self._last = max((each.pts for each in pictures if each.pts is not None), default=self._last)
        return pictures

    def _keep(self, packet: av.Packet[Any]) -> None:
        if packet.is_keyframe:
            self._begun = [self._begun[1], []]
        self._begun[1].append(packet)

    def _usable(self, picture: av.VideoFrame) -> av.VideoFrame:
        """What has to be turned, and what no kernel reads, is brought down at once."""
        self.used = self.used or picture.sw_format is not None
        fits = not picture.rotation and positions(layout(picture).name)
        return picture if fits else in_memory(picture)

    def _relieve(self, *, ended: bool) -> list[av.VideoFrame]:
        """Decode again what has not come out yet."""
        before, since = self._begun
        first = since[0].pts if since else None
        shown = self._last is not None and first is not None and self._last >= first
        self._begun = [[], []]
        self._decoder = in_software(self._decoder)
        packets: Iterable[av.Packet[Any] | None] = since if shown else [*before, *since]
        pictures: list[av.VideoFrame] = []
        for packet in (*packets, None) if ended else packets:
            try:
                pictures += self._decoder.decode(packet)
            except (av.FFmpegError, EOFError):  # damaged: what is missing will be noticed
                continue
        last = self._last
        return [each for each in pictures if last is None or each.pts is None or each.pts > last]


def in_software(decoder: VideoCodecContext) -> VideoCodecContext:
    """Return a decoder for the same stream that needs no card."""
    made = av.CodecContext.create(decoder.codec.name, "r")
    assert isinstance(made, VideoCodecContext)
    made.extradata = decoder.extradata
    made.width, made.height = decoder.width, decoder.height
    made.colorspace, made.color_range = decoder.colorspace, decoder.color_range
    made.color_primaries, made.color_trc = decoder.color_primaries, decoder.color_trc
    made.thread_type = ThreadType.SLICE
    return made
