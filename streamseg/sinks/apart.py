"""A sink on a thread of its own: it holds up neither the window nor a file nor another stream."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from streamseg.errors import SinkError
from streamseg.frame import Frame, Tracks, VideoFormat
from streamseg.handoff import Worker
from streamseg.sinks.base import Sink
from streamseg.sinks.holding import Holding
from streamseg.sources.upright import Chain

if TYPE_CHECKING:
    import av

DEPTH = 4
"""Frames that may wait for a sink, which evens out encoder and network: viewers are seconds behind anyway."""

_LONGEST_SOUND = 2000
"""Packets kept of dropped frames: some 40 s of sound, more than any server is waited for."""

_PATIENCE = 15.0
"""Seconds an orderly end waits: three times what a server may take for one answer."""

_HURRY = 0.5
"""Seconds an end waits that somebody asked for."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A frame and the packets of other tracks that are due before it; no frame at the very end."""

    packets: list[av.Packet[Any]]
    frame: Frame | None


class Apart(Sink):
    """Passes everything on to `sink`, which then runs on one thread of its own, `close` and `abort` too.

    When `leaky`, frames the sink has no time for are dropped, the oldest first; their sound is not. Otherwise
    they wait. What the sink raises is raised by the next call; what it has to tell, it tells itself.

    With `holds`, for live sources, the last frame comes again while no other does; the frames of that time
    are dropped if they come late.
    """

    stuck = False
    """The sink has not ended though it was waited for: its thread is left behind."""

    def __init__(self, sink: Sink, *, leaky: bool, holds: bool = False, patience: float = _PATIENCE) -> None:
        self.uri, self.realtime = sink.uri, sink.realtime
        self._sink = sink
        self._leaky = leaky
        self.holds = holds
        self._patience = patience
        self._packets: list[av.Packet[Any]] = []
        self._share = Chain((("null", None),))
        self._started = self._begun = self._aborted = False
        self._late = self._lost = 0
        sink.waits = not leaky

    def start(self, video: VideoFormat, first: Frame, tracks: Tracks) -> None:  # noqa: ARG002  (it may be dropped)
        """Begin the thread; the sink starts there, with the first frame that comes to it."""
        self._video, self._tracks = video, tracks
        self._holding = Holding(video.rate)
        self._worker = Worker(
            self._deliver, self._end, name="sink", depth=DEPTH, leaky=self._leaky, merge=self._merged
        )
        self._started = True

    def copy(self, packets: Sequence[av.Packet[Any]]) -> None:
        """Keep packets until the frame comes that they belong to."""
        self._packets += packets

    def write(self, frame: Frame) -> None:
        """Pass a frame on. Encoders set a picture's times as they need them: this one gets a picture of its
        own, of the same pixels."""
        if not self.holds or self._holding.took(frame):
            self._put(frame.with_picture(self._share(frame.picture)))
        else:
            self._late += 1

    def repaint(self, frame: Frame) -> None:
        """Hold this picture from now on, if somebody panicked."""
        if self._started and frame.hidden:
            self._holding.hide(frame)

    def idle(self) -> None:
        """Pass the last frame on again where nothing else has come for a while."""
        if self.holds and self._started:
            held = self._holding.due()
            if held is not None:
                self._put(held)

    def interrupt(self) -> None:
        """Ask the sink to end soon, and wait for it with no frame any more."""
        super().interrupt()
        self._sink.interrupt()
        if self._started:
            self._worker.hurry()

    def close(self) -> None:
        """Let the sink finish; raise SinkError if it has not after a while."""
        if not self._started:
            self._sink.close()
            return
        if self._packets:
            self._put(None)
        self._finish()
        if self.stuck and not self.interrupted:
            raise SinkError(
                f"cannot finish {self.uri!r}: its server took nothing for {self._patience:g} s; "
                "what it has not taken is lost"
            )

    def abort(self) -> None:
        """Give up, and wait a moment for that."""
        if not self._started:
            self._sink.abort()
            return
        self._aborted = True
        self.interrupt()
        with suppress(Exception):  # the first failure is the one to tell
            self._finish()

    def _put(self, frame: Frame | None) -> None:
        packets, self._packets = self._packets, []
        self._worker.put(Delivery(packets, frame))

    def _merged(self, dropped: Delivery, following: Delivery) -> Delivery:
        self._lost += dropped.frame is not None and not dropped.frame.again
        return merged(dropped, following)

    def _finish(self) -> None:
        try:
            self.stuck = not self._worker.finish(_HURRY if self.interrupted else self._patience)
        finally:
            self._sum_up()
        if self.stuck:  # the source will be closed: no connection may look at its tracks any more
            self._sink.interrupt()

    def _sum_up(self) -> None:
        notes = self._sink.notes
        self._sink.dropped += self._lost
        if self._sink.dropped:
            notes.append(f"frames not sent, for want of time or a connection: {self._sink.dropped}")
        if self._holding.held:
            again = "the last frame was sent again, the source being silent or paused"
            notes.append(f"{again}: {self._holding.held} times")
        if self._late:
            notes.append(f"frames not sent, that came late for a time that was over: {self._late}")
        self._sink.dropped += self._late

    def _deliver(self, delivery: Delivery) -> None:
        try:
            if delivery.frame is not None and not self._begun:
                self._begun = True
                self._sink.start(self._video, delivery.frame, self._tracks)
            if self._begun:
                self._sink.copy(delivery.packets)
            if delivery.frame is not None:
                self._sink.write(delivery.frame)
        except BaseException:
            self._aborted = True
            raise

    def _end(self) -> None:
        if self._aborted:
            self._sink.abort()
        else:
            self._sink.close()


def merged(dropped: Delivery, following: Delivery) -> Delivery:
    """Return what is delivered where a frame is dropped: its sound goes on with the next one."""
    packets = [*dropped.packets, *following.packets]
    return replace(following, packets=packets[-_LONGEST_SOUND:])
