"""One connection to a server or listener for each protocol: what `network` opens, loses and opens again.

PyAV holds Python's lock while FFmpeg connects, so a server that does not answer would stop every thread.
RTMP, RTSP and TCP therefore go through FFmpeg's `fifo` muxer, which connects and sends on a thread of its own
and hands its errors to the packet after next; HTTP is spoken here (`upload`); UDP connects to nobody.
"""

from __future__ import annotations

import errno
import re
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import av
from av.container import OutputContainer

from streamseg.errors import SinkClosed, SinkError
from streamseg.frame import Frame, Tracks, VideoFormat
from streamseg.handoff import Watch
from streamseg.hosts import REFUSED, unknown_host
from streamseg.sinks.address import told
from streamseg.sinks.base import Destination
from streamseg.sinks.containers import CONTAINERS, H264, KEYFRAME_SECONDS, Container
from streamseg.sinks.files import Direct
from streamseg.sinks.media import MediaSink
from streamseg.sinks.sockets import break_off, can_break_off

_MPEGTS = replace(
    CONTAINERS[".ts"],
    options={},
    negative=False,  # it can, but who receives a stream would see the sound of another day
    b_frames=False,
    live=True,
    keyframe_seconds=KEYFRAME_SECONDS,
)
_FLV = replace(
    CONTAINERS[".flv"],
    holds=frozenset({"aac"}),
    tick=Fraction(1, 1000),
    global_header=True,
    live=True,
    keyframe_seconds=KEYFRAME_SECONDS,
)
_RTSP = Container(
    format="rtsp",
    holds=frozenset({"aac"}),
    encoders=H264,
    negative=False,
    tick=Fraction(1, 90_000),
    global_header=True,
    b_frames=False,
    live=True,
    keyframe_seconds=KEYFRAME_SECONDS,
)

_PROOF = 3
"""Frames a connection has taken that holds."""

_HELD = 1.2
"""Seconds of frames a muxer holds back at most while no sound comes (see NO_WAITING), and some more."""

_NEARLY = 0.9
"""Of the timeout: FFmpeg's own clock may run out first."""

_SEND_BUFFER = 1 << 18
"""Bytes on their way: with more, a server that takes nothing would be noticed late."""

NO_WAITING = {"max_interleave_delta": "1000000", "flush_packets": "1"}
"""A picture waits at most 1 s (in microseconds) for sound that should come before it, not FFmpeg's ten."""

_USUAL_AUTHORITIES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")

_PORTS = {"rtsp": 554, "rtmp": 1935, "rtmps": 443}
"""Of servers whose address names none."""

_WHOLE_PACKETS = "pkt_size=1316"
"""Seven packets of 188 bytes to a datagram: a lost one does not break its neighbours."""


class Connection(MediaSink):
    """A stream as long as it holds. Whatever ends it is a SinkError."""

    kind = "a stream"
    container: Container = _MPEGTS
    again = False
    """It takes the place of one that was lost."""

    @property
    def made(self) -> bool:
        """The other side takes the stream. FFmpeg's `fifo` reports a failure two packets late, and only what
        need not wait for sound any more comes to it."""
        held = _HELD if self._source.streams else 0.0
        return self._video.frames >= _PROOF and self._video.length > held

    def __init__(self, destination: Destination) -> None:
        """Raises UsageError for a codec the protocol cannot carry; connects at `start`."""
        protocol = destination.uri.partition(":")[0].lower()
        self._timeout = destination.timeout
        self._set_up(destination, self.container, f"{protocol}:", Direct(), destination.uri)
        self.uri = told(destination.uri)

    def _check_wanted(self) -> None:
        """Raise SinkClosed where the run did not wait for this connection: its source may be gone."""
        if self.interrupted:
            raise SinkClosed(f"cannot write {self.uri!r}: the run ended before it was connected")

    def lose(self) -> None:
        """Take nothing more, and know afterwards what became of sound and times until then."""
        if self._container is not None:
            self._sum_up()

    def lingers(self, error: SinkError) -> bool:  # noqa: ARG002  (some do)
        """Whether it still tries to take leave of its server, so that `abort` would wait for that and stop
        every thread meanwhile."""
        return False

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            with super()._failures():
                yield
        except SinkError as error:
            why = self._meaning(error.__cause__)
            if why is None:
                raise
            raise SinkError(f"cannot write {self.uri!r}: {why}") from error

    def _meaning(self, cause: BaseException | None) -> str | None:
        """What an error of FFmpeg's means here, where that is not what it says."""
        if isinstance(cause, BrokenPipeError):
            return "the server closed the connection"
        if isinstance(cause, PermissionError):  # "not permitted" would be for somebody on this machine
            return "the server refused the stream; perhaps somebody sends one there already"
        if isinstance(cause, ConnectionRefusedError):
            return REFUSED
        if isinstance(cause, OSError) and cause.errno == errno.EIO:
            refused = "the server refused the stream or broke off; check the address and what the server says"
            return unknown_host(self._address) or refused
        return None


class Fifo(Connection):
    """Through FFmpeg's `fifo`. With one packet of room the third packet waits until the header is written."""

    _broken = False

    def _muxer(self, options: dict[str, str]) -> OutputContainer:
        target = {**options, **self._target_options()}
        text = ":".join(f"{key}={_escaped(value)}" for key, value in target.items())
        fifo = {"fifo_format": self._spec.format, "queue_size": "1", "format_opts": text, **NO_WAITING}
        return av.open(self._address, "w", "fifo", container_options=fifo)

    def write(self, frame: Frame) -> None:
        """Encode and send a frame."""
        with self._in_time():
            super().write(frame)

    def copy(self, packets: Sequence[av.Packet[Any]]) -> None:
        """Send packets of sound."""
        with self._in_time():
            super().copy(packets)

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        """Raise SinkError where the server took nothing for so long: FFmpeg's RTSP goes on as if it had."""
        begun = time.monotonic()
        yield
        if self.made and time.monotonic() - begun > _NEARLY * self._timeout:
            raise SinkError(f"cannot write {self.uri!r}: {self._took_nothing}") from TimeoutError()

    def lose(self) -> None:
        """Take nothing more. A server that takes nothing is not waited for: one that wakes again while its
        connection stands refuses another, as somebody sends there already."""
        super().lose()
        self._break_off()

    def abort(self) -> None:
        """Break off, and take no leave of a server that takes nothing: every thread would wait for that."""
        self._break_off()
        super().abort()

    def lingers(self, error: SinkError) -> bool:
        """Where the server takes nothing, FFmpeg tries to write a trailer and a farewell all the same, each
        for as long as the server may take (PyAV holds Python's lock while it waits for that); unless it was
        broken off, or takes again."""
        return self.made and isinstance(error.__cause__, TimeoutError) and not can_break_off()

    def _break_off(self, *, patience: float = 0.0) -> None:
        place = urlsplit(self._address)
        port = place.port or _PORTS[place.scheme.lower()]
        self._broken = break_off(place.hostname or "", port, patience=patience) or self._broken

    @property
    def _took_nothing(self) -> str:
        return f"the server took nothing for {self._timeout:g} s"

    def _target_options(self) -> Mapping[str, str]:
        return {"rw_timeout": _microseconds(self._timeout), "send_buffer_size": str(_SEND_BUFFER)}


class Tcp(Fifo):
    """MPEG-TS to whoever listens."""


class Rtmp(Fifo):
    """RTMP, and RTMPS with the server's certificate checked where the system's authorities are known."""

    container = _FLV

    def _meaning(self, cause: BaseException | None) -> str | None:
        why = super()._meaning(cause)
        if why is not None and self._address.lower().startswith("rtmps:"):
            why = why.replace("broke off", "broke off, or its certificate is not trusted")
        return why

    def _target_options(self) -> Mapping[str, str]:
        authorities = _authorities() if self._address.lower().startswith("rtmps:") else None
        checked = {"tls_verify": "1", "ca_file": authorities} if authorities else {}
        return {**super()._target_options(), **checked}


class Rtsp(Fifo):
    """RTSP, announced and recorded. Over TCP: it passes every firewall, and a lost server is noticed.

    Of a server that takes nothing FFmpeg waits for every piece of a picture anew, and fails at none: the
    connection is broken off under it.
    """

    container = _RTSP
    _watch: Watch | None = None

    def start(self, video: VideoFormat, first: Frame, tracks: Tracks) -> None:
        """Connect."""
        super().start(video, first, tracks)
        self._watch = Watch(self._break_off, seconds=self._timeout, name="rtsp")

    def close(self) -> None:
        """Take leave, if the server takes anything."""
        self._break_off(patience=self._timeout)
        with self._in_time():
            super().close()

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        assert self._watch is not None
        with super()._in_time(), self._watch:
            yield

    def _close_container(self) -> None:
        super()._close_container()
        if self._watch is not None:
            self._watch.close()

    def _meaning(self, cause: BaseException | None) -> str | None:
        if self._broken:
            return self._took_nothing
        if isinstance(cause, av.error.InvalidDataError):
            return "the server does not answer as RTSP wants it"
        return super()._meaning(cause)

    def _target_options(self) -> Mapping[str, str]:
        return {"timeout": _microseconds(self._timeout), "rtsp_transport": "tcp"}


class Udp(Connection):
    """MPEG-TS in datagrams, whoever receives them."""

    def _muxer(self, options: dict[str, str]) -> OutputContainer:
        address = self._address
        if "pkt_size=" not in address:
            address += ("&" if "?" in address else "?") + _WHOLE_PACKETS
        return av.open(address, "w", self._spec.format, container_options={**options, **NO_WAITING})


def _microseconds(seconds: float) -> str:
    return str(round(seconds * 1_000_000))


def _escaped(value: str) -> str:
    """For FFmpeg's lists of key=value:..."""
    return re.sub(r"([\\':])", r"\\\1", value)


def _authorities() -> str | None:
    """The file of certificate authorities that Python's TLS trusts, too; FFmpeg knows none by itself."""
    known = ssl.get_default_verify_paths().cafile
    return known or next((path for path in _USUAL_AUTHORITIES if Path(path).exists()), None)
