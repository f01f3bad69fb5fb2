"""Which container an extension means, and what it can hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache

import av
from av.codec import Codec

from streamseg.errors import UsageError

H264 = frozenset({"libx264", "h264_nvenc", "h264_qsv", "h264_amf", "h264_videotoolbox"})
"""Its encoders, for what players and servers take nothing else of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One kind of media file."""

    format: str
    """The muxer's name in libavformat."""
    codec: str = "libx264"
    alpha: str | None = None
    """Encoder for pictures with transparency; None where players would not find it."""
    palette: str = "ffv1"
    """Encoder that keeps the colours of a label map to the byte."""
    sound: str = "aac"
    """Encoder for sound that cannot be copied."""
    holds: frozenset[str] = frozenset()
    """Sound and subtitles it can hold, where libavformat cannot tell."""
    encoders: frozenset[str] = frozenset()
    """Encoders whose pictures it can hold, where libavformat cannot tell."""
    refuses: frozenset[str] = frozenset()
    """Codecs libavformat counts as its own, and the header or the pictures fail all the same."""
    options: Mapping[str, str] = field(default_factory=dict)
    silent: bool = False
    """Nothing but pictures fits."""
    chapters: bool = False
    constant_rate: bool = False
    """It counts frames instead of noting their times."""
    tick: Fraction | None = None
    """It knows no other unit of time."""
    from_zero: bool = False
    """Each of its tracks begins at zero, whatever the time of the first frame or packet."""
    timeless: bool = False
    """It cannot even leave a gap: a frame's time is its number."""
    negative: bool = True
    """It can hold the few packets before time zero that encoders start with."""
    tagging: bool = False
    """It notes the range of colours, whatever the codec."""
    b_frames: bool = True
    live: bool = False
    """Somebody watches while it is written: no delay in the encoder, and a limit to its bitrate."""
    keyframe_seconds: int | None = None
    """Seconds from one keyframe to the next; None leaves them to the encoder."""
    global_header: bool = False
    """What a decoder needs stands before the pictures, which the muxer in front of it would not know."""
    iso: bool = False
    """MP4 and its kin: the sample aspect ratio is stored whatever the codec, a late start as an edit list."""


KEYFRAME_SECONDS = 2
"""Of streams; what Twitch, YouTube and HLS players ask for: whoever joins waits no longer than that."""

_EVEN_BEFORE_ZERO = {"avoid_negative_ts": "disabled"}
"""Otherwise these muxers would shift everything for the sake of one packet of encoder delay. MPEG-TS counts
modulo 2^33 and Matroska's blocks are signed, so both can say 'before zero'; FFmpeg reads that exactly."""

_MP4 = Container(
    format="mp4", palette="libx264rgb", options={"movflags": "+faststart"}, iso=True, chapters=True
)
_MPEGTS = Container(
    format="mpegts",
    palette="libx264rgb",
    options=_EVEN_BEFORE_ZERO,
    encoders=frozenset({"libx264", "libx264rgb", "libx265", "mpeg2video", "mpeg4"})
    | {"h264_nvenc", "hevc_nvenc", "h264_qsv", "h264_amf", "h264_videotoolbox"},
    holds=frozenset(
        {"aac", "aac_latm", "ac3", "dts", "dvb_subtitle", "dvb_teletext", "eac3", "mp2", "mp3", "opus"}
    ),
)

_WAVE = frozenset(
    f"pcm_{each}" for each in ("u8", "s16le", "s24le", "s32le", "f32le", "f64le", "alaw", "mulaw")
)
"""PCM as Microsoft's formats hold it."""

CONTAINERS = {
    ".mp4": _MP4,
    ".m4v": _MP4,
    ".mov": Container(
        format="mov",
        alpha="prores_ks",
        palette="png",
        refuses=frozenset({"vp8", "vp9", "av1", "gif"}),
        options={"movflags": "+faststart"},
        iso=True,
        chapters=True,
    ),
    ".mkv": Container(
        format="matroska", alpha="ffv1", options=_EVEN_BEFORE_ZERO, chapters=True, tagging=True
    ),
    ".webm": Container(
        format="webm",
        codec="libvpx-vp9",
        alpha="libvpx-vp9",
        palette="libvpx-vp9",
        sound="libopus",
        options=_EVEN_BEFORE_ZERO,
        chapters=True,
    ),
    ".avi": Container(
        format="avi",
        codec="mpeg4",
        sound="pcm_s16le",
        encoders=frozenset({"mpeg4", "mjpeg", "ffv1", "png"}),  # none that needs frames reordered
        holds=frozenset({"ac3", "mp2", "mp3", *_WAVE}),  # E-AC-3 and 5.1 FLAC lose their times
        options=_EVEN_BEFORE_ZERO,
        constant_rate=True,
        from_zero=True,
        b_frames=False,
    ),
    ".ts": _MPEGTS,
    ".m2ts": _MPEGTS,
    ".mts": _MPEGTS,
    ".flv": Container(
        format="flv",
        palette="libx264rgb",
        refuses=frozenset({"mpeg4", "h263"}),
        holds=frozenset({"aac", "mp3"}),  # of others it takes few rates, and its muxer aborts the process
        negative=False,
        b_frames=False,
    ),
    ".nut": Container(format="nut", alpha="ffv1", refuses=frozenset({"gif"}), negative=False, b_frames=False),
    ".y4m": Container(
        format="yuv4mpegpipe",
        codec="wrapped_avframe",
        palette="wrapped_avframe",
        options={"strict": "-1"},  # more than 8 bits are an extension, which everybody reads
        silent=True,
        constant_rate=True,
        from_zero=True,
        timeless=True,
    ),
}


def container_for(extension: str) -> Container:
    """Return what `extension` (with its dot, any case) stands for; raises UsageError."""
    try:
        return CONTAINERS[extension.lower()]
    except KeyError:
        known = " ".join([*CONTAINERS, ".m3u8 .gif", ".png .jpg .webp .bmp .tiff"])
        raise UsageError(
            f"nothing is known about files ending in {extension!r}; known are: {known}"
        ) from None


@lru_cache
def supported(format_name: str) -> frozenset[str]:
    """Names of FFmpeg's encoders and decoders whose codec a muxer can hold, as libavformat sees it."""
    # The name only tells the muxer; nothing is opened before the header is written.
    with av.open("never-written", "w", format=format_name) as probe:
        return frozenset(probe.supported_codecs)


def holds(container: Container, codec: Codec) -> bool:
    """Tell whether a track of sound or subtitles can be copied into the container."""
    if container.holds:
        return codec.canonical_name in container.holds
    return not supported(container.format).isdisjoint((codec.name, codec.canonical_name))
