"""Which encoder makes what a container holds, and with which options."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache

import av
from av.codec import Capabilities, Codec
from av.codec.codec import UnknownCodecError

from streamseg.errors import UsageError
from streamseg.sinks.base import Encoding
from streamseg.sinks.containers import Container, supported

_ENCODERS = {
    "h264": "libx264",
    "hevc": "libx265",
    "h265": "libx265",
    "vp8": "libvpx",
    "vp9": "libvpx-vp9",
    "av1": "libsvtav1",
    "prores": "prores_ks",
    "ffv1": "ffv1",
    "mpeg4": "mpeg4",
    "mpeg2": "mpeg2video",
    "mjpeg": "mjpeg",
    "png": "png",
    "qtrle": "qtrle",
}
"""Usual names; any encoder of FFmpeg's goes by its own name too."""

_VP9 = {"cpu-used": "5", "row-mt": "1", "lag-in-frames": "1"}
"""VP9 would hold 24 pictures back, and once more for alpha, of which it makes no use in a single pass."""

_DEFAULTS = {
    "libx264": {"preset": "veryfast", "crf": "20"},
    "libx264rgb": {"preset": "veryfast", "crf": "20"},
    "libx265": {"preset": "veryfast", "crf": "22", "x265-params": "log-level=none"},
    "libvpx-vp9": {"crf": "30", "deadline": "good", **_VP9},
    "libvpx": {"crf": "10", "deadline": "good", "cpu-used": "5"},
    "libsvtav1": {"preset": "9", "crf": "30"},
    "prores_ks": {"vendor": "apl0"},
    "ffv1": {"level": "3", "slicecrc": "1", "g": "1"},
    "png": {"compression_level": "3"},
    "h264_nvenc": {"preset": "p4", "rc": "vbr", "cq": "23"},
    "hevc_nvenc": {"preset": "p4", "rc": "vbr", "cq": "25"},
    "av1_nvenc": {"preset": "p4", "rc": "vbr", "cq": "32"},
}

_LOSSLESS = {
    "libx264rgb": {"preset": "veryfast", "qp": "0"},
    "libx265": {"preset": "veryfast", "x265-params": "log-level=none:lossless=1"},
    "libvpx-vp9": {"lossless": "1", **_VP9},
}
"""Options with which an encoder that can also lose something does not."""

_NVENC_LIVE = {"tune": "ull", "zerolatency": "1", "delay": "0", "bf": "0", "forced-idr": "1"}
_X26X_LIVE = {"tune": "zerolatency", "forced-idr": "1"}
_WITHOUT_DELAY = {
    **dict.fromkeys(("libx264", "libx264rgb", "libx265"), _X26X_LIVE),
    **dict.fromkeys(("h264_nvenc", "hevc_nvenc", "av1_nvenc"), _NVENC_LIVE),
    "h264_qsv": {"async_depth": "1", "bf": "0", "forced_idr": "1"},
    "h264_amf": {"usage": "ultralowlatency", "bf": "0", "forced_idr": "1"},
    "h264_videotoolbox": {"realtime": "1", "bf": "0"},
}
"""Options with which encoders give each picture out at once."""

_EIGHT_BIT_RGB = frozenset({"rgb24", "bgr24", "bgr0", "gbrp"})

_NO_BITRATE = frozenset({"ffv1", "mjpeg", "png", "prores_ks", "qtrle"})
"""Encoders whose files are equally large at any bitrate: measured at 50 kbit/s and 20 Mbit/s."""

_BITRATES = dict.fromkeys(("libvpx", "h264_qsv", "h264_amf", "h264_videotoolbox"), 4_000_000)
"""Bits per second for encoders that know no quality without one."""

QSCALES = {"mpeg4": 3, "mpeg2video": 3, "mjpeg": 3}
"""Constant quantiser of encoders without crf: good pictures."""

_LARGEST_CRF = {
    "libx264": 51,
    "libx264rgb": 51,
    "libx265": 51,
    "libvpx": 63,
    "libvpx-vp9": 63,
    "libsvtav1": 63,
    "h264_nvenc": 51,
    "hevc_nvenc": 51,
    "av1_nvenc": 63,
}

_QUALITY = dict.fromkeys(("h264_nvenc", "hevc_nvenc", "av1_nvenc"), "cq")
"""What encoders call their crf; 0 of this one would leave it to them."""

_X26X = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo",
)  # fmt: skip
_PRESETS = {
    "libx264": _X26X,
    "libx264rgb": _X26X,
    "libx265": _X26X,
    "libsvtav1": tuple(str(n) for n in range(14)),
    **dict.fromkeys(_QUALITY, tuple(f"p{n}" for n in range(1, 8))),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """An encoder and how it is set up."""

    name: str
    options: Mapping[str, str]
    bitrate: int = 0
    qscale: int | None = None
    exact: bool = False
    """It shall keep RGB as RGB."""


def chosen_encoder(encoding: Encoding, container: Container, extension: str) -> Encoder | None:
    """Return the encoder the user's options ask for, None where no codec was named; raises UsageError."""
    if encoding.crf is not None and encoding.bitrate is not None:
        raise UsageError(
            "a crf asks for constant quality, a bitrate for a constant size: pass one of the two"
        )
    if encoding.codec is None:
        default_encoder(encoding, container.codec)
        return None
    name = _ENCODERS.get(encoding.codec.lower(), encoding.codec)
    possible = possible_codecs(container)
    if not _is_video_encoder(name):
        raise UsageError(f"unknown codec {encoding.codec!r}; {extension!r} can hold: {', '.join(possible)}")
    if not _fits(container, name):
        raise UsageError(f"{extension!r} cannot hold {encoding.codec!r}; it can hold: {', '.join(possible)}")
    return default_encoder(encoding, name)


def default_encoder(encoding: Encoding, name: str) -> Encoder:
    """Return encoder `name` with the user's crf, preset and bitrate over its defaults; raises UsageError."""
    options = dict(_DEFAULTS.get(name, {}))
    if encoding.preset is not None:
        options["preset"] = _preset(name, encoding.preset)
    if encoding.crf is not None:
        options[_QUALITY.get(name, "crf")] = _crf(name, encoding.crf)
    if encoding.bitrate is not None:
        if encoding.bitrate <= 0:
            raise UsageError(f"a bitrate of {encoding.bitrate} bits per second cannot be; try 2000000")
        if name in _NO_BITRATE:
            raise UsageError(f"encoder {name!r} knows no bitrate; leave it out")
        options.pop(_QUALITY.get(name, "crf"), None)
    if name == "libsvtav1":
        os.environ.setdefault("SVT_LOG", "-1")  # the library writes to the terminal on its own otherwise
    return Encoder(
        name=name,
        options=options,
        bitrate=encoding.bitrate or _BITRATES.get(name, 0),
        qscale=None if encoding.bitrate else QSCALES.get(name),
        exact=name in ("libx264rgb", "ffv1", "png", "qtrle"),
    )


def usable(encoding: Encoding, attempt: Callable[[Encoding], object]) -> tuple[Encoding, dict[str, str]]:
    """Return what of the user's options `attempt` takes, and why it refuses each of the others.

    `attempt` raises UsageError; options are added in the order of Encoding's fields, the codec first.
    """
    kept, refused = Encoding(), {}
    for option, value in asdict(encoding).items():
        more = replace(kept, **{option: value})
        try:
            attempt(more)
            kept = more
        except UsageError as error:
            refused[option] = str(error)
    return kept, refused


def without_delay(encoder: Encoder) -> Encoder:
    """Return the encoder set to give each picture out at once, and a keyframe where one is ordered."""
    return replace(encoder, options={**encoder.options, **_WITHOUT_DELAY.get(encoder.name, {})})


def lossless_encoder(encoding: Encoding, usual: str) -> Encoder:
    """Return the encoder asked for, else `usual`, set to keep every code value of RGB pictures.

    Raises UsageError where it cannot, and for a crf or bitrate, which would ask for loss.
    """
    name = usual
    if encoding.codec is not None:
        name = _ENCODERS.get(encoding.codec.lower(), encoding.codec)
        name = {"libx264": "libx264rgb"}.get(name, name)
        if name not in _LOSSLESS and not _never_loses(name):
            raise UsageError(
                f"codec {encoding.codec!r} would blur class ids; leave it out and label video is lossless"
            )
    for option, value in (("crf", encoding.crf), ("bitrate", encoding.bitrate)):
        if value is not None:
            raise UsageError(
                f"{option} {value!r} would do nothing to label video, which is lossless; leave it out"
            )
    options = dict(_LOSSLESS.get(name, _DEFAULTS.get(name, {})))
    if encoding.preset is not None:
        options["preset"] = _preset(name, encoding.preset)
    return Encoder(name=name, options=options, exact=name != "wrapped_avframe")


def _never_loses(name: str) -> bool:
    codec, formats = Codec(name, "w"), pixel_formats(name)
    return codec.lossless and not codec.lossy and not (formats and _EIGHT_BIT_RGB.isdisjoint(formats))


@lru_cache
def pixel_formats(encoder: str) -> tuple[str, ...]:
    """Names of the pixel formats an encoder takes and keeps; empty if it takes any."""
    formats = [each for each in Codec(encoder, "w").video_formats or () if each.components]
    if needs_hardware(encoder):  # these would make YUV of RGB in their own way, and lose transparency
        formats = [each for each in formats if not each.is_rgb]
    return tuple(each.name for each in formats)


def needs_hardware(encoder: str) -> bool:
    """Tell whether an encoder runs on a graphics card, or on whatever else a machine may lack."""
    return bool(Codec(encoder, "w").capabilities & (Capabilities.hardware | Capabilities.hybrid))


def possible_codecs(container: Container) -> list[str]:
    """Usual names of the codecs a container can hold."""
    return [name for name, encoder in _ENCODERS.items() if name != "h265" and _fits(container, encoder)]


def _fits(container: Container, encoder: str) -> bool:
    if Codec(encoder, "w").canonical_name in container.refuses:
        return False
    return encoder in (container.encoders or supported(container.format))


def _is_video_encoder(name: str) -> bool:
    try:
        return Codec(name, "w").type == "video"
    except UnknownCodecError:
        return False


def _preset(encoder: str, preset: str) -> str:
    possible = _PRESETS.get(encoder) or _choices(encoder, "preset")
    if not possible:
        raise UsageError(f"encoder {encoder!r} has no presets; leave preset {preset!r} out")
    if preset not in possible:
        raise UsageError(f"encoder {encoder!r} has no preset {preset!r}; it has: {', '.join(possible)}")
    return preset


def _crf(encoder: str, crf: int) -> str:
    largest = _LARGEST_CRF.get(encoder)
    if largest is None:
        raise UsageError(f"encoder {encoder!r} knows no crf; leave it out or pass a bitrate")
    best = 1 if encoder in _QUALITY else 0
    if not best <= crf <= largest:
        raise UsageError(f"crf {crf} is out of range; encoder {encoder!r} takes {best} (best) to {largest}")
    return str(crf)


def _choices(encoder: str, option: str) -> tuple[str, ...]:
    options = av.CodecContext.create(encoder, "w").supported_options.private
    return tuple(choice.name for each in options if each.name == option for choice in each.choices)
