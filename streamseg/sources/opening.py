"""Opening what FFmpeg reads: files, standard input, network streams; and why that failed."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Any

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer

from streamseg.errors import SourceError, reason, redacted
from streamseg.hosts import unknown_host
from streamseg.sources import diagnosis
from streamseg.sources.uris import check_port

OPEN_TIMEOUT = 10.0
"""Seconds a network stream may take to open, and to send its first picture."""

_OPTIONS = {
    "rtsp": {"rtsp_flags": "prefer_tcp"},
    "rtsps": {"rtsp_flags": "prefer_tcp"},
    "udp": {"overrun_nonfatal": "1"},
}
"""What FFmpeg is told beside the address. More datagrams than anybody takes are no reason to end."""


def open_container(uri: str, path: Path | None, accel: HWAccel | None, read_timeout: float) -> InputContainer:
    """Open a file (its `path`), standard input or a network stream, for as long as its next packets come
    within `read_timeout` seconds; `accel`: the card to decode on. Raises SourceError, and UsageError for an
    address without the port it needs."""
    if path is not None:
        return _open_file(path, redacted(uri), accel)
    if uri == "-":
        return _open_stdin(accel)
    check_port(uri)
    options = _OPTIONS.get(uri.partition(":")[0].lower(), {})
    end = time.monotonic() + OPEN_TIMEOUT
    try:
        return _read_with_av(uri, options=options, timeout=(OPEN_TIMEOUT, read_timeout), hwaccel=accel)
    except (av.FFmpegError, OSError, ValueError) as error:
        why = _network_reason(uri, error, in_time=time.monotonic() < end)
        if isinstance(error, av.InvalidDataError) and uri.partition("?")[0].lower().endswith(".m3u8"):
            why = "none of the segments its playlist names can be read; check that they are on the server"
        raise SourceError(f"cannot open {redacted(uri)!r}: {why}") from error


def _open_file(path: Path, shown: str, accel: HWAccel | None) -> InputContainer:
    if not path.exists():
        raise SourceError(f"cannot open {shown!r}: {diagnosis.missing(path)}")
    try:
        # The prefix keeps names like `12:30.mp4` from being taken for a protocol.
        return _read_with_av(f"file:{path}", hwaccel=accel)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise SourceError(f"cannot open {shown!r}: {diagnosis.unreadable(path)}") from error


def _open_stdin(accel: HWAccel | None) -> InputContainer:
    if os.isatty(0):
        raise SourceError(
            "cannot read '-': standard input is a terminal; pipe a video into it or name a file"
        )
    try:
        return _read_with_av("fd:", hwaccel=accel)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise SourceError(
            "cannot read '-': no video format was found in standard input; an MP4 must be made for streaming "
            "(-movflags faststart), or use mkv, webm, ts or y4m"
        ) from error


def _read_with_av(name: str, **options: Any) -> InputContainer:
    # A title in a legacy encoding must not keep a file from opening; from PyAV 19 on it never does.
    lenient: dict[str, Any] = {"metadata_errors": "replace"} if av.__version__.startswith("18.") else {}
    container = av.open(name, "r", **{**options, **lenient})
    assert isinstance(container, InputContainer)
    return container


def _network_reason(uri: str, error: BaseException, *, in_time: bool) -> str:
    if isinstance(error, av.ProtocolNotFoundError):
        return "this FFmpeg does not know the protocol; use http, https, rtsp, rtmp, udp or tcp"
    if isinstance(error, av.ExitError) or not in_time:  # RTSP calls an answer that was cut off invalid
        return f"nothing came for {OPEN_TIMEOUT:.0f} s; check the address and the link"
    unknown = unknown_host(uri) if isinstance(error, OSError) and error.errno == errno.EIO else None
    return unknown or f"{reason(error)}; check the address and the link"
