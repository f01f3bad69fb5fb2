"""The threads of one run, each one boundary ahead of the next."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import TypeVar

from streamseg.handoff.boundary import Handoff, HandoffClosed
from streamseg.handoff.job import Job

T = TypeVar("T")

FILE_DEPTH = 2
"""Items a boundary holds when nothing may be lost: evens out the encoder's bursts."""

_GLANCE = 0.02
"""Seconds between calls of `idle`: a window that waits for a frame has to answer its viewer."""


class Stages:
    """The threads of one run. Leaving the `with` block closes every boundary first, then joins every thread:
    joining one by one could leave a stage waiting on another.

    With `patience` an orderly end waits that many seconds for all of them and leaves behind who is still
    stuck in a library. Without, and after a failure, it waits until every thread has ended.
    """

    def __init__(self, *, patience: float | None = None) -> None:
        self._patience = patience
        self._handoffs: list[Handoff[object]] = []
        self._jobs: list[Job[None]] = []
        self._stopping = False

    @property
    def dropped(self) -> int:
        """Items all leaky boundaries have dropped."""
        return sum(handoff.dropped for handoff in self._handoffs)

    @property
    def running(self) -> bool:
        """A thread has not ended yet."""
        return not all(job.ready for job in self._jobs)

    def prefetch(
        self, items: Iterable[T], *, name: str, leaky: bool = False, idle: Callable[[], None] | None = None
    ) -> Iterator[T]:
        """Iterate `items` on a thread of its own, one boundary ahead of the caller. Errors surface here, type
        unchanged. `idle` is called now and then while the caller waits for an item."""
        handoff: Handoff[T] = Handoff(depth=1 if leaky else FILE_DEPTH, leaky=leaky)
        self._handoffs.append(handoff)  # type: ignore[arg-type]  # a list of boundaries of any kind
        self._jobs.append(Job(lambda _stopping: handoff.fill(items), name=name))
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
        for job in self._jobs:
            job.ended(None if limit is None else max(0, end - time.monotonic()))
