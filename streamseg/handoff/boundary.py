"""The boundary between two threads."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")

_POLL = 0.2
"""Seconds between looks at whether somebody asked to stop; waiting for ever would hide Ctrl-C on Windows."""


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
        """Pass an item on; raises the taker's error, or HandoffClosed, when nobody will take it."""
        with self._changed:
            while not self._leaky and len(self._items) >= self._depth and not self._closed:
                self._changed.wait()
            if self._closed:
                raise self._error or HandoffClosed
            self._items.append(item)
            if len(self._items) > self._depth:
                dropped = self._items.popleft()
                self.dropped += 1
                if self._merge is not None:
                    self._items[0] = self._merge(dropped, self._items[0])
            self._changed.notify_all()

    def leak(self) -> None:
        """Make nobody wait any more who passes an item on: from now on the oldest is dropped. Safe in a
        signal handler."""
        with self._changed:
            self._leaky = True
            self._changed.notify_all()

    def fill(self, items: Iterable[T]) -> None:
        """Pass all items on, as long as they are taken, and close with how they ended."""
        try:
            for item in items:
                self.put(item)
        except HandoffClosed:
            pass
        except BaseException as error:
            self.close(error)
        self.close()

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
