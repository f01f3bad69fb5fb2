"""Streams out over the network, which outlive their connections: one that is lost is opened again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from streamseg.errors import SinkError
from streamseg.frame import Frame, Tracks, VideoFormat
from streamseg.sinks.address import told
from streamseg.sinks.base import Destination, Sink
from streamseg.sinks.connections import Connection, Rtmp, Rtsp, Tcp, Udp
from streamseg.sinks.push import HlsPush, Push
from streamseg.sources.uris import check_port

if TYPE_CHECKING:
    import av

_FAREWELL = 2.5
"""Times the timeout of a server that takes nothing, until FFmpeg has given up taking leave (2.1 measured)."""

_LOOK = 0.05
"""Seconds between looks at whether the run shall end while frames wait for a connection."""


class NetworkSink(Sink):
    """A live stream to a server or a listener.

    That the first connection cannot be made is an error at once. One that is lost later, or whose server
    takes nothing for a while, is opened again after a growing delay: the stream goes on with a keyframe, its
    times and its sound as if nothing had been. Frames that come meanwhile are lost; with `waits` they wait.
    """

    kind = "a stream"
    encodes = True
    apart = True

    def __init__(self, destination: Destination) -> None:
        """Raises UsageError for a codec the protocol cannot carry, or a port that cannot be; connects at the
        first frame."""
        check_port(told(destination.uri))
        self._destination = destination
        self._stream: Connection | None = self._new()
        self.uri = told(destination.uri)
        self.notes = list(self._stream.notes)
        self.unused = self._stream.unused
        self.realtime = destination.realtime
        self._proven = False
        """The first connection was made."""
        self._made = False
        """The present one was."""
        self._delays: Iterator[float] | None = None
        """Of the outage going on."""
        self._due = 0.0

        self._leaving: list[tuple[float, Connection]] = []
        """Lost connections, and when they will have taken leave."""

    def interrupt(self) -> None:
        """Connect to nobody any more."""
        super().interrupt()
        self._newest.interrupt()

    def start(self, video: VideoFormat, first: Frame, tracks: Tracks) -> None:
        """Open the first connection; raises SinkError where that fails."""
        self._begin = video, tracks
        assert self._stream is not None
        self._stream.start(video, first, tracks)

    def copy(self, packets: Sequence[av.Packet[Any]]) -> None:
        """Send packets of sound; without a connection they are lost with their frames."""
        if self._stream is not None:
            try:
                self._stream.copy(packets)
            except SinkError as error:
                self._lose(error)

    def write(self, frame: Frame) -> None:
        """Send a frame. Raises SinkError when the stream is lost for good."""
        while not self._connected(frame):
            if not self.waits or self.interrupted:
                self.dropped += not frame.again
                return
            time.sleep(_LOOK)
        assert self._stream is not None
        try:
            self._stream.write(frame)
        except SinkError as error:
            self.dropped += not frame.again
            self._lose(error)
            return
        self.pts_exact = self.pts_exact and self._stream.pts_exact
        if not self._made and self._stream.made:
            self._prove()

    def close(self) -> None:
        """End the stream as its protocol does."""
        stream = self._stream
        if stream is not None:
            stream.close()
            self._sum_up(stream)
        self._let_go(wait=True)
        if self.reconnects:
            self.notes.append(f"the connection was lost and made again {_times(self.reconnects)}")
        if self._delays is not None:
            self.notes.append("the connection was lost and not made again before the end")

    def abort(self) -> None:
        """Break off."""
        if self._stream is not None:
            self._stream.abort()
        self._let_go(wait=True)

    def _new(self) -> Connection:
        self._newest = connection_for(self._destination.uri)(self._destination)
        return self._newest

    def _connected(self, first: Frame) -> bool:
        """Whether there is a connection; where one is due, `first` begins it."""
        if self._stream is not None:
            return True
        if self.interrupted or time.monotonic() < self._due:
            return False
        self._let_go()
        stream = self._new()
        stream.again = self._proven
        try:
            stream.start(self._begin[0], first, self._begin[1])
        except SinkError as error:
            self._wait(error)
            return False
        self._stream, self._made = stream, False
        return True

    def _prove(self) -> None:
        self._proven = self._made = True
        if self._delays is not None:
            self._delays = None
            self.reconnects += 1
            self._destination.say(f"{self.uri}: connected again")

    def _lose(self, error: SinkError) -> None:
        stream, self._stream = self._stream, None
        assert stream is not None
        stream.lose()
        self._sum_up(stream)
        if stream.lingers(error):
            self._leaving.append((time.monotonic() + _FAREWELL * self._destination.timeout, stream))
        else:
            stream.abort()
        if not self._proven:
            raise error
        self._wait(error)

    def _wait(self, error: SinkError) -> None:
        """Let the next attempt be due after a while; raises SinkError where there shall be none."""
        if self._delays is None:
            self._delays = iter(self._destination.backoff)
            self._destination.say(f"{error}; connecting again")
        delay = next(self._delays, None)
        if delay is None:
            made = self._destination.backoff.attempts
            tried = "1 attempt" if made == 1 else f"{made} attempts"
            raise SinkError(f"{error}; given up after {tried} to reconnect")
        self._due = time.monotonic() + delay

    def _let_go(self, *, wait: bool = False) -> None:
        """Close the lost connections that have taken leave; all of them, with `wait`."""
        while self._leaving and (wait or self._leaving[0][0] <= time.monotonic()):
            due, stream = self._leaving.pop(0)
            time.sleep(max(0.0, due - time.monotonic()))
            stream.abort()

    def _sum_up(self, stream: Connection) -> None:
        self.audio = stream.audio if self.audio == "none" else self.audio
        self.pts_exact = self.pts_exact and stream.pts_exact
        if stream.av_offset_ms is not None:
            self.av_offset_ms = max(self.av_offset_ms or 0.0, stream.av_offset_ms, key=abs)
        self.notes += [note for note in stream.notes if note not in self.notes]


def connection_for(uri: str) -> type[Connection]:
    """Return what carries a stream to `uri`."""
    scheme = uri.partition(":")[0].lower()
    if scheme in ("http", "https"):
        return HlsPush if urlsplit(uri).path.lower().endswith(".m3u8") else Push
    return {"rtmp": Rtmp, "rtmps": Rtmp, "rtsp": Rtsp, "udp": Udp, "tcp": Tcp}[scheme]


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
