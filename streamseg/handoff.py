"""All threads and locks: Handoff, the boundary between two stages; Stages, which owns a run's threads;
Worker, a thread at the end of the line; Job, work in the background; Repeater, for those who always expect
something; OneAtATime, for callers who take turns; Feed, items from something that may hang."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")

FILE_DEPTH = 2
"""Items a boundary holds when nothing may be lost: evens out the encoder's bursts."""

_POLL = 0.2
"""Seconds between looks at whether somebody asked to stop; waiting for ever would hide Ctrl-C on Windows."""

_GLANCE = 0.02
"""Seconds between calls of `idle`: a window that waits for a frame has to answer its viewer."""


class HandoffClosed(Exception):
    """The other side of a boundary has gone."""


class Handoff(Generic[T]):
    """A short queue between two threads. Full, it makes the producer wait, or, if leaky, drops its oldest
    item."""

    def __init__(
        self, *, depth: int = 1, leaky: bool = False, merge: Callable[[T, T], T] | None = None
    ) -> None:
        """`merge(dropped, following)` gives what takes the place of the two; without it only the following
        one stays."""
        self._items: deque[T] = deque()
        self._depth = depth
        self._leaky = leaky
        self._merge = merge
        self._changed = threading.Condition()
        self._closed = False
        self._error: BaseException | None = None
        self.dropped = 0

    def put(self, item: T) -> None:
        """Pass an item on; raises HandoffClosed when nobody will take it."""
        with self._changed:
            while not self._leaky and len(self._items) >= self._depth and not self._closed:
                self._changed.wait()
            if self._closed:
                raise HandoffClosed
            self._items.append(item)
            if len(self._items) > self._depth:
                dropped = self._items.popleft()
                self.dropped += 1
                if self._merge is not None:
                    self._items[0] = self._merge(dropped, self._items[0])
            self._changed.notify_all()

    def ready(self, seconds: float) -> bool:
        """Wait at most so long for an item or the end; tell whether there is one."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self._items) or self._closed, seconds)

    def get(self, stopping: Callable[[], bool] = lambda: False) -> T:
        """Take the oldest item; after the last one raise the producer's error, or HandoffClosed at an
        ordinary end."""
        with self._changed:
            while not self._items and not self._closed and not stopping():
                self._changed.wait(_POLL)
            if self._items and not stopping():
                item = self._items.popleft()
                self._changed.notify_all()
                return item
            if self._error is not None and not stopping():
                raise self._error
            raise HandoffClosed

    def close(self, error: BaseException | None = None) -> None:
        """End it, from either side; a second close changes nothing."""
        with self._changed:
            if not self._closed:
                self._closed = True
                self._error = error
            self._changed.notify_all()


class Stages:
    """The threads of one run. Leaving the `with` block closes every boundary first, then joins every thread:
    joining one by one could leave a stage waiting on another.

    With `patience` an orderly end waits that many seconds for all of them and leaves behind who is still
    stuck in a library. Without, and after a failure, it waits until every thread has ended.
    """

    def __init__(self, *, patience: float | None = None) -> None:
        self._patience = patience
        self._handoffs: list[Handoff[object]] = []
        self._threads: list[threading.Thread] = []
        self._stopping = False

    @property
    def dropped(self) -> int:
        """Items all leaky boundaries have dropped."""
        return sum(handoff.dropped for handoff in self._handoffs)

    @property
    def running(self) -> bool:
        """A thread has not ended yet."""
        return any(thread.is_alive() for thread in self._threads)

    def prefetch(
        self, items: Iterable[T], *, name: str, leaky: bool = False, idle: Callable[[], None] | None = None
    ) -> Iterator[T]:
        """Iterate `items` on a thread of its own, one boundary ahead of the caller. Errors surface here, type
        unchanged. `idle` is called now and then while the caller waits for an item."""
        handoff: Handoff[T] = Handoff(depth=1 if leaky else FILE_DEPTH, leaky=leaky)

        def produce() -> None:
            try:
                for item in items:
                    handoff.put(item)
            except HandoffClosed:
                handoff.close()
            except BaseException as error:
                handoff.close(error)
            else:
                handoff.close()

        thread = threading.Thread(target=produce, name=f"streamseg-{name}")
        self._handoffs.append(handoff)  # type: ignore[arg-type]  # a list of boundaries of any kind
        self._threads.append(thread)
        thread.start()
        return self._drain(handoff, idle)

    def _drain(self, handoff: Handoff[T], idle: Callable[[], None] | None) -> Iterator[T]:
        while True:
            while idle and not self._stopping and not handoff.ready(_GLANCE):
                idle()
            try:
                item = handoff.get(lambda: self._stopping)
            except HandoffClosed:
                return
            yield item

    def stop(self) -> None:
        """Ask for an early, orderly end: every boundary ends where it is. Safe in a signal handler: takes no
        lock."""
        self._stopping = True

    def __enter__(self) -> Stages:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        for handoff in self._handoffs:
            handoff.close()
        limit = self._patience if kind is None else None
        end = time.monotonic() + (limit or 0)
        for thread in self._threads:
            thread.join(None if limit is None else max(0, end - time.monotonic()))


class OneAtATime:
    """A `with` block that one thread at a time may be in."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()


class Worker(Generic[T]):
    """A thread that takes items from a short boundary and works them off, and whatever its work raises is
    raised to whoever gives it the next one."""

    def __init__(
        self,
        work: Callable[[T], None],
        end: Callable[[], None],
        *,
        name: str,
        depth: int,
        leaky: bool = False,
        merge: Callable[[T, T], T] | None = None,
    ) -> None:
        """Begin. `end` is called on the thread after the last item, or after the one that failed."""
        self._work, self._end = work, end
        self._boundary: Handoff[T] = Handoff(depth=depth, leaky=leaky, merge=merge)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"streamseg-{name}")
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Items that were not worked off because newer ones came."""
        return self._boundary.dropped

    def put(self, item: T) -> None:
        """Pass an item on."""
        try:
            self._boundary.put(item)
        except HandoffClosed:
            raise self._error or HandoffClosed from None

    def finish(self, seconds: float) -> bool:
        """Let it work off what it has, and end; wait so long for that and tell whether it has ended."""
        self._boundary.close()
        self._thread.join(seconds)
        if self._thread.is_alive():
            return False
        if self._error is not None:
            raise self._error
        return True

    def _run(self) -> None:
        try:
            while True:
                self._work(self._boundary.get())
        except HandoffClosed:
            pass
        except BaseException as error:
            self._error = error
            self._boundary.close()
        try:
            self._end()
        except BaseException as error:
            self._error = self._error or error


class Job(Generic[T]):
    """Work on a thread of its own, whose result is taken when it is there, or not at all."""

    def __init__(self, work: Callable[[Callable[[], bool]], T], *, name: str) -> None:
        """Begin. `work` is given what says whether to give up."""
        self._work = work
        self._stopping = False
        self._made: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"streamseg-{name}")
        self._thread.start()

    @property
    def ready(self) -> bool:
        """`result` does not wait."""
        return not self._thread.is_alive()

    def result(self) -> T:
        """Wait for what was made, and return it; raises what the work raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._made[0]

    def stop(self) -> None:
        """Ask the work to give up; it may have been done by then."""
        self._stopping = True

    def _run(self) -> None:
        try:
            self._made.append(self._work(lambda: self._stopping))
        except BaseException as error:
            self._error = error


class Repeater(Generic[T]):
    """Passes items on at once, and the last one again, on a thread of its own, while no other comes."""

    def __init__(self, act: Callable[[T], None], first: T, *, seconds: float, name: str) -> None:
        """Pass on `first` and begin; every `seconds` there shall be one. `act` is never called twice at a
        time."""
        self._act, self._item, self._seconds = act, first, seconds
        self._changed = threading.Condition()
        self._closed = False
        self._error: Exception | None = None
        act(first)
        self._thread = threading.Thread(target=self._repeat, name=f"streamseg-{name}")
        self._thread.start()

    def put(self, item: T) -> None:
        """Pass on `item`; raises what went wrong, now or in a repetition."""
        with self._changed:
            if self._error is not None:
                raise self._error
            self._item = item
            self._act(item)
            self._changed.notify_all()

    def close(self) -> None:
        """End the repetitions; nothing is passed on afterwards."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _repeat(self) -> None:
        wait = self._seconds
        with self._changed:
            while not self._closed and self._error is None:
                if self._changed.wait(wait):
                    wait = 2 * self._seconds  # the next one may be late without being missed
                    continue
                wait = self._seconds
                try:
                    self._act(self._item)
                except Exception as error:
                    self._error = error


class Feed(Generic[T]):
    """Items made on a thread of their own, for a taker who waits for none longer than it likes.

    Where making an item never returns, as a device's driver may do, the thread is left behind.
    """

    def __init__(
        self, make: Callable[[Callable[[], bool]], Generator[T, None, None]], *, name: str, leaky: bool
    ) -> None:
        """Begin. `make` is given what says whether to end; leaky: the newest item replaces one not taken."""
        self._make = make
        self._handoff: Handoff[T] = Handoff(leaky=leaky)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"streamseg-{name}")
        self._thread.start()

    def take(self, seconds: float) -> T | None:
        """Return an item, None when there was none for so long; raises what ended the making, HandoffClosed
        at an ordinary end."""
        return self._handoff.get() if self._handoff.ready(seconds) else None

    def stop(self) -> None:
        """Ask it to end; does not wait."""
        self._stopping = True
        self._handoff.close()

    def ended(self, seconds: float) -> bool:
        """Wait at most so long for the thread's end; tell whether it has come."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            with closing(self._make(lambda: self._stopping)) as items:
                for item in items:
                    self._handoff.put(item)
        except HandoffClosed:
            pass
        except BaseException as error:
            self._handoff.close(error)
        self._handoff.close()
