"""A thread at the end of the line."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from streamseg.handoff.boundary import Handoff, HandoffClosed
from streamseg.handoff.job import Job

T = TypeVar("T")


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
        self._job = Job(lambda _stopping: self._run(), name=name)

    def put(self, item: T) -> None:
        """Pass an item on."""
        self._boundary.put(item)

    def hurry(self) -> None:
        """Make nobody wait any more who passes an item on: the oldest is dropped. Safe in a signal
        handler."""
        self._boundary.leak()

    def finish(self, seconds: float) -> bool:
        """Let it work off what it has, and end; wait so long for that and tell whether it has ended."""
        self._boundary.close()
        if not self._job.ended(seconds):
            return False
        self._job.result()
        return True

    def _run(self) -> None:
        try:
            with suppress(HandoffClosed):
                while True:
                    self._work(self._boundary.get())
        except BaseException as error:
            self._boundary.close(error)
            with suppress(BaseException):  # the first failure is the one to tell
                self._end()
            raise
        self._end()
