"""Sinks: where finished frames go. `open_sink(uri)` finds the right one; each kind has a file here.

Video files, streams, stdout and GIF share one path: `media` owns the container from header to trailer;
`video` encodes the pictures into it at their own times (`clock`), `tracks` has sound and subtitles beside
them: `copied`, or where that cannot be encoded anew by `sound`. `containers` says what each container holds,
`codecs` which encoder makes that and how it is set up, `pixels` which pixel format it gets and how frames are
converted, `geometry` how frames of another size are fitted. `files` keeps unfinished files away from their
final names, `pipes` waits for no reader that stalls. `window` shows what `display` makes of frames. `vcam`
feeds a virtual camera: `loopback` says which there are on Linux, `camera_pictures` makes the pictures it
takes.

`network` is a stream that outlives its connections; `connections` has one for each protocol, `push` those by
HTTP, which `upload` speaks; `streaming` keeps bitrates in bounds. Streams run on threads of their own
(`apart`). `hls` makes a playlist in a folder.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib import import_module
from os import PathLike, fspath
from pathlib import Path

from streamseg.backoff import Backoff
from streamseg.errors import SinkError, UsageError, reason
from streamseg.sinks.address import told
from streamseg.sinks.base import Destination, Encoding, Sink

__all__ = ["Encoding", "Sink", "check_encoding", "open_sink"]

_SINKS = {
    "media": "streamseg.sinks.media:MediaSink",
    "gif": "streamseg.sinks.gif:GifSink",
    "picture": "streamseg.sinks.images:PictureSink",
    "sequence": "streamseg.sinks.images:SequenceSink",
    "folder": "streamseg.sinks.images:FolderSink",
    "window": "streamseg.sinks.window:WindowSink",
    "vcam": "streamseg.sinks.vcam:VirtualCameraSink",
    "stdout": "streamseg.sinks.stdout:StdoutSink",
    "network": "streamseg.sinks.network:NetworkSink",
    "hls": "streamseg.sinks.hls:HlsSink",
    "web": "streamseg.sinks.web:WebSink",
    "null": "streamseg.sinks.null:NullSink",
}
"""Kind of sink to module and class, imported on use; each is made from a Destination."""

_DEFAULTS = Encoding()
_FOR_EVER = Backoff()

_PROTOCOLS = ("rtmp", "rtmps", "rtsp", "udp", "tcp", "http", "https")
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):", re.IGNORECASE)
_DEVICE = re.compile(r"/dev/video\d+")
_NUMBERED = re.compile(r"%0?\d*d")


def open_sink(
    uri: str | PathLike[str],
    *,
    encoding: Encoding = _DEFAULTS,
    overwrite: bool = False,
    inputs: Sequence[str] = (),
    expected_frames: int | None = None,
    shared: bool = False,
    live: bool = False,
    realtime: bool = True,
    backoff: Backoff = _FOR_EVER,
    timeout: float = 5.0,
    say: Callable[[str], None] = lambda _line: None,
) -> Sink:
    """Return the sink `uri` stands for, checked but with nothing created yet.

    `inputs` are the files the source reads: no sink may overwrite them, whatever `overwrite` says. `encoding`
    is for sinks that encode video; the others ignore it (see `check_encoding`). `expected_frames` lets a sink
    for a single picture refuse a video. `shared`: other sinks get the same `encoding`, so options that mean
    nothing to this one's encoder are left out with a note. `live`: the source has no end. A stream is sent at
    its own speed unless `realtime` is False; when its server takes nothing for `timeout` seconds or is lost,
    it is connected again as `backoff` says, and `say` gets a line about it. Raises UsageError for what makes
    no sense and SinkError for what cannot be written.
    """
    uri = fspath(uri)
    destination = Destination(
        uri=uri.removeprefix("file:"),
        encoding=encoding,
        overwrite=overwrite,
        inputs=tuple(inputs),
        expected_frames=expected_frames,
        shared=shared,
        live=live,
        realtime=realtime,
        backoff=backoff,
        timeout=timeout,
        say=say,
    )
    return _class_for(uri)(destination)  # type: ignore[call-arg]  # every kind is made from a Destination


def check_encoding(encoding: Encoding, sinks: Sequence[Sink]) -> None:
    """Raise UsageError for an option of `encoding` that none of `sinks`, opened as shared, has use for."""
    asked = {option: value for option, value in asdict(encoding).items() if value is not None}
    for option, value in asked.items():
        refusals = [sink.unused.get(option) for sink in sinks if sink.encodes]
        if not refusals:
            raise UsageError(
                f"{option} {value!r} would do nothing: {sinks[0].uri!r} is {sinks[0].kind}, "
                "which takes no codec, crf, preset or bitrate; leave it out or write a video such as out.mp4"
            )
        if refusals[0] and all(refusals):
            raise UsageError(refusals[0])


def _class_for(uri: str) -> type[Sink]:
    try:
        module, _, name = _SINKS[_kind(uri.removeprefix("file:"))].partition(":")
    except OSError as error:  # a name too long to look at
        raise SinkError(f"cannot write {uri!r}: {reason(error)}") from error
    sink: type[Sink] = getattr(import_module(module), name)
    return sink


def _kind(uri: str) -> str:
    if uri in ("-", "window", "vcam", "null"):
        return {"-": "stdout"}.get(uri, uri)
    scheme = _SCHEME.match(uri)
    if scheme and not Path(uri).exists():
        return _kind_of_scheme(scheme[1].lower(), uri)
    return _kind_of_path(uri)


def _kind_of_scheme(scheme: str, uri: str) -> str:
    if scheme in ("window", "vcam", "web", "null"):
        return scheme
    if scheme in _PROTOCOLS:
        return "network"
    known = "a file, a folder, out/%05d.png, window, vcam:, web:8080, null:, - and " + ", ".join(
        f"{each}:" for each in _PROTOCOLS
    )
    raise UsageError(f"nothing can be written to {told(uri)!r}; possible are {known}")


def _kind_of_path(uri: str) -> str:
    path = Path(uri)
    if _DEVICE.fullmatch(uri):
        return "vcam"
    if not uri or path.is_char_device() or path.is_block_device():
        raise UsageError(f"{uri!r} is nothing to write to; name a file such as out.mp4, or a folder")
    extension = path.suffix.lower()
    if uri.endswith(("/", "\\")) or path.is_dir() or not extension:
        return "folder"
    if extension in _PICTURES:
        return "sequence" if _NUMBERED.search(path.name) else "picture"
    return {".gif": "gif", ".m3u8": "hls"}.get(extension, "media")
