"""The thread boundary: order, backpressure, leaking, errors, shutdown."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

import streamseg
from streamseg.handoff import FILE_DEPTH, Feed, Handoff, HandoffClosed, Job, Repeater, Stages, Watch


def test_order_is_kept_and_nothing_is_lost() -> None:
    """A boundary that is not leaky delivers every item in order."""
    with Stages() as stages:
        assert list(stages.prefetch(range(1000), name="count")) == list(range(1000))
        assert stages.dropped == 0


def test_leaky_boundary_keeps_the_newest() -> None:
    """A full leaky boundary drops its oldest item and counts it."""
    handoff: Handoff[int] = Handoff(depth=1, leaky=True)
    for item in range(5):
        handoff.put(item)
    assert handoff.get() == 4
    assert handoff.dropped == 4


def test_a_full_boundary_makes_the_producer_wait() -> None:
    """The producer runs no further ahead than the boundary is deep, plus the item in its hand."""
    made = []

    def items() -> Iterator[int]:
        for item in range(100):
            made.append(item)
            yield item

    with Stages() as stages:
        taken = stages.prefetch(items(), name="ahead")
        for expected in range(20):
            assert next(taken) == expected
            assert len(made) <= expected + 1 + FILE_DEPTH + 1


def test_an_error_arrives_after_the_items_before_it_with_its_own_type() -> None:
    """What a stage yielded before failing is delivered, then its very exception is raised."""
    failure = OSError("unplugged")

    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise failure

    taken: list[int] = []
    with Stages() as stages, pytest.raises(OSError) as caught:
        taken.extend(stages.prefetch(items(), name="fails"))
    assert taken == [1, 2]
    assert caught.value is failure


def test_leaving_early_ends_every_thread() -> None:
    """A consumer that stops in the middle leaves no thread behind, however many stages wait on each other."""
    with Stages() as stages:
        first = stages.prefetch(iter(range(10**9)), name="one")
        second = stages.prefetch((item + 1 for item in first), name="two")
        third = stages.prefetch((item * 2 for item in second), name="three")
        assert [next(third) for _ in range(3)] == [2, 4, 6]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("streamseg")]


def test_stop_ends_a_wait_for_a_stalled_producer() -> None:
    """`stop` ends the consumer's wait though the producer yields nothing."""
    release = threading.Event()

    def stalled() -> Iterator[int]:
        release.wait()
        yield from ()

    with Stages() as stages:
        items = stages.prefetch(stalled(), name="stalled")
        stages.stop()
        assert list(items) == []
        release.set()


def test_patience_leaves_a_stalled_thread_behind() -> None:
    """With patience an orderly end does not wait for a stalled producer; after a failure it does."""
    release = threading.Event()

    def stalled() -> Iterator[int]:
        release.wait()
        yield from ()

    with Stages(patience=0.01) as patient:
        patient.prefetch(stalled(), name="stalled")
    assert patient.running
    later = threading.Timer(0.1, release.set)
    with pytest.raises(ValueError, match="failed"), Stages(patience=0.01) as failing:
        failing.prefetch(stalled(), name="stalled")
        later.start()
        raise ValueError("failed")
    assert release.is_set()
    assert not failing.running
    later.join()
    while patient.running:
        threading.Event().wait(0.01)


def test_put_after_close_is_refused_and_a_second_close_changes_nothing() -> None:
    """A closed boundary takes no more; the first close decides how it ended."""
    handoff: Handoff[int] = Handoff()
    handoff.put(1)
    handoff.close()
    handoff.close(ValueError("too late"))
    with pytest.raises(HandoffClosed):
        handoff.put(2)
    assert handoff.get() == 1
    with pytest.raises(HandoffClosed):
        handoff.get()


def test_a_job_is_taken_when_it_is_ready() -> None:
    """Nobody waits for it; what it made, or its very error, is there afterwards."""
    go = threading.Event()
    job = Job(lambda stopping: go.wait(10) and not stopping(), name="job")
    assert not job.ready
    go.set()
    assert job.result()
    assert job.ready
    failure = OSError("no room")

    def fail(stopping: Callable[[], bool]) -> None:
        raise failure

    with pytest.raises(OSError, match="no room") as caught:
        Job(fail, name="job").result()
    assert caught.value is failure


def test_a_job_can_be_asked_to_give_up() -> None:
    """The work looks, and ends as it likes."""
    pause = threading.Event()

    def work(stopping: Callable[[], bool]) -> str:
        while not stopping():
            pause.wait(0.001)
        return "gave up"

    job = Job(work, name="job")
    job.stop()
    assert job.result() == "gave up"


def test_a_repeater_passes_on_at_once_and_again_in_a_lull() -> None:
    """The first item comes from the beginning, a new one before `put` returns, the last again and again."""
    passed: list[str] = []
    changed = threading.Condition()

    def act(item: str) -> None:
        with changed:
            passed.append(item)
            changed.notify_all()

    repeater = Repeater(act, "black", seconds=0.005, name="repeats")
    with changed:
        assert changed.wait_for(lambda: len(passed) >= 3, 10)
    repeater.put("frame")
    assert "frame" in passed
    with changed:
        assert changed.wait_for(lambda: passed[-2:] == ["frame"] * 2, 10)
    repeater.close()
    count = len(passed)
    assert passed == sorted(passed)
    assert len(passed) == count


def test_what_goes_wrong_in_a_lull_is_raised_at_the_next_item() -> None:
    """An error on the repeater's own thread ends its repetitions and reaches who puts."""
    failure = OSError("unplugged")
    failed = threading.Event()

    def act(item: int) -> None:
        if threading.current_thread() is not threading.main_thread():
            failed.set()
            raise failure

    repeater = Repeater(act, 0, seconds=0.001, name="fails")
    assert failed.wait(10)
    with pytest.raises(OSError, match="unplugged") as caught:
        for item in range(1, 1000):
            repeater.put(item)
    repeater.close()
    assert caught.value is failure


def test_a_feed_waits_no_longer_than_it_is_asked_to() -> None:
    """Who takes from a feed gets an item, or nothing in time, or how it ended; what hangs is left behind."""
    go = threading.Event()
    closed = []

    def items(stopped: Callable[[], bool]) -> Generator[int, None, None]:
        try:
            yield 1
            go.wait(10)
            yield 2
            raise ValueError("no more")
        finally:
            closed.append(stopped())

    feed = Feed(items, name="feed", leaky=False)
    assert feed.take(10) == 1
    assert feed.take(0) is None
    assert not feed.ended(0)
    go.set()
    assert feed.take(10) == 2
    with pytest.raises(ValueError, match="no more"):
        feed.take(10)
    assert feed.ended(10)
    assert closed == [False]


def test_a_stopped_feed_ends_with_what_it_is_doing() -> None:
    """Stopped, a feed makes nothing more, cleans up on its own thread, and says that it has ended."""
    threads: list[threading.Thread] = []

    def items(stopped: Callable[[], bool]) -> Generator[int, None, None]:
        try:
            while not stopped():
                yield 0
        finally:
            threads.append(threading.current_thread())

    feed = Feed(items, name="feed", leaky=True)
    assert feed.take(10) == 0
    feed.stop()
    assert feed.ended(10)
    assert [thread.name for thread in threads] == ["streamseg-feed"]
    with pytest.raises(HandoffClosed):
        while feed.take(0) is not None:
            pass


def test_threads_and_locks_live_in_one_place() -> None:
    """No module begins a thread or holds a lock but those of handoff/ and the GPU's one thread."""
    root = Path(streamseg.__file__).parent
    makes = re.compile(
        r"^\s*(import|from) (_thread|threading|queue|multiprocessing|concurrent)\b", re.MULTILINE
    )
    found = {
        path.relative_to(root).as_posix() for path in root.rglob("*.py") if makes.search(path.read_text())
    }
    assert {name for name in found if not name.startswith("handoff/")} == {"gpu/device.py"}


def test_a_block_that_takes_too_long_calls_for_help_again_and_again() -> None:
    """What it waits for may be what helps; a block that is short enough calls for nobody."""
    called = threading.Semaphore(0)
    watch = Watch(called.release, seconds=0.02, name="watch")
    with watch:
        for _ in range(3):
            assert called.acquire(timeout=10)
    watch.close()
    while called.acquire(blocking=False):
        pass
    patient = Watch(called.release, seconds=60, name="watch")
    for _ in range(1000):
        with patient:
            pass
    patient.close()
    patient.close()
    assert not called.acquire(blocking=False)


def test_help_that_fails_is_heard_at_the_end() -> None:
    """Nobody else could be told."""
    called = threading.Event()

    def fail() -> None:
        called.set()
        raise RuntimeError("no help")

    watch = Watch(fail, seconds=0.001, name="watch")
    with watch:
        assert called.wait(10)
    with pytest.raises(RuntimeError, match="no help"):
        watch.close()
