"""Live network streams that outlive their connections: without one, black frames come by the clock."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import count

from streamseg.backoff import Backoff
from streamseg.errors import SourceError, UsageError
from streamseg.frame import Frame
from streamseg.sources.absence import black_like
from streamseg.sources.attempts import Attempts
from streamseg.sources.base import Source
from streamseg.sources.media import MediaSource
from streamseg.sources.relay import Relay
from streamseg.sources.timing import wait_until
from streamseg.sources.upright import copied
from streamseg.sources.uris import READ_TIMEOUT

_FALLBACK_RATE = Fraction(25)
_FASTEST_RATE = 120
"""Frames a second; a header that says more, such as 90000, means its clock."""

_GRACE = 1.0
"""Seconds in which a playlist may turn out to be finished before black frames come."""

_NOTES = 50
"""Notes kept; a stream that is lost every minute for a month has nothing new to tell."""


def open_stream(
    uri: str,
    *,
    live: bool | None = None,
    duration: float | None = None,
    hwaccel: str = "off",
    read_timeout: float = READ_TIMEOUT,
    reconnect: int | None = None,
    say: Callable[[str], None] = lambda _line: None,
    backoff: Backoff | None = None,
) -> Source:
    """Open a network stream; one that is live is opened again whenever it is lost.

    `live`, `duration`, `hwaccel`: see open_source. `read_timeout`: seconds without a frame that count as a
    fault. `reconnect`: how many attempts in a row may fail; None: any number, 0: there is none. `say` is told
    in a line when the stream is lost and when it is back. `backoff`: the delays between attempts. Raises
    SourceError, also where the very first attempt fails, and UsageError.
    """

    def connect() -> MediaSource:
        gc.collect()  # a picture and its side data hold each other, and all its decoder's memory
        source = MediaSource(uri, live=live, hwaccel=hwaccel, read_timeout=read_timeout)
        try:
            source.catch_up()
        except BaseException:
            source.close()
            raise
        return source

    first = MediaSource(uri, live=live, duration=duration, hwaccel=hwaccel, read_timeout=read_timeout)
    if reconnect and not first.live:
        first.close()
        raise UsageError(f"{first.uri!r} is not live; reconnect is for live streams (or pass --live)")
    if reconnect == 0 or not first.live:
        return first
    backoff = backoff or Backoff(attempts=reconnect)
    return ReconnectingSource(first, connect, backoff=backoff, say=say)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the last frame is: in the stream, and by the clock."""

    ticks: int = -(2**63)
    time: Fraction = Fraction(0)
    captured: float = 0.0
    absent: bool = False

    def at(self, moment: float) -> Fraction:
        """The time of the stream at a moment of the monotonic clock."""
        return self.time + Fraction(moment - self.captured)


class ReconnectingSource(Source):
    """The frames of one connection after the other, as one stream.

    Times go on by the clock: the first frame of a new connection comes as long after the last one of the
    connection before as it really did; sound moves by exactly as much. Frames between them are black and
    marked absent; they have the size, format and rate of those before.
    """

    def __init__(
        self,
        first: MediaSource,
        connect: Callable[[], MediaSource],
        *,
        backoff: Backoff,
        say: Callable[[str], None],
    ) -> None:
        """Own `first`, already open, from here on; `connect` opens its successors."""
        super().__init__(first.uri, live=True, duration=first.limit)
        self.video = first.video
        self._limit, first.limit = first.limit, None
        self._connection = first
        self._connect, self._backoff, self._say = connect, backoff, say
        self._relay = Relay(first.tracks)
        self._relay.connect(first.tracks, Fraction(0), None)
        self.tracks = self._relay.tracks
        self._shift = Fraction(0)
        rate = self.video.rate or _FALLBACK_RATE
        self._step = 1 / (rate if 1 <= rate <= _FASTEST_RATE else _FALLBACK_RATE)
        self._last = _Place()
        self._frames = 0
        """Read so far."""
        self._note(*self._relay.notes)

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._lasting():
            if self._limit is not None and self._relay.until is None:
                self._relay.until = frame.time + Fraction(str(self._limit))
            if self._relay.until is not None and frame.time >= self._relay.until:
                return
            yield frame

    def interrupt(self) -> None:
        """End soon: no wait goes on, no attempt is made any more."""
        super().interrupt()
        self._connection.interrupt()

    def close(self) -> None:
        """Close the connection, if there is one."""
        self._connection.close()
        self._relay.close()

    def _lasting(self) -> Iterator[Frame]:
        """Yield frames until the stream is complete; raise SourceError where it cannot be had back."""
        while True:
            try:
                yield from self._connected()
            finally:
                self._note(*self._connection.warnings)
            if self.interrupted or self._connection.complete:
                return
            again = yield from self._bridged(self._connection.fault)
            if again is None:
                return
            self._connection = again
            self.reconnects += 1

    def _connected(self) -> Iterator[Frame]:
        """Yield the frames of the present connection, at their place."""
        try:
            for frame in self._connection:
                if self.interrupted:
                    return
                if self._last.absent:
                    self._shift = self._last.at(frame.captured) - frame.time
                    self._relay.connect(self._connection.tracks, self._shift, frame.time)
                    self._note(*self._relay.notes)
                self._relay.pass_on(self._connection.tracks)
                self._frames += 1
                self._kind = frame.native
                yield self._placed(frame, frame.time + self._shift)
        except SourceError:
            return

    def _bridged(self, fault: str) -> Generator[Frame, None, MediaSource | None]:
        """Yield absent frames until there is another connection, and return it; None where the stream has
        ended meanwhile, or nobody wants more."""
        lost = f"source {self.uri!r} {fault} after {self._frames} frames"
        growing, since = self._connection.grows, time.monotonic()
        self._connection.close()
        self._say(f"{lost}; reconnecting")
        with Attempts(self._connect, self._backoff, at_once=growing) as attempts:
            for frame in self._absent(after=_GRACE if growing else 0.0):
                try:
                    again = attempts.poll()
                except SourceError as error:
                    tried = f"attempts to reconnect: {attempts.made}, the last: {error}"
                    raise SourceError(f"{lost}; {tried}") from error
                if again is not None:
                    break
                yield frame
            else:
                self._note(f"{lost}; not reconnected after {time.monotonic() - since:.0f} s")
                return None
        if growing and not again.grows:  # it was finished as it should
            again.close()
            return None
        seconds = f"reconnected after {time.monotonic() - since:.0f} s"
        self._note(f"{lost}; {seconds}")
        self._say(f"source {self.uri!r}: {seconds}")
        return again

    def _absent(self, *, after: float) -> Iterator[Frame]:
        """Yield black frames, each when it is due, the first `after` so many seconds, until interrupted."""
        black = black_like(self._kind)
        begin = max(time.monotonic() + after, self._last.captured + float(self._step))
        zero = self._last.at(begin)
        for index in count():
            moment = begin + float(index * self._step)
            if not wait_until(moment, lambda: self.interrupted):
                return
            yield self._placed(Frame(copied(black), moment, absent=True), zero + index * self._step)

    def _placed(self, frame: Frame, time: Fraction) -> Frame:
        """Give a frame its time, in the first connection's ticks, later than the frame before it."""
        picture, tick = frame.native, self.video.time_base
        length = (picture.duration or 0) * Fraction(picture.time_base or 0)
        picture.pts, picture.time_base = max(round(time / tick), self._last.ticks + 1), tick
        picture.duration = round(length / tick)
        self._last = _Place(picture.pts, frame.time, frame.captured, frame.absent)
        return frame

    def _note(self, *notes: str) -> None:
        for note in notes:
            if note not in self.warnings and len(self.warnings) < _NOTES:
                self.warnings.append(note)
