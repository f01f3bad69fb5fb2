"""Callers who take turns."""

from __future__ import annotations

import threading
from types import TracebackType


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
