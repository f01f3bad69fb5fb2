"""The event loop the panel runs on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from streamseg.web.loop import EventLoop


def test_an_event_loop_runs_until_it_is_closed() -> None:
    """It begins when its coroutine is ready, does what it is asked, and ends with its threads."""
    done: list[str] = []

    async def main(ready: Callable[[], None]) -> None:
        ready()
        try:
            await asyncio.to_thread(done.append, threading.current_thread().name)
            await asyncio.get_running_loop().create_future()
        finally:
            done.append("ended")

    loop = EventLoop(main, name="loop")
    asked = threading.Event()
    loop.call(asked.set)
    assert asked.wait(10)
    while not done:
        threading.Event().wait(0.001)
    loop.close()
    loop.close()
    loop.call(lambda: done.append("too late"))
    assert done == ["streamseg-loop", "ended"]


@pytest.mark.parametrize("ready_first", [False, True])
def test_what_goes_wrong_on_an_event_loop_is_raised(ready_first: bool) -> None:
    """Before it is ready to whoever began it, later to whoever closes it; the type is unchanged."""
    failure = OSError("address taken")

    async def main(ready: Callable[[], None]) -> None:
        if ready_first:
            ready()
        raise failure

    with pytest.raises(OSError, match="address taken") as caught:
        EventLoop(main, name="loop").close()
    assert caught.value is failure
