"""From a frame's native planes to the small normalised picture a network wants."""

from __future__ import annotations

from dataclasses import dataclass

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from streamseg.colour import BT601, FULL, reading_of
from streamseg.crop import Box, Cutter
from streamseg.errors import RuntimeFailure, reason
from streamseg.grey import readable
from streamseg.hdr import to_sdr
from streamseg.models.card import InputSpec
from streamseg.pictures import planes

Tensor = NDArray[np.float32]

_PLANES = {"rgb": (2, 0, 1), "bgr": (1, 0, 2), "grey": (0,)}
"""Which plane of gbrp (or gray) each channel is."""


@dataclass(frozen=True, slots=True)
class Placement:
    """The rectangle of the network's input, in its pixels, that the frame fills."""

    x: int
    y: int
    width: int
    height: int


def place(spec: InputSpec, size: tuple[int, int]) -> Placement:
    """Return where a frame of `size` (W, H) goes: everywhere, or to the middle with its shape kept."""
    if spec.fit == "stretch":
        return Placement(0, 0, spec.width, spec.height)
    ratio = min(spec.width / size[0], spec.height / size[1])
    width, height = (max(1, round(side * ratio)) for side in size)
    return Placement((spec.width - width) // 2, (spec.height - height) // 2, width, height)


class NetworkInput:
    """Turns pictures into a network's input. The tensor is reused: each call overwrites the last one's.

    swscale averages areas straight from the native planes to planar RGB at the network's size, and enlarges
    bilinearly. 256x256 from 720p yuv420p takes 0.28 ms; packed RGB would take 0.49 and be 3 codes too dark.
    """

    def __init__(self, spec: InputSpec) -> None:
        self._spec = spec
        self._scaler = Scaler()
        self._tensor = np.empty(spec.shape, np.float32)
        self._channels = self._tensor[0] if spec.layout == "nchw" else np.moveaxis(self._tensor[0], -1, 0)
        mean = np.broadcast_to(np.array(spec.mean, np.float64), spec.channels)
        std = np.broadcast_to(np.array(spec.std, np.float64), spec.channels)
        self._gain = (spec.scale / std).astype(np.float32)
        self._bias = (-mean / std).astype(np.float32)
        self._placement: Placement | None = None

    def __call__(self, picture: av.VideoFrame, view: Box | None = None) -> tuple[Tensor, Placement]:
        """Return the tensor (InputSpec.shape) and where on it the picture lies; raises RuntimeFailure.

        `view`: the part of the picture the network sees instead of the whole.
        """
        seen = view or picture
        placement = place(self._spec, (seen.width, seen.height))
        if placement != self._placement:
            self._pad(placement)
        pixels = "gray" if self._spec.colour == "grey" else "gbrp"
        scaled = self._scaler(picture, (placement.width, placement.height), pixels, view)
        area = np.s_[
            placement.y : placement.y + placement.height, placement.x : placement.x + placement.width
        ]
        for channel, plane in enumerate(_PLANES[self._spec.colour]):
            values = self._channels[channel][area]
            np.multiply(scaled[plane], self._gain[channel], out=values)
            if self._bias[channel]:
                values += self._bias[channel]
        return self._tensor, placement

    def _pad(self, placement: Placement) -> None:
        """Make everything black."""
        self._channels[:] = self._bias[:, None, None]
        self._placement = placement


class Scaler:
    """swscale, straight from native planes: areas are averaged, small pictures enlarged bilinearly.

    High dynamic range becomes ordinary at the small size; nobody else pays for it. Another `interpolation`
    is for those who need less.
    """

    def __init__(self, interpolation: Interpolation = Interpolation.AREA) -> None:
        self._interpolation = interpolation
        self._cutter = Cutter()
        self._reformatter = VideoReformatter()

    def __call__(
        self, picture: av.VideoFrame, size: tuple[int, int], pixels: str, view: Box | None = None
    ) -> list[NDArray[np.uint8]]:
        """Return the planes of a picture, or of a part of it, at a size (w, h) in an 8-bit planar format.

        Raises RuntimeFailure.
        """
        part = picture if view is None else self._cutter(picture, view)
        read = reading_of(picture)
        # Grey of YUV is its luma. Told another matrix than BT.601 swscale makes RGB first: twice the time,
        # colours it cannot show clipped, and white 254.
        matrix = BT601 if pixels == "gray" else read.matrix
        try:
            small = self._reformatter.reformat(
                readable(part, read),
                width=size[0],
                height=size[1],
                format=pixels,
                src_colorspace=matrix,
                src_color_range=read.range,
                dst_color_range=FULL,
                interpolation=self._interpolation,
                threads=1,
            )
        except (av.FFmpegError, ValueError) as error:
            made = f"{picture.width}x{picture.height} {picture.format.name}"
            raise RuntimeFailure(f"cannot scale a {made} picture for the network: {reason(error)}") from error
        scaled = [plane.view(np.uint8) for plane in planes(small)]
        return to_sdr(scaled, int(picture.color_trc), int(picture.color_primaries))
