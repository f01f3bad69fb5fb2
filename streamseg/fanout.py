"""Several sinks fed from one run: sound and pictures in step, one failing sink no harm to the others."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from fractions import Fraction
from types import TracebackType
from typing import TYPE_CHECKING, Any

import av

from streamseg.errors import SinkClosed, SinkError, UsageError
from streamseg.frame import Frame
from streamseg.sinks.apart import Apart
from streamseg.sinks.base import Sink
from streamseg.sources.base import Source
from streamseg.stats import Stats

if TYPE_CHECKING:
    from streamseg.control import Control


class FanOut:
    """Writes each frame to every sink. Leaving the `with` block after `finish` or `keep` closes them,
    otherwise aborts them.

    Streams run on threads of their own. Where others must not wait for one, because the source is live or
    there are more sinks, it loses the frames it has no time for.
    """

    def __init__(self, sinks: Sequence[Sink], stats: Stats, *, live: bool = False) -> None:
        several = len(sinks) > 1
        self._apart = [
            Apart(sink, leaky=live or (several and sink.realtime), holds=live) for sink in sinks if sink.apart
        ]
        apart = iter(self._apart)
        self._open = [next(apart) if sink.apart else sink for sink in sinks]
        self._stats = stats
        self._ready = self._started = False
        self._keep = False
        self._waiting: deque[av.Packet[Any]] = deque()

    @property
    def paces(self) -> bool:
        """Some sink shows frames to a person."""
        return any(sink.paces for sink in self._open)

    @property
    def attended(self) -> bool:
        """Some sink has something to do while no frame comes."""
        return self.paces or any(sink.holds for sink in self._apart)

    @property
    def takes_card(self) -> bool:
        """Nobody but an encoder on the card takes the finished frames. Safe on any thread."""
        sinks = tuple(self._open)
        return len(sinks) == 1 and sinks[0].takes_card

    @property
    def by_the_clock(self) -> bool:
        """Frames should come at their own speed: they are shown to a person or played as they arrive."""
        return any(sink.paces or sink.realtime for sink in self._open)

    @property
    def stuck(self) -> bool:
        """A stream is left behind whose server does not answer."""
        return any(sink.stuck for sink in self._apart)

    def interrupt(self) -> None:
        """Wait for nobody any more who does not read. Safe in a signal handler."""
        for sink in tuple(self._open):
            sink.interrupt()

    def idle(self) -> None:
        """Let the sinks breathe while nothing is written."""
        self._each(lambda sink: sink.idle())

    def ready(self, source: Source, control: Control) -> None:
        """Let the sinks begin that do not wait for a finished frame; a second call changes nothing."""
        if self._ready:
            return
        self._ready = True
        self._each(lambda sink: sink.ready(source.video, control))

    def write(self, source: Source, frame: Frame) -> None:
        """Write a frame to every sink, preceded by the packets of the other tracks that are due before it.

        One that comes again goes only to those who show it to a person or hold the last, and is not counted.
        """
        if frame.again:
            self._each(lambda sink: sink.repaint(frame))
            return
        if not self._started:
            self._started = True
            self._each(lambda sink: sink.start(source.video, frame, source.tracks))
        self._waiting.extend(source.tracks.take())
        due = self._due(frame)

        def deliver(sink: Sink) -> None:
            sink.copy(due)
            sink.write(frame)

        with self._stats.timed("sink"):
            self._each(deliver)
        self._count(frame)

    def miss(self, source: Source) -> None:
        """Leave out, of a live source, the sound up to now: its pictures are not shown."""
        if source.live:
            self._waiting.clear()
            source.tracks.take()

    def finish(self, source: Source, *, interrupted: bool) -> None:
        """Write what sound and subtitles remain (none after an interrupt: they belong to frames never
        written)."""
        if self._started and not interrupted:
            rest = [*self._waiting, *source.tracks.take()]
            self._each(lambda sink: sink.copy(rest))
        self._keep = True

    def keep(self) -> None:
        """Whatever happens next, what has been written so far is worth finishing."""
        self._keep = self._started

    def rescue(self) -> None:
        """Finish what no person watches, where a window ends the process: files first, no stream for long."""
        for sink in sorted(self._open, key=lambda sink: isinstance(sink, Apart)):
            if isinstance(sink, Apart):
                sink.interrupt()
            if not sink.paces:
                with suppress(Exception):  # the others have to be finished too
                    sink.close()

    def abort(self) -> None:
        """Leave nothing half-written behind."""
        sinks, self._open = self._open, []
        for sink in sinks:
            sink.abort()

    def __enter__(self) -> FanOut:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.sort(key=lambda sink: isinstance(sink, Apart))  # no file waits for a stream
        if not self._keep:
            self.abort()
            return
        try:
            self._each(_close)
        finally:
            self._open = []  # whoever made them ready before the run leaves this block once more

    def _due(self, frame: Frame) -> list[av.Packet[Any]]:
        due = []
        while self._waiting and _time(self._waiting[0]) <= frame.time:
            due.append(self._waiting.popleft())
        return due

    def _each(self, act: Callable[[Sink], None]) -> None:
        for sink in tuple(self._open):
            try:
                act(sink)
            except SinkClosed:
                if sink.paces:  # a person watched: with them the run ends
                    raise
                self._open.remove(sink)
                _close(sink)
                if not self._open:
                    raise
            except (SinkError, UsageError) as error:  # the first frame shows what cannot be
                self._open.remove(sink)
                sink.abort()
                if not self._open:
                    raise
                self._stats.sinks_failed.append(str(error))
                self._stats.sinks_lost.append(sink.uri)
                self._stats.fail(str(error))

    def _count(self, frame: Frame) -> None:
        now = time.monotonic()
        stats = self._stats
        if stats.first_frame is None:
            stats.first_frame = now
            self._zero = frame.time
        stats.shown(now - frame.captured)
        length = (frame.native.duration or 0) * Fraction(frame.native.time_base or 0)
        stats.position = float(frame.time - self._zero + length)


def notes_of(sinks: Sequence[Sink]) -> list[str]:
    """Return what the sinks have to tell, each once; before what not all of them say stands whose it is."""
    told: dict[str, list[str]] = {}
    for sink in sinks:
        for note in dict.fromkeys(sink.notes):
            told.setdefault(note, []).append(sink.uri)
    return [note if len(uris) == len(sinks) else f"{', '.join(uris)}: {note}" for note, uris in told.items()]


def _close(sink: Sink) -> None:
    with suppress(SinkClosed):  # a viewer who has left has seen what there was to see
        sink.close()


def _time(packet: av.Packet[Any]) -> float:
    ticks = packet.dts if packet.dts is not None else packet.pts
    return float("-inf") if ticks is None else float(ticks * Fraction(packet.time_base))
