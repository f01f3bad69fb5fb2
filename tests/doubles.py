"""A source that yields what a test says and a sink that remembers what it got; both fail on cue."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

import av

from streamseg.errors import SinkError
from streamseg.frame import Frame, Tracks, VideoFormat
from streamseg.sinks.base import Sink
from streamseg.sources.base import Source
from tests.clips import picture


class ListSource(Source):
    """Yields pictures with the given pts (in 1/1000 s), then raises `error` if there is one."""

    def __init__(
        self,
        pts: Sequence[int] = range(0, 400, 40),
        *,
        size: tuple[int, int] = (64, 48),
        live: bool = False,
        error: Exception | None = None,
        before: Callable[[int], None] = lambda index: None,
    ) -> None:
        super().__init__("list:", live=live)
        self.video = VideoFormat(*size, Fraction(1, 1000), Fraction(25))
        self._pts, self._error, self._before = pts, error, before
        self.closed = 0

    def __iter__(self) -> Iterator[Frame]:
        for index, ticks in enumerate(self._pts):
            self._before(index)
            shown = picture(self.video.width, self.video.height, index)
            shown.pts, shown.time_base = ticks, self.video.time_base
            yield Frame(shown, time.monotonic())
        if self._error:
            raise self._error

    def close(self) -> None:
        """Count closings."""
        self.closed += 1


class ListSink(Sink):
    """Remembers frames and packets; raises `error` instead of taking frame number `fails_at`."""

    def __init__(
        self, *, fails_at: int | None = None, error: Exception | None = None, uri: str = "list:"
    ) -> None:
        self.uri = uri
        self.notes = []
        self.frames: list[Frame] = []
        self.packets: list[av.Packet] = []
        self.ended = ""
        self._fails_at, self._error = (
            fails_at,
            error or SinkError("cannot write 'list:': no space left on device"),
        )

    def start(self, video: VideoFormat, first: Frame, tracks: Tracks) -> None:
        """Expect to be called before the first frame."""
        assert not self.frames

    def write(self, frame: Frame) -> None:
        """Keep the frame, or fail."""
        if len(self.frames) == self._fails_at:
            raise self._error
        self.frames.append(frame)

    def copy(self, packets: Sequence[av.Packet]) -> None:
        """Keep the packets."""
        self.packets.extend(packets)

    def close(self) -> None:
        """Note it."""
        self.ended += "closed"

    def abort(self) -> None:
        """Note it."""
        self.ended += "aborted"
