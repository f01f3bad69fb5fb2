"""A decoder on the emulated card: PyAV's context and pictures, which no machine without a card can make."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import av
import numpy as np

from streamseg.compositors.planes import planar_kin
from streamseg.pictures import rows, with_timing_of
from tests.emulator.card import GARBAGE, Card

_PADDING = 192
"""Bytes behind each row, as decoders have them."""


class DecodedPicture:
    """What a picture on the card has of av.VideoFrame. It is finished when the default stream is waited for.

    Its memory is used for something else as soon as nobody holds it.
    """

    def __init__(self, card: Card, picture: av.VideoFrame) -> None:
        """`picture`: what it shows, in memory, in a format decoders on cards make."""
        self.format = SimpleNamespace(name="cuda", components=(), is_rgb=False, has_palette=False)
        self.sw_format = picture.format
        self.width, self.height, self.rotation = picture.width, picture.height, picture.rotation
        self.pts, self.duration, self.time_base = picture.pts, picture.duration, picture.time_base
        self.colorspace, self.color_range = picture.colorspace, picture.color_range
        self.color_primaries, self.color_trc = picture.color_primaries, picture.color_trc
        self.is_corrupt, self.side_data = picture.is_corrupt, picture.side_data
        self._card, self._picture = card, picture
        contents = [rows(plane) for plane in picture.planes]
        self._memory = [
            np.full((len(codes), codes.shape[1] + _PADDING), GARBAGE, np.uint8) for codes in contents
        ]
        memory = self._memory

        def finish() -> None:
            for target, codes in zip(memory, contents, strict=True):
                target[:, : codes.shape[1]] = codes

        card.default.queue(finish)

    @property
    def planes(self) -> tuple[SimpleNamespace, ...]:
        """Addresses and line sizes."""
        return tuple(
            SimpleNamespace(buffer_ptr=codes.__array_interface__["data"][0], line_size=codes.shape[1])
            for codes in self._memory
        )

    def reformat(self, *, format: str) -> av.VideoFrame:
        """Bring it down."""
        assert format == self.sw_format.name
        self._card.fetched += 1
        if self._card.dead:
            raise av.ExternalError(542398533, "Generic error in an external library")
        planar = self._picture.reformat(format=planar_kin(format))
        return planar.reformat(format=format)  # a copy, side data included

    def __del__(self) -> None:
        for codes in self._memory:
            codes[:] = GARBAGE


class CardContext:
    """A codec context that decodes on the emulated card: what it has of av.VideoCodecContext."""

    is_hwaccel = True

    def __init__(self, card: Card, decoder: Any, *, fails_at: int | None = None) -> None:
        """`fails_at`: number of the packet from which on the card fails."""
        self._card, self._decoder, self._fails_at, self._packets = card, decoder, fails_at, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._decoder, name)

    def decode(self, packet: Any) -> list[Any]:
        """Decode in memory, and say that it is on the card."""
        if self._packets == self._fails_at or self._card.dead:
            raise av.ExternalError(542398533, "Generic error in an external library")
        self._packets += 1
        return [self._decoded(picture) for picture in self._decoder.decode(packet)]

    def _decoded(self, picture: av.VideoFrame) -> DecodedPicture:
        deep = picture.format.components[0].bits > 8
        made = picture.reformat(format="p010le" if deep else "nv12")
        return DecodedPicture(self._card, with_timing_of(picture, made))


class CardPicture:
    """A picture that FFmpeg was lent on the emulated card."""

    def __init__(self, card: Card, picture: av.VideoFrame) -> None:
        """`picture`: of the card's memory."""
        self._card, self._lent = card, picture
        self.format = SimpleNamespace(name="cuda", components=(), is_rgb=False, has_palette=False)
        self.sw_format = picture.format

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lent, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("_card", "_lent", "format", "sw_format"):
            object.__setattr__(self, name, value)
        else:
            setattr(self._lent, name, value)

    def reformat(self, *, format: str) -> av.VideoFrame:
        """Bring it down."""
        self._card.fetched += 1
        if self._card.dead:
            raise av.ExternalError(542398533, "Generic error in an external library")
        planar = self._lent.reformat(format=planar_kin(format))
        return planar.reformat(format=format)
