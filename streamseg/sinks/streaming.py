"""How a stream is encoded: no delay, a keyframe every two seconds, and never more bits than a viewer's line
bears."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from streamseg.sinks.codecs import Encoder, without_delay
from streamseg.sinks.containers import KEYFRAME_SECONDS

_BITRATES = (
    (426 * 240, 500_000, 700_000),
    (640 * 360, 1_000_000, 1_500_000),
    (854 * 480, 2_000_000, 3_000_000),
    (1280 * 720, 3_000_000, 4_500_000),
    (1920 * 1080, 4_500_000, 6_000_000),
    (2560 * 1440, 15_000_000, 24_000_000),
    (3840 * 2160, 30_000_000, 35_000_000),
)
"""Pixels of a picture; bits per second at up to 30 frames a second, and above that.

720 and 1080 lines: Twitch's broadcasting guidelines, whose 6 Mbit/s nearly every service takes. Above:
YouTube's recommendation for H.264. Below: YouTube's older one for single resolutions, half as much again
above 30 frames a second.
"""

_QUALITY = ("crf", "cq")
"""What encoders call the quality they keep where a limit to the bitrate allows it."""


def bitrate_for(size: tuple[int, int], rate: Fraction | None) -> int:
    """Return the bits per second for pictures of `size` (W, H) at `rate` frames per second."""
    pixels = size[0] * size[1]
    fitting = (row for row in _BITRATES if pixels <= row[0] * 1.05)
    _, slow, fast = next(fitting, _BITRATES[-1])
    return slow if rate is None or rate <= 31 else fast


def streamed(
    encoder: Encoder, size: tuple[int, int], rate: Fraction | None, *, asked: int | None = None
) -> Encoder:
    """Return the encoder set up for a stream of pictures of `size` (W, H).

    `asked` is the user's bitrate. Without one, encoders that know constant quality keep it below the usual
    bitrate (flat silhouettes need far less), others aim at that. No second holds more than one second's bits.
    What must not lose anything gets no limit.
    """
    encoder = without_delay(encoder)
    options = {**encoder.options, "g": str(round(KEYFRAME_SECONDS * (rate or 30)))}
    if encoder.exact:
        return replace(encoder, options=options)
    most = asked or bitrate_for(size, rate)
    options |= {"maxrate": str(most), "bufsize": str(most)}
    kept = any(quality in encoder.options for quality in _QUALITY) and encoder.name != "libvpx-vp9"
    return replace(encoder, options=options, bitrate=0 if kept else most, qscale=None)
