"""Sources: where frames come from. `open_source(uri)` finds the right one; each kind has a file here."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from os import PathLike, fspath
from typing import Any

from streamseg.errors import UsageError, redacted
from streamseg.sources.base import Source
from streamseg.sources.uris import READ_TIMEOUT, is_network, kind_of

_SOURCES = {
    "stream": ("streamseg.sources.reconnecting:open_stream", ("hwaccel", "read_timeout", "reconnect", "say")),
    "media": ("streamseg.sources.media:MediaSource", ("hwaccel",)),
    "images": ("streamseg.sources.images:ImageSource", ("fps",)),
    "camera": ("streamseg.sources.camera:CameraSource", ("size", "fps", "read_timeout", "reconnect", "say")),
    "screen": ("streamseg.sources.screen:ScreenSource", ("size", "fps")),
    "window": ("streamseg.sources.window:WindowSource", ("fps",)),
    "test": ("streamseg.sources.synthetic:SyntheticSource", ("size", "fps")),
    "demo": ("streamseg.sources.synthetic:SyntheticSource", ("size", "fps")),
}
"""Kind to what opens it (imported on use) and the options it takes beside `live` and `duration`."""


def open_source(
    uri: str | PathLike[str],
    *,
    live: bool | None = None,
    duration: float | None = None,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    hwaccel: str = "off",
    read_timeout: float = READ_TIMEOUT,
    reconnect: int | None = None,
    say: Callable[[str], None] = lambda _line: None,
) -> Source:
    """Open the source `uri` names; the caller closes it.

    `live` (None: by kind) drops frames nobody takes in time; a file is then read at the pace of its pts.
    `duration` is in seconds from the first frame, `size` (W, H) in pixels. `hwaccel`: with "cuda" an NVIDIA
    card decodes files and streams, where it can, and frames stay there until somebody needs them in memory;
    "auto" is the same without a word where it cannot. A stream or camera that gives no frame for
    `read_timeout` seconds (5) has failed; one that is live is then opened again, with up to `reconnect`
    attempts in a row (None: any number, 0: none), and yields absent frames meanwhile. `say` is told when that
    happens. Raises SourceError and UsageError.
    """
    uri = fspath(uri)
    if not uri:
        raise UsageError("no source was named; try a file, a folder of pictures, 0 (camera), test: or demo:")
    kind = "stream" if is_network(uri) else kind_of(uri)
    address, takes = _SOURCES[kind]
    options = {
        "size": size,
        "fps": fps,
        "read_timeout": None if read_timeout == READ_TIMEOUT else read_timeout,
        "reconnect": reconnect,
    }
    for name, value in options.items():
        if value is not None and name not in takes:
            raise UsageError(_refusal(redacted(uri), name))
    _check(duration, size, fps)
    _check_hwaccel(uri, hwaccel, kind)
    _check_patience(read_timeout, reconnect)
    given: dict[str, Any] = {**options, "hwaccel": hwaccel, "read_timeout": read_timeout, "say": say}
    module, _, name = address.partition(":")
    source: Source = getattr(import_module(module), name)(
        uri, live=live, duration=duration, **{name: given[name] for name in takes}
    )
    return source


def _refusal(shown: str, option: str) -> str:
    if option in ("size", "fps"):
        return f"{shown!r} has a {option} of its own; {option} is for cameras, screen:, test: and demo:"
    name = option.replace("_", "-")
    return f"{shown!r} is no network stream; {name} is for cameras, rtsp:, rtmp:, http: and the like"


MAX_DURATION = 1e9
"""Seconds, thirty years: more is a slip of the keyboard."""


HWACCELS = ("off", "auto", "cuda")
"""Who decodes: never a card; one where there is one; likewise, and a line says so where there is none."""


def _check_hwaccel(uri: str, hwaccel: str, kind: str) -> None:
    if hwaccel not in HWACCELS:
        raise UsageError(f"no hwaccel {hwaccel!r}; known: {', '.join(HWACCELS)}")
    if hwaccel == "cuda" and kind not in ("stream", "media"):
        raise UsageError(f"{redacted(uri)!r} is not decoded; hwaccel is for video files and streams")


def _check(duration: float | None, size: tuple[int, int] | None, fps: float | None) -> None:
    if duration is not None and not 0 < duration < MAX_DURATION:
        raise UsageError(f"duration {duration!r} is no length of time; give seconds, e.g. 10")
    if fps is not None and not 0.001 <= fps <= 1000:
        raise UsageError(f"fps {fps!r} is no frame rate; give frames per second, e.g. 30")
    if size is not None and not all(1 <= side <= 16384 for side in size):
        raise UsageError(f"size {size!r} is no picture size; give width and height, e.g. 1280x720")


def _check_patience(read_timeout: float, reconnect: int | None) -> None:
    if not 0 < read_timeout < MAX_DURATION:
        raise UsageError(f"read-timeout {read_timeout!r} is no length of time; give seconds, e.g. 5")
    if reconnect is not None and reconnect < 0:
        raise UsageError(f"reconnect {reconnect!r} is no number of attempts; give 0 or more")


__all__ = ["Source", "open_source"]
