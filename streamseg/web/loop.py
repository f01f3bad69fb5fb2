"""An event loop on a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeAlias

from streamseg.handoff import Handoff, HandoffClosed, Job

Main: TypeAlias = Callable[[Callable[[], None]], Coroutine[Any, Any, None]]
"""What an EventLoop runs. It calls what it is given when it is ready, and goes on until it is cancelled."""


class EventLoop:
    """A coroutine on an event loop and a thread of its own, for libraries made of coroutines. What it leaves
    to `asyncio.to_thread` ends with it."""

    def __init__(self, main: Main, *, name: str) -> None:
        """Begin, and return when `main` is ready; raises what it raised before."""
        self._ready: Handoff[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = Handoff()
        self._job = Job(lambda _stopping: self._run(main), name=name)
        try:
            self._loop, self._task = self._ready.get()
        except HandoffClosed:
            self._job.result()
            raise

    def call(self, act: Callable[[], object]) -> None:
        """Have something done on the loop soon, from any thread; nothing is, once it has ended."""
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(act)

    def close(self) -> None:
        """Cancel `main` and wait for its end; raises what it raised. A second close changes nothing."""
        self.call(self._task.cancel)
        self._job.result()

    def _run(self, main: Main) -> None:
        async def supervised() -> None:
            own = asyncio.get_running_loop(), asyncio.create_task(main(lambda: self._ready.put(own)))
            with suppress(asyncio.CancelledError):
                await own[1]

        try:
            asyncio.run(supervised())
        finally:
            self._ready.close()
