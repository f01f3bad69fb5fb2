"""Encoders in hardware, for streams: they leave the processor to the rest of the run.

Files are libx264's unless another encoder is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache

import av
from av.codec.hwaccel import HWAccel
from av.video.codeccontext import VideoCodecContext

from streamseg.errors import reason
from streamseg.pictures import layout, planes
from streamseg.sinks.base import Encoding
from streamseg.sinks.clock import retimed
from streamseg.sinks.codecs import Encoder, default_encoder, pixel_formats, without_delay
from streamseg.sinks.geometry import padded_size
from streamseg.sinks.pixels import best_format

_H264 = ("h264_nvenc", "h264_qsv", "h264_amf", "h264_videotoolbox")
"""In this order. VAAPI is in none of PyAV's wheels."""


NVENC = ("h264_nvenc", "hevc_nvenc", "av1_nvenc")
"""Encoders that can read pictures on the card."""


def in_hardware(encoder: Encoder, encoding: Encoding, first: av.VideoFrame) -> Encoder:
    """Return an encoder in hardware that works for pictures like `first`, for libx264; else `encoder`.

    `encoding`: what the user asked for, a bitrate at most.
    """
    if encoder.name != "libx264":
        return encoder
    return next(
        (found for name in _H264 if (found := _usable(name, encoding, first)) is not None),
        encoder,
    )


def _usable(name: str, encoding: Encoding, first: av.VideoFrame) -> Encoder | None:
    if name not in av.codecs_available:
        return None
    encoder = default_encoder(encoding, name)
    pixels = best_format(first.format.name, name, pixel_formats(name))
    if pixels is None:
        return None
    size = padded_size((first.width, first.height), pixels, name)
    options = tuple(without_delay(encoder).options.items())
    return encoder if encodes(name, size, pixels, options, encoder.bitrate) else None


@lru_cache
def encodes(
    name: str, size: tuple[int, int], pixels: str, options: tuple[tuple[str, str], ...] = (), bitrate: int = 0
) -> bool:
    """Whether an encoder, opened with these options, makes something of a black picture of `size` (W, H).

    That it is there says little: its library, its driver, its card may be missing, or know no such picture.
    """
    try:
        context = _context(name, size, pixels, dict(options), bitrate)
        packets = [*context.encode(_black(size, pixels)), *context.encode(None)]
    except (av.FFmpegError, ValueError, EOFError):
        return False
    return any(packet.size for packet in packets)


def on_card_encoding() -> HWAccel:
    """What makes an encoder take pictures that lie on the card, in its primary context."""
    return HWAccel("cuda", options={"primary_ctx": "1"})


def refusal_on_card(encoder: Encoder, picture: av.VideoFrame) -> str | None:
    """Why an encoder does not take pictures like this one where they lie on the card; None if it does."""
    try:
        context = av.CodecContext.create(encoder.name, "w", on_card_encoding())
        assert isinstance(context, VideoCodecContext)
        context.width, context.height = picture.width, picture.height
        context.pix_fmt = layout(picture).name
        context.time_base, context.framerate = Fraction(1, 30), Fraction(30)
        context.bit_rate, context.options = encoder.bitrate, dict(encoder.options)
        with retimed(picture, 0, Fraction(1, 30), 1):
            packets = [*context.encode(picture), *context.encode(None)]
    except (av.FFmpegError, ValueError, NotImplementedError) as error:
        return reason(error)
    return None if any(packet.size for packet in packets) else "nothing came out"


def _context(
    name: str, size: tuple[int, int], pixels: str, options: Mapping[str, str], bitrate: int
) -> VideoCodecContext:
    context = av.CodecContext.create(name, "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height = size
    context.pix_fmt = pixels
    context.time_base, context.framerate = Fraction(1, 30), Fraction(30)
    context.bit_rate, context.options = bitrate, dict(options)
    return context


def _black(size: tuple[int, int], pixels: str) -> av.VideoFrame:
    grey = av.VideoFrame(*size, "gray")
    planes(grey)[0].fill(0)
    black = grey.reformat(format=pixels)
    black.pts, black.time_base = 0, Fraction(1, 30)
    return black
