"""Attempts to connect again, one after the other, on a thread of their own."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from streamseg.backoff import Backoff
from streamseg.errors import SourceError, StreamsegError
from streamseg.handoff import Job
from streamseg.sources.media import MediaSource


class Attempts:
    """One outage. Leaving the `with` block waits for an attempt that is still being made, and lets go of what
    it may have got."""

    def __init__(
        self, connect: Callable[[], MediaSource], backoff: Backoff, *, at_once: bool = False
    ) -> None:
        """`connect` raises SourceError where it fails; with `at_once` it is first called without a delay."""
        self._connect = connect
        self._delays = iter(backoff)
        self.made = 0
        self._job = self._begun() if at_once else None
        self._due = None if at_once else self._next()
        self._failed = SourceError("no attempt was to be made")

    def poll(self) -> MediaSource | None:
        """Return the connection as soon as there is one; raises the last SourceError when giving up."""
        if self._job is not None and self._job.ready:
            job, self._job = self._job, None
            try:
                return job.result()
            except SourceError as error:
                self._failed = error
                self._due = self._next()
        if self._job is None:
            if self._due is None:
                raise self._failed
            if time.monotonic() >= self._due:
                self._job = self._begun()
        return None

    def _begun(self) -> Job[MediaSource]:
        self.made += 1
        return Job(lambda _: self._connect(), name="reconnect")

    def _next(self) -> float | None:
        delay = next(self._delays, None)
        return None if delay is None else time.monotonic() + delay

    def __enter__(self) -> Attempts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._job is not None:
            with suppress(StreamsegError):
                self._job.result().close()
