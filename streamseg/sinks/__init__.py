"""Sinks: where finished frames go. `open_sink(uri)` finds the right one; each kind has a file here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from streamseg.errors import SinkError, UsageError, reason, redacted
from streamseg.sinks.base import Destination, Encoding, Sink

__all__ = ["Encoding", "Sink", "open_sink"]

_SINKS = {
    "media": "streamseg.sinks.media:MediaSink",
    "gif": "streamseg.sinks.gif:GifSink",
    "picture": "streamseg.sinks.images:PictureSink",
    "sequence": "streamseg.sinks.images:SequenceSink",
    "folder": "streamseg.sinks.images:FolderSink",
    "window": "streamseg.sinks.window:WindowSink",
    "stdout": "streamseg.sinks.stdout:StdoutSink",
    "network": "streamseg.sinks.network:NetworkSink",
    "null": "streamseg.sinks.null:NullSink",
}
"""Kind of sink to module and class, imported on use; each is made from a Destination."""

_DEFAULTS = Encoding()

_PROTOCOLS = ("rtmp", "rtmps", "rtsp", "udp", "tcp")
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):", re.IGNORECASE)
_NUMBERED = re.compile(r"%0?\d*d")


def open_sink(
    uri: str, *, encoding: Encoding = _DEFAULTS, overwrite: bool = False, inputs: Sequence[str] = ()
) -> Sink:
    """Return the sink `uri` stands for, checked but with nothing created yet.

    `inputs` are files no sink may overwrite, whatever `overwrite` says. `encoding` is for sinks that encode
    video. Raises UsageError for what makes no sense and SinkError for what cannot be written.
    """
    path = uri.removeprefix("file:")
    try:
        module, _, name = _SINKS[_kind(path)].partition(":")
    except OSError as error:  # a name too long to look at
        raise SinkError(f"cannot write {uri!r}: {reason(error)}") from error
    destination = Destination(uri=path, encoding=encoding, overwrite=overwrite, inputs=tuple(inputs))
    sink: Sink = getattr(import_module(module), name)(destination)
    return sink


def _kind(uri: str) -> str:
    if uri in ("-", "window", "null"):
        return {"-": "stdout"}.get(uri, uri)
    scheme = _SCHEME.match(uri)
    if scheme and not Path(uri).exists():
        return _kind_of_scheme(scheme[1].lower(), uri)
    return _kind_of_path(uri)


def _kind_of_scheme(scheme: str, uri: str) -> str:
    if scheme in ("window", "null"):
        return scheme
    if scheme in _PROTOCOLS:
        return "network"
    known = "a file, a folder, out/%05d.png, window, null:, - and " + ", ".join(
        f"{each}:" for each in _PROTOCOLS
    )
    raise UsageError(f"nothing can be written to {redacted(uri)!r}; possible are {known}")


def _kind_of_path(uri: str) -> str:
    path = Path(uri)
    if not uri or path.is_char_device() or path.is_block_device():
        raise UsageError(f"{uri!r} is nothing to write to; name a file such as out.mp4, or a folder")
    extension = path.suffix.lower()
    if uri.endswith(("/", "\\")) or path.is_dir() or not extension:
        return "folder"
    if extension in _PICTURES:
        return "sequence" if _NUMBERED.search(path.name) else "picture"
    return "gif" if extension == ".gif" else "media"
