"""Streams and events of an emulated card: work is done late, in order."""

from __future__ import annotations

from collections.abc import Callable

from tests.emulator.card import Card, LogicError


class Stream:
    """Work in order, done when somebody waits."""

    def __init__(self, card: Card, flags: int) -> None:
        card.call("Stream")
        if flags != 1:
            raise LogicError("a stream that waits for the default one, and that for it")
        self._card = card
        self.queue: list[Callable[[], None]] = []
        self.handle = 0x1000 + len(card.streams)
        card.streams.append(self)

    def drain(self, event: Event | None = None) -> None:
        """Do what is queued: all of it, or up to an event."""
        while self.queue and not (event and event.come):
            self.queue.pop(0)()
        for allocation in self._card.allocations:
            allocation.check()

    def synchronize(self) -> None:
        """Wait."""
        self._card.call("synchronize")
        self.drain()

    def wait_for_event(self, event: Event) -> None:
        """Do not go on before an event."""
        self._card.call("wait_for_event")
        self.queue.append(event.waited())


class Event:
    """A point in a stream. It has come at the earliest when it is asked for a second time."""

    def __init__(self, card: Card, flags: int) -> None:
        card.call("Event")
        self._card, self._flags = card, flags
        self._stream: Stream | None = None
        self._place = 0
        """In the default stream."""
        self._asked = self.come = False

    def record(self, stream: Stream | None = None) -> Event:
        """Place it anew, after what has been queued; without a stream, in the default one."""
        self._card.call("record")
        self._asked = self.come = False
        if stream is None:
            self._stream, self._place = None, self._card.default.queued
        else:
            self._stream = self._card.stream(stream)
            stream.queue.append(self._arrive)
        return self

    def query(self) -> bool:
        """Tell whether it has come."""
        self._card.call("query")
        if self._asked and self._card.answers.is_set():
            self.reach()
            return True
        self._asked = True
        return False

    def reach(self) -> None:
        """Do what was queued before it."""
        if self._stream is not None:
            self._stream.drain(self)
        else:
            self._card.default.drain(self._place)

    def waited(self) -> Callable[[], None]:
        """What a stream does that waits for it, where it is now."""
        place = self._place
        return self.reach if self._stream is not None else lambda: self._card.default.drain(place)

    def synchronize(self) -> None:
        """Wait for it."""
        self._card.call("event.synchronize")
        self.reach()

    def _arrive(self) -> None:
        self.come = True
