"""For calls that do not return in time, and cannot be told to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

from streamseg.handoff.job import Job

_LOOKS = 4
"""As often as this within the time a call may take, somebody looks."""


class Watch:
    """A `with` block, entered any number of times, one at a time, that may take only so long: then help is
    called for, on a thread of its own, and again after as long. `close` ends the watch.
    """

    def __init__(self, call_help: Callable[[], object], *, seconds: float, name: str) -> None:
        """Begin. What `call_help` raises, `close` raises."""
        self._call_help, self._seconds = call_help, seconds
        self._begun: float | None = None
        self._closed = threading.Event()
        self._job = Job(lambda _stopping: self._look(), name=name)

    def __enter__(self) -> Watch:
        self._begun = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._begun = None

    def close(self) -> None:
        """End it; a second call changes nothing."""
        self._closed.set()
        self._job.result()

    def _look(self) -> None:
        helped = 0.0
        while not self._closed.wait(self._seconds / _LOOKS):
            begun, now = self._begun, time.monotonic()
            if begun is not None and now - max(begun, helped) > self._seconds:
                self._call_help()
                helped = now
