"""Cameras, through OpenCV."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import chain

import cv2

from streamseg.errors import SourceError
from streamseg.frame import Frame, VideoFormat
from streamseg.handoff import Feed, HandoffClosed
from streamseg.sources.absence import black_like
from streamseg.sources.base import Source
from streamseg.sources.cameras import find_again, find_camera, twins
from streamseg.sources.capture import Capture, Shot, open_device
from streamseg.sources.timing import wait_until
from streamseg.sources.uris import READ_TIMEOUT

_TICKS = Fraction(1, 1_000_000)
_APART = 1000
"""Ticks from frame to frame at least, or files that count milliseconds would have two at one time: the last
black frame and the first of a camera that is back."""
_USUAL_RATE = 30
_STARTING = 30.0
"""Seconds a camera may take to its first frame: some wake up slowly."""
_AGAIN = 1.0
"""Seconds from one attempt to reach a lost camera to the next."""
_GLANCE = 0.2
"""Longest wait in seconds: somebody may want to stop meanwhile."""
_LEAVING = 0.3
"""Seconds in which a camera that works has ended its last read."""
_CLOSING = 12.0
"""The longest it takes to find out that it gives none."""
_MOST_STUCK = 2
"""Reads that may hang at a time before no further attempt is made."""


class CameraSource(Source):
    """A camera's frames, in the size, rate and pixel format it really gives; pts are microseconds, the first
    0.

    It is read all the time: with `live` what nobody takes is replaced by the next frame. Unplugged, it is
    waited for: frames are marked absent until it is back, wherever it is plugged in. A read that hangs is
    left alone (`stuck`) while the camera is opened again.
    """

    def __init__(
        self,
        uri: str,
        *,
        live: bool | None = None,
        duration: float | None = None,
        size: tuple[int, int] | None = None,
        fps: float | None = None,
        read_timeout: float = READ_TIMEOUT,
        reconnect: int | None = None,
        say: Callable[[str], None] = lambda _line: None,
        capture: Callable[[int], cv2.VideoCapture] = open_device,
    ) -> None:
        """`read_timeout`: seconds without a frame after which it counts as lost, though its driver still
        waits for one. `reconnect`: how many attempts in a row to reach it again may fail (None: any number,
        0: there is none). `say` is told when it is lost and when it is back. `capture` opens a camera by
        number."""
        super().__init__(uri, live=live is not False, duration=duration)
        self._asked, self._patience = (size, fps), read_timeout
        self._capture, self._limit, self._say = capture, reconnect, say
        self._camera = find_camera(uri)
        self._twins = twins(self._camera)
        self._zero: float | None = None
        self._last = -_APART
        self._losses, self._note, self._attempts = 0, "", 0
        self._left: list[Feed[Shot]] = []
        device = self._opened()
        self._feed = self._reading(device)
        try:
            self._start(device.rate)
        except BaseException:
            self.close()
            raise

    def _start(self, rate: Fraction | None) -> None:
        shot = self._feed.take(_STARTING)
        if shot is None:
            raise SourceError(f"camera {self.uri!r} gives no frame for {_STARTING:.0f} s; plug it in again")
        self._first = self._frame(shot)
        self._step = float(1 / (rate or _USUAL_RATE))
        size, (width, height) = self._asked[0], self._first.size
        self.video = VideoFormat(width=width, height=height, time_base=_TICKS, rate=rate, spare_chroma=True)
        if size is not None and size != (width, height):
            asked = f"{size[0]}x{size[1]}"
            self.warnings.append(f"camera {self.uri!r}: asked for {asked}, it gives {width}x{height}")

    def __iter__(self) -> Iterator[Frame]:
        if self.live:  # by now the first frame is old, and there is a newer one
            self._zero, self._last = None, -_APART
        for frame in chain([] if self.live else [self._first], self._frames()):
            if self.duration is not None and frame.time >= Fraction(str(self.duration)):
                return
            yield frame

    def _frames(self) -> Iterator[Frame]:
        """The camera's frames; while it is away absent ones, at its rate. Raises SourceError when it is given
        up."""
        heard, patience, due = time.monotonic(), self._patience, None
        while not self.interrupted:
            try:
                shot = self._feed.take(_GLANCE if due is None else max(0.0, due - time.monotonic()))
            except SourceError:
                shot, patience = None, 0.0
            except HandoffClosed:
                return
            now = time.monotonic()
            if shot is not None:
                if due is not None:
                    self._note_return()
                heard, patience, due = now, self._patience, None
                yield self._frame(shot)
            elif now - heard >= patience:
                if due is None:
                    self._note_loss()
                    due = now
                heard, patience = now, _AGAIN + _STARTING
                self._try_again()
            if due is not None and due <= now:
                due = max(due + self._step, now)
                yield self._nothing(now)

    def _note_loss(self) -> None:
        if self._note in self.warnings:
            self.warnings.remove(self._note)
        self._losses += 1
        times = "once" if self._losses == 1 else f"{self._losses} times"
        self._note = f"camera {self.uri!r} was lost {times}"
        self.warnings.append(self._note)
        self._say(f"camera {self.uri!r} was lost; waiting for it")
        self._attempts = 0

    def _note_return(self) -> None:
        self.reconnects += 1
        self._say(f"camera {self.uri!r} is back")

    def _try_again(self) -> None:
        if self._attempts == self._limit:
            tried = f", and {self._attempts} attempts to reach it failed" if self._attempts else ""
            raise SourceError(f"camera {self.uri!r} was lost{tried}; plug it in again")
        self._attempts += 1
        self._feed.stop()
        self._left = [feed for feed in (*self._left, self._feed) if not feed.ended(0)]
        self._feed = self._reading(None)

    def _opened(self) -> Capture:
        size, fps = self._asked
        return Capture(self._camera, uri=self.uri, size=size, fps=fps, opened=self._capture)

    def _reading(self, device: Capture | None) -> Feed[Shot]:
        """Read `device`, or the camera that was lost as soon as it is there."""

        def shots(stopped: Callable[[], bool]) -> Generator[Shot, None, None]:
            reading = device or self._opened_again(stopped)
            try:
                while not (stopped() or self.interrupted):
                    yield reading.read()
            finally:
                reading.release()

        return Feed(shots, name="camera", leaky=self.live)

    def _opened_again(self, stopped: Callable[[], bool]) -> Capture:
        """Open the camera that was lost, one attempt; raises SourceError."""
        wait_until(time.monotonic() + _AGAIN, lambda: stopped() or self.interrupted)
        if stopped() or self.interrupted:
            raise SourceError(f"camera {self.uri!r} is not wanted any more")
        if sum(not feed.ended(0) for feed in self._left) >= _MOST_STUCK:
            raise SourceError(f"camera {self.uri!r} hangs, and so did the last attempts to reach it")
        self._camera = find_again(self._camera, self._twins)
        return self._opened()

    def _frame(self, shot: Shot) -> Frame:
        picture, captured = shot.picture, shot.captured
        self._zero = captured if self._zero is None else self._zero
        self._last = max(self._last + _APART, round((captured - self._zero) / _TICKS))
        picture.pts, picture.time_base = self._last, _TICKS
        self._like = picture
        return Frame(picture, captured)

    def _nothing(self, now: float) -> Frame:
        """A black frame like the last one."""
        return replace(self._frame(Shot(black_like(self._like), now)), absent=True)

    def stuck(self) -> bool:
        """Whether its driver does not return from a read, though nobody wants more frames."""
        return self.interrupted and not all(feed.ended(_LEAVING) for feed in (*self._left, self._feed))

    def close(self) -> None:
        """Give the camera back, as soon as it has ended its last read; OpenCV waits for one up to 10 s."""
        self.interrupt()
        for feed in (*self._left, self._feed):
            feed.stop()
            feed.ended(_CLOSING)
