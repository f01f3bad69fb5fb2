"""For those who always expect something: the last item again while no other comes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from streamseg.handoff.job import Job

T = TypeVar("T")


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
        self._job = Job(lambda _stopping: self._repeat(), name=name)

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
        self._job.result()

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
