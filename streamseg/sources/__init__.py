"""Sources: where frames come from. `open_source(uri)` finds the right one; each kind has a file here."""

from __future__ import annotations

from importlib import import_module
from os import PathLike, fspath

from streamseg.errors import UsageError, redacted
from streamseg.sources.base import Source
from streamseg.sources.uris import kind_of

_SOURCES = {
    "media": ("streamseg.sources.media:MediaSource", ("hwaccel",)),
    "images": ("streamseg.sources.images:ImageSource", ("fps",)),
    "camera": ("streamseg.sources.camera:CameraSource", ("size", "fps")),
    "screen": ("streamseg.sources.screen:ScreenSource", ("size", "fps")),
    "test": ("streamseg.sources.synthetic:SyntheticSource", ("size", "fps")),
    "demo": ("streamseg.sources.synthetic:SyntheticSource", ("size", "fps")),
}
"""Kind to the class that reads it (imported on use) and the options it takes beside `live` and `duration`."""


def open_source(
    uri: str | PathLike[str],
    *,
    live: bool | None = None,
    duration: float | None = None,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    hwaccel: str = "off",
) -> Source:
    """Open the source `uri` names; the caller closes it.

    `live` (None: by kind) drops frames nobody takes in time; a file is then read at the pace of its pts.
    `duration` is in seconds from the first frame, `size` (W, H) in pixels. `hwaccel`: with "cuda" an NVIDIA
    card decodes files and streams, where it can, and frames stay there until somebody needs them in memory;
    "auto" is the same without a word where it cannot. Raises SourceError and UsageError.
    """
    uri = fspath(uri)
    if not uri:
        raise UsageError("no source was named; try a file, a folder of pictures, 0 (camera), test: or demo:")
    kind = kind_of(uri)
    address, takes = _SOURCES[kind]
    options = {"size": size, "fps": fps, "hwaccel": hwaccel}
    for name in ("size", "fps"):
        if options[name] is not None and name not in takes:
            able = "cameras, screen:, test: and demo:"
            raise UsageError(f"{redacted(uri)!r} has a {name} of its own; {name} is for {able}")
    _check(duration, size, fps)
    _check_hwaccel(uri, hwaccel, kind)
    module, _, name = address.partition(":")
    source: Source = getattr(import_module(module), name)(
        uri, live=live, duration=duration, **{name: options[name] for name in takes}
    )
    return source


MAX_DURATION = 1e9
"""Seconds, thirty years: more is a slip of the keyboard."""


HWACCELS = ("off", "auto", "cuda")
"""Who decodes: never a card; one where there is one; likewise, and a line says so where there is none."""


def _check_hwaccel(uri: str, hwaccel: str, kind: str) -> None:
    if hwaccel not in HWACCELS:
        raise UsageError(f"no hwaccel {hwaccel!r}; known: {', '.join(HWACCELS)}")
    if hwaccel == "cuda" and kind != "media":
        raise UsageError(f"{redacted(uri)!r} is not decoded; hwaccel is for video files and streams")


def _check(duration: float | None, size: tuple[int, int] | None, fps: float | None) -> None:
    if duration is not None and not 0 < duration < MAX_DURATION:
        raise UsageError(f"duration {duration!r} is no length of time; give seconds, e.g. 10")
    if fps is not None and not 0.001 <= fps <= 1000:
        raise UsageError(f"fps {fps!r} is no frame rate; give frames per second, e.g. 30")
    if size is not None and not all(1 <= side <= 16384 for side in size):
        raise UsageError(f"size {size!r} is no picture size; give width and height, e.g. 1280x720")


__all__ = ["Source", "open_source"]
