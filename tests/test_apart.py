"""Sinks on threads of their own: nobody waits for them, nothing is out of order, and they end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction

import av
import pytest

from streamseg.errors import SinkError
from streamseg.fanout import FanOut
from streamseg.frame import Frame, Tracks, VideoFormat
from streamseg.handoff import HandoffClosed, Worker
from streamseg.sinks.apart import DEPTH, Apart, Delivery, merged
from streamseg.stats import Stats
from tests.doubles import ListSink, ListSource
from tests.list_runs import run
from tests.receivers import join_left_behind
from tests.servers import wait_for
from tests.sinking import made_frames


class Gate(ListSink):
    """A stream whose server takes nothing until `open` is set."""

    apart = True
    realtime = True

    def __init__(self, *, error: Exception | None = None, fails_at: int | None = None) -> None:
        super().__init__(uri="gate:", error=error, fails_at=fails_at)
        self.open = threading.Event()
        self.threads: set[str] = set()

    def write(self, frame: Frame) -> None:
        """Wait, then keep the frame."""
        self.open.wait()
        self.threads.add(threading.current_thread().name)
        super().write(frame)

    def close(self) -> None:
        """Note on which thread it came."""
        self.threads.add(threading.current_thread().name)
        super().close()


def packet(ticks: int) -> av.Packet:
    """A packet of sound that says when it is due."""
    made = av.Packet(4)
    made.pts = made.dts = ticks
    made.time_base = Fraction(1, 1000)
    return made


def started(sink: ListSink, *, leaky: bool, patience: float = 15.0) -> Apart:
    """The sink on its thread."""
    apart = Apart(sink, leaky=leaky, patience=patience)
    apart.start(VideoFormat(64, 48, Fraction(1, 1000)), made_frames([0])[0], Tracks())
    return apart


def times(packets: Sequence[av.Packet]) -> list[int]:
    """When packets are due."""
    return [each.pts for each in packets if each.pts is not None]


def test_a_stalled_stream_delays_neither_a_file_nor_another_stream() -> None:
    """The others get every frame though it takes none; it gets the newest when it can, and the report counts
    what it lost."""
    stalled, other, file = Gate(), Gate(), ListSink()
    other.open.set()

    def watch(stats: Stats) -> None:
        if stats.frames_out == 60:
            stalled.open.set()

    report = run(ListSource(range(0, 600, 10)), stalled, other, file, watch=watch)
    assert len(file.frames) == report.frames_out == 60
    assert report.sinks_dropped[0] == 60 - DEPTH - 1
    assert report.sinks_dropped[2] == 0
    assert len(stalled.frames) == DEPTH + 1
    assert stalled.frames[-1].picture.pts == file.frames[-1].picture.pts
    assert len(other.frames) + report.sinks_dropped[1] == 60
    assert stalled.ended == other.ended == "closed"


def test_everything_of_a_stream_happens_on_one_thread() -> None:
    """Start, frames and end."""
    sink = Gate()
    sink.open.set()
    run(ListSource(), sink)
    assert sink.threads == {"streamseg-sink"}
    assert not [each for each in threading.enumerate() if each.name == "streamseg-sink"]


def test_sound_goes_on_in_order_where_frames_are_dropped() -> None:
    """All packets arrive once, in order, though most frames do not."""
    sink = Gate()
    apart = started(sink, leaky=True)
    for index, frame in enumerate(made_frames(range(0, 90_000, 3000))):
        apart.copy([packet(20 * index), packet(20 * index + 10)])
        apart.write(frame)
    apart.copy([packet(1000)])
    sink.open.set()
    apart.close()
    assert times(sink.packets) == [*range(0, 600, 10), 1000]
    assert len(sink.frames) < 10
    assert sink.dropped > 20


def test_sound_kept_for_a_stalled_stream_is_bounded() -> None:
    """What nobody takes is not kept for ever; the newest stays."""
    kept = Delivery([], None)
    for index in range(50):
        kept = merged(kept, Delivery([packet(index)] * 100, None))
    assert len(kept.packets) == 2000
    assert kept.packets[-1].pts == 49


def test_a_file_alone_with_a_stream_loses_nothing() -> None:
    """Without a live source and another sink frames wait."""
    sink = Gate()
    threading.Timer(0.1, sink.open.set).start()
    report = run(ListSource(), sink)
    assert len(sink.frames) == 10
    assert (report.sinks_dropped, sink.waits) == ([0], True)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="Windows has no such signals")
def test_a_stop_ends_the_wait_for_a_stalled_stream() -> None:
    """Frames that wait for a server that takes none are not waited for once somebody asks for the end, by a
    signal on the very thread that waits: the oldest are dropped, and counted."""
    sink = Gate()
    apart = started(sink, leaky=False)
    rescue = threading.Timer(20, sink.open.set)
    before = signal.signal(signal.SIGALRM, lambda _number, _frame: apart.interrupt())
    try:
        rescue.start()
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        for frame in made_frames(range(0, 60_000, 3000)):
            apart.write(frame)
        waited = sink.open.is_set()
    finally:
        signal.signal(signal.SIGALRM, before)
        rescue.cancel()
        sink.open.set()
        apart.close()
    assert not waited
    assert len(sink.frames) + sink.dropped == 20
    assert sink.dropped >= 20 - DEPTH - 1
    assert sink.frames[-1].picture.pts == 57_000


def test_pictures_keep_their_times_for_everybody() -> None:
    """An encoder sets a picture's times as it needs them: the picture beside it is another, of the same
    pixels."""
    stream, file = Gate(), ListSink()
    stream.open.set()
    fan = FanOut([stream, file], Stats())
    with fan, ListSource([0]) as source:
        (frame,) = source
        fan.write(source, frame)
        fan.finish(source, interrupted=False)
    assert stream.frames[0].picture is not file.frames[0].picture
    assert stream.frames[0].picture.pts == file.frames[0].picture.pts
    assert (stream.frames[0].picture.to_ndarray() == file.frames[0].picture.to_ndarray()).all()


def test_a_stream_that_fails_is_only_its_own_failure() -> None:
    """Its error comes with a later frame; the file beside it is finished."""
    bad, file = Gate(fails_at=2, error=SinkError("cannot write 'gate:': refused")), ListSink()
    bad.open.set()
    report = run(ListSource(range(0, 1000, 10)), bad, file)
    assert report.sinks_failed == ["cannot write 'gate:': refused"]
    assert (len(file.frames), file.ended, bad.ended) == (100, "closed", "aborted")


def test_a_stream_that_fails_at_the_end_fails_the_run() -> None:
    """What its last frame raises is not lost."""
    sink = Gate(fails_at=9, error=SinkError("cannot write 'gate:': refused"))
    sink.open.set()
    with pytest.raises(SinkError, match="refused"):
        run(ListSource(), sink)
    assert sink.ended == "aborted"


def test_an_end_is_waited_for_only_so_long() -> None:
    """A server that never takes the last frames is told and left behind; asked to hurry, without a word."""
    for hurry in (False, True):
        sink = Gate()
        apart = started(sink, leaky=True, patience=0.05)
        apart.write(made_frames([0])[0])
        if hurry:
            apart.interrupt()
            apart.close()
        else:
            with pytest.raises(SinkError, match=r"cannot finish 'gate:': its server took nothing for 0.05 s"):
                apart.close()
        assert apart.stuck
        sink.open.set()
        join_left_behind()


def test_a_worker_works_off_what_it_has() -> None:
    """In order, then it ends on its own thread; its error is the next item's."""
    done: list[int] = []
    worker: Worker[int] = Worker(done.append, lambda: done.append(-1), name="test", depth=3)
    for item in range(50):
        worker.put(item)
    assert worker.finish(10)
    assert done == [*range(50), -1]
    with pytest.raises(HandoffClosed):
        worker.put(0)

    def fail(item: int) -> None:
        raise ZeroDivisionError(str(item))

    failing: Worker[int] = Worker(fail, lambda: done.append(-2), name="test", depth=1)
    with pytest.raises(ZeroDivisionError, match="7"):
        for _ in range(3):
            failing.put(7)
    with pytest.raises(ZeroDivisionError):
        failing.finish(10)
    assert done[-1] == -2


def test_a_window_that_ends_the_process_costs_no_file() -> None:
    """Files are finished first, and before a stream that takes nothing is given up; what one of them raises
    is no matter to the others."""
    stuck, bad, file = Gate(), ListSink(), ListSink()
    bad.close = lambda: 1 // 0  # type: ignore[assignment]
    fan = FanOut([stuck, bad, file], Stats(), live=True)
    with suppress(ZeroDivisionError), fan, ListSource([0]) as source:
        (frame,) = source
        fan.write(source, frame)
        wait_for(lambda: not fan._apart[0]._worker._boundary._items, "a frame on its way")
        fan.rescue()
        assert file.ended == "closed"
        assert fan.stuck
        stuck.open.set()
