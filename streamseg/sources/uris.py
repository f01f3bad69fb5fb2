"""What a source's URI means: which kind it is, and the local path in it."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from streamseg.errors import UsageError, redacted

_PICTURE_NAMES = (
    "avif bmp dpx exr hdr j2k jp2 jpe jpeg jpg jxl pam pbm pcx pgm png pnm ppm psd qoi sgi tga tif tiff webp"
)
_VIDEO_NAMES = (
    "264 265 3gp apng asf avi flv gif h264 h265 hevc ivf m2ts m4v mjpeg mkv mov mp4 mpeg mpg mts mxf nut ogv "
    "ts vob webm wmv y4m"
)

PICTURES = frozenset(f".{name}" for name in _PICTURE_NAMES.split())
"""Extensions of files that hold one picture."""

VIDEOS = frozenset(f".{name}" for name in _VIDEO_NAMES.split())
"""Extensions of files that usually hold a video; only hints to the user depend on them."""

READ_TIMEOUT = 5.0
"""Seconds a network stream may take to send its next picture."""

WINDOW = "screen:window="
"""How a URI begins that means one window of the screen; its title follows."""

_LIVE = ("rtsp", "rtsps", "rtmp", "rtmps", "rtmpt", "rtp", "udp", "tcp", "srt", "whep")
_NETWORK = re.compile(rf"(?i)^(?:[a-z][a-z0-9+.-]+://|(?:{'|'.join(_LIVE)}):)")
_NAMED = ("camera", "screen", "test", "demo")
_DEVICE = re.compile(r"\d+|/dev/video\d+|/dev/v4l/by-(id|path)/[^/]+")


def is_network(uri: str) -> bool:
    """Whether `uri` is an address FFmpeg opens by a protocol of its own, and no local file."""
    return bool(_NETWORK.match(uri)) and not uri.lower().startswith("file:")


def check_port(uri: str) -> None:
    """Raise UsageError where a network address has no port and its protocol knows none of its own, or one
    that cannot be."""
    scheme = uri.partition(":")[0].lower()
    try:
        lacking = urlsplit(uri).port is None and scheme in ("udp", "tcp")
    except ValueError as error:
        if "out of range" not in str(error):  # a password with a slash: FFmpeg says what it makes of it
            return
        raise UsageError(f"{redacted(uri)!r} has a port beyond 65535; correct it") from None
    if lacking:
        raise UsageError(f"{redacted(uri)!r} names no port; add it, as in {scheme}://HOST:5000")


def is_live_uri(uri: str) -> bool:
    """Whether frames from `uri` arrive by the clock: cameras, the screen, rtsp:, rtmp:, udp: and the like."""
    return kind_of(uri) in ("camera", "screen", "window") or uri.lower().startswith(
        tuple(f"{name}:" for name in _LIVE)
    )


def kind_of(uri: str) -> str:
    """Return the kind of source `uri` means: media, images, camera, screen, window, test or demo."""
    if uri.lower().startswith(WINDOW):
        return "window"
    named = uri.partition(":")[0].lower()
    if named in _NAMED and ":" in uri:
        return named
    if _DEVICE.fullmatch(uri):
        return "camera"
    if uri == "-" or is_network(uri):
        return "media"
    path = local_path(uri)
    if path.is_dir() or (not path.exists() and is_pattern(uri)) or path.suffix.lower() in PICTURES:
        return "images"
    return "media"


def is_pattern(uri: str) -> bool:
    """Whether `uri` stands for several files: a glob, or a numbered sequence like `%05d.png`."""
    return any(character in uri for character in "*?[") or bool(re.search(r"%0?\d*d", uri))


def local_path(uri: str) -> Path:
    """Return the absolute path a local `uri` means: plain, with `~`, or as a file: URL."""
    if uri.lower().startswith("file:"):
        plain = re.sub(r"(?i)^file:(?://(?:localhost)?(?=/))?", "", uri)
        path = Path(plain)
        return (path if path.exists() else Path(unquote(plain))).absolute()
    path = Path(uri)
    return (path.expanduser() if uri.startswith("~") and not path.exists() else path).absolute()
