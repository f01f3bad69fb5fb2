"""The connections there are: not more than a run can bear, and none that keeps everybody waiting.

A connection is being answered, or it waits for its next request. Those that wait too long are closed: whoever
sends a request a byte at a time, or nothing, or does not read what was answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

MOST = 64
"""Connections at once. A browser opens up to six for each page."""

PATIENCE = 20.0
"""Seconds between two requests of a connection; the page asks twice a second."""


class Lobby:
    """All connections of one server; everything happens on its event loop."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Transport, asyncio.TimerHandle] = {}
        """Longest first; each with what ends it."""
        self._answered: set[asyncio.Transport] = set()

    def door(self, handler: Callable[[], asyncio.Protocol]) -> Callable[[], asyncio.Protocol]:
        """Return what makes a protocol for each connection, out of what handles it once it is in."""
        return lambda: _Door(self, handler())

    def enter(self, transport: asyncio.Transport) -> bool:
        """Make room for a connection: who has waited longest leaves. False where all are being answered."""
        if len(self._waiting) + len(self._answered) >= MOST:
            if not self._waiting:
                return False
            longest = next(iter(self._waiting))
            self.leave(longest)
            longest.abort()
        self._wait(transport)
        return True

    def leave(self, transport: asyncio.Transport) -> None:
        """Forget a connection."""
        self._answered.discard(transport)
        if transport in self._waiting:
            self._waiting.pop(transport).cancel()

    @contextmanager
    def answering(self, transport: asyncio.Transport | None) -> Iterator[None]:
        """While in this block, a connection need not hurry."""
        if transport is None or transport not in self._waiting:  # it has gone
            yield
            return
        self.leave(transport)
        self._answered.add(transport)
        try:
            yield
        finally:
            if transport in self._answered:
                self._answered.discard(transport)
                self._wait(transport)

    def _wait(self, transport: asyncio.Transport) -> None:
        self._waiting[transport] = asyncio.get_running_loop().call_later(PATIENCE, transport.abort)


class _Door(asyncio.Protocol):
    """One connection: all is passed on to what handles it."""

    def __init__(self, lobby: Lobby, handler: asyncio.Protocol) -> None:
        self._lobby, self._handler = lobby, handler
        self._inside = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._inside = self._lobby.enter(self._transport)
        if self._inside:
            self._handler.connection_made(transport)
        else:
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._lobby.leave(self._transport)
        if self._inside:
            self._handler.connection_lost(error)

    def data_received(self, data: bytes) -> None:
        if self._inside:
            self._handler.data_received(data)

    def eof_received(self) -> bool | None:
        return self._handler.eof_received() if self._inside else None

    def pause_writing(self) -> None:
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        self._handler.resume_writing()
