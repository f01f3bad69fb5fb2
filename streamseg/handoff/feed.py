"""Items from something that may hang."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from typing import Generic, TypeVar

from streamseg.handoff.boundary import Handoff
from streamseg.handoff.job import Job

T = TypeVar("T")


class Feed(Generic[T]):
    """Items made on a thread of their own, for a taker who waits for none longer than it likes.

    Where making an item never returns, as a device's driver may do, the thread is left behind.
    """

    def __init__(
        self, make: Callable[[Callable[[], bool]], Generator[T, None, None]], *, name: str, leaky: bool
    ) -> None:
        """Begin. `make` is given what says whether to end; leaky: the newest item replaces one not taken."""
        self._handoff: Handoff[T] = Handoff(leaky=leaky)

        def run(stopping: Callable[[], bool]) -> None:
            with closing(make(stopping)) as items:
                self._handoff.fill(items)

        self._job = Job(run, name=name)

    def take(self, seconds: float) -> T | None:
        """Return an item, None when there was none for so long; raises what ended the making, HandoffClosed
        at an ordinary end."""
        return self._handoff.get() if self._handoff.ready(seconds) else None

    def stop(self) -> None:
        """Ask it to end; does not wait."""
        self._job.stop()
        self._handoff.close()

    def ended(self, seconds: float) -> bool:
        """Wait at most so long for the thread's end; tell whether it has come."""
        return self._job.ended(seconds)
