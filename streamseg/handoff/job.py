"""Work on a thread of its own. All threads are begun here, but for the GPU's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Job(Generic[T]):
    """Work on a thread of its own, whose result is taken when it is there, or not at all."""

    def __init__(self, work: Callable[[Callable[[], bool]], T], *, name: str) -> None:
        """Begin. `work` is given what says whether to give up."""
        self._stopping = False
        self._made: list[T] = []
        self._error: BaseException | None = None
        # given to the thread alone: what `work` holds is let go of there when it ends
        self._thread = threading.Thread(target=self._run, args=(work,), name=f"streamseg-{name}")
        self._thread.start()

    @property
    def ready(self) -> bool:
        """`result` does not wait."""
        return not self._thread.is_alive()

    def ended(self, seconds: float | None) -> bool:
        """Wait at most so long (None: however long) for its end; tell whether it has come."""
        self._thread.join(seconds)
        return self.ready

    def result(self) -> T:
        """Wait for what was made, and return it; raises what the work raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._made[0]

    def stop(self) -> None:
        """Ask the work to give up; it may have been done by then."""
        self._stopping = True

    def _run(self, work: Callable[[Callable[[], bool]], T]) -> None:
        try:
            self._made.append(work(lambda: self._stopping))
        except BaseException as error:
            self._error = error
