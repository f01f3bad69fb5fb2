"""A card that is not there: its memory, its streams, and everything it was asked for.

Device memory is host memory, garbage at first and again once freed, between guards that tell of writing
outside. Work waits in its stream until somebody synchronises, so a missing wait shows as wrong pixels.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tests.emulator.streams import Stream

_GUARD = 64
_WAITS = {"synchronize", "event.synchronize", "context.synchronize"}
GARBAGE, _FREED, _FENCE = 0x42, 0x43, 0x3C  # as codes and as float32: something that shows


class Error(Exception):
    """As pycuda.driver's own."""


class LogicError(Error):
    """The call makes no sense to the driver."""


class LaunchError(Error):
    """A kernel did not run."""


class DriverMemoryError(Error):
    """pycuda.driver.MemoryError."""


class Card:
    """One emulated card and all that was done to it, in order: `calls`.

    `seed`: an odd one runs the threads of kernels the other way round. `fails_at`: number of the driver call
    that fails, counted from 0; if the card is `lost`, so do all after it. `hangs_at`: number of the call that
    does not return before `answers` is set again. `memory`: bytes there are.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        fails_at: int | None = None,
        lost: bool = False,
        hangs_at: int | None = None,
        memory: int = 1 << 30,
    ) -> None:
        self.calls: list[str] = []
        self.threads: set[int] = set()
        self.fails_at, self.lost = fails_at, lost
        self.hangs_at = hangs_at
        self.answers = threading.Event()
        """While it is not set nothing gets done: who waits for work waits for this."""
        self.answers.set()
        self.failure: type[Error] = LaunchError
        self.free = memory
        self.backwards = bool(seed % 2)
        self.context = Context(self)
        self.allocations: list[Allocation] = []
        self.pinned: list[Pinned] = []
        self.streams: list[Stream] = []
        self.references = 0
        self.contexts = 0
        """How often the context was retained: each time for a thread of its own."""
        self.launched: list[str] = []
        self.uploaded: list[int] = []
        """Bytes of each copy to the card."""
        self.default = DefaultStream()
        self.fetched = 0
        """Pictures that FFmpeg brought down."""
        self.watch: Callable[[str], None] = lambda call: None
        """Told of each call before it does anything."""

    @property
    def busy(self) -> int:
        """How many streams have work to do."""
        return sum(bool(stream.queue) for stream in self.streams)

    @property
    def leaks(self) -> list[str]:
        """What has not been given back."""
        left = [f"{each.size} bytes of the card" for each in self.allocations if each.alive]
        left += [f"{each.array.nbytes} bytes page-locked" for each in self.pinned if each.alive]
        left += [f"{len(each.queue)} calls never waited for" for each in self.streams if each.queue]
        return (
            left
            + self.references * ["the primary context"]
            + len(self.context.threads) * ["a pushed context"]
        )

    @property
    def dead(self) -> bool:
        """A call has failed, and so do all after it."""
        return self.lost and self.fails_at is not None and len(self.calls) > self.fails_at

    def call(self, name: str, *, context: bool = True) -> None:
        """Note a call; refuse it where no context is current, or because its turn to fail has come."""
        number = len(self.calls)
        self.calls.append(name)
        self.threads.add(threading.get_ident())
        self.watch(name)
        if number == self.hangs_at:
            self.answers.clear()
        if (number == self.hangs_at and name != "query") or name in _WAITS:
            self.answers.wait()
        if self.fails_at is not None and (number == self.fails_at or (self.lost and number > self.fails_at)):
            raise self.failure(f"{name} failed: injected")
        if context:
            self.context.require(name)

    def holding(self, address: int, size: int) -> Allocation:
        """The allocation that holds so many bytes from an address on."""
        for each in self.allocations:
            if each.address <= address < each.address + max(each.size, 1):
                if not each.alive:
                    raise LogicError("an illegal memory access was encountered: use after free")
                if address + size > each.address + each.size:
                    raise LogicError("invalid argument: out of bounds of the allocation")
                return each
        raise LogicError("invalid argument: no such device memory")

    def locked(self, array: np.ndarray[Any, Any]) -> None:
        """Refuse host memory an asynchronous copy cannot use."""
        if not array.flags.c_contiguous:
            raise ValueError("ndarray is not contiguous")
        begin = array.__array_interface__["data"][0]
        for each in self.pinned:
            first = each.array.__array_interface__["data"][0]
            if each.alive and first <= begin and begin + array.nbytes <= first + each.array.nbytes:
                return
        raise LogicError("asynchronous copies need page-locked memory")

    def stream(self, stream: Stream | None) -> Stream:
        """Refuse the null stream, and one that is not alive."""
        if stream is None:
            raise LogicError("asynchronous work needs a stream of its own")
        if stream not in self.streams:
            raise LogicError("invalid resource handle")
        return stream


class Context:
    """The primary context: valid while retained, current where pushed."""

    def __init__(self, card: Card) -> None:
        self._card = card
        self.threads: list[int] = []

    def require(self, name: str) -> None:
        """Refuse a call on a thread where the context is not current."""
        if not self._card.references:
            raise LogicError(f"{name} failed: context is destroyed")
        if threading.get_ident() not in self.threads:
            raise LogicError(f"{name} failed: invalid device context")

    def push(self) -> None:
        """Make it current on this thread."""
        self._card.call("push", context=False)
        if not self._card.references:
            raise LogicError("cuCtxPushCurrent failed: context is destroyed")
        self.threads.append(threading.get_ident())

    def pop(self) -> None:
        """Make it not current."""
        self._card.call("pop")
        self.threads.remove(threading.get_ident())

    def detach(self) -> None:
        """Release it; like PyCUDA, what is pushed is popped with it."""
        self._card.call("detach", context=False)
        if not self._card.references:
            raise LogicError("cannot detach from invalid context")
        self._card.references -= 1
        if threading.get_ident() in self.threads:
            self.threads.remove(threading.get_ident())

    def synchronize(self) -> None:
        """Wait for everything."""
        self._card.call("context.synchronize")
        for stream in self._card.streams:
            stream.drain()


class Allocation:
    """Device memory."""

    def __init__(self, card: Card, size: int) -> None:
        card.call("mem_alloc")
        if not isinstance(size, int) or size <= 0:
            raise LogicError("cuMemAlloc failed: invalid argument")
        if size > card.free:
            raise DriverMemoryError("cuMemAlloc failed: out of memory")
        card.free -= size
        self._card, self.size, self.alive = card, size, True
        self._bytes = np.full(size + 2 * _GUARD + 256, _FENCE, np.uint8)
        start = self._bytes.__array_interface__["data"][0]
        self.address = -(-(start + _GUARD) // 256) * 256
        self._offset = self.address - start
        self.bytes[:] = GARBAGE
        card.allocations.append(self)

    @property
    def bytes(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Its content."""
        return self._bytes[self._offset : self._offset + self.size]

    def check(self) -> None:
        """Tell of a kernel that wrote outside."""
        before, after = self._bytes[: self._offset], self._bytes[self._offset + self.size :]
        if (before != _FENCE).any() or (after != _FENCE).any():
            raise LaunchError("an illegal memory access was encountered: written outside the allocation")

    def __int__(self) -> int:
        return self.address

    __index__ = __int__

    def free(self) -> None:
        """Give it back; whoever reads it later reads nonsense."""
        self._card.call("free")
        if not self.alive:
            raise LogicError("cuMemFree failed: invalid argument")
        if any(stream.queue for stream in self._card.streams):
            raise LogicError("freed while work is under way")
        self.check()
        self._card.free += self.size
        self.alive = False
        self.bytes[:] = _FREED


class Pinned:
    """Page-locked host memory."""

    def __init__(self, card: Card, array: np.ndarray[Any, Any]) -> None:
        self._card, self.array, self.alive = card, array, True
        card.pinned.append(self)

    def free(self) -> None:
        """Give it back."""
        self._card.call("pinned.free")
        if not self.alive:
            raise LogicError("cuMemFreeHost failed: invalid argument")
        if any(stream.queue for stream in self._card.streams):
            raise LogicError("freed while work is under way")
        self.alive = False
        self.array.reshape(-1).view(np.uint8)[:] = _FREED


class PinnedArray(np.ndarray[Any, Any]):
    """An array whose `base` frees it, as PyCUDA's do."""

    owner: Pinned

    def __array_finalize__(self, other: Any) -> None:
        self.owner = getattr(other, "owner", None)

    @property
    def base(self) -> Any:  # type: ignore[override]
        """Who frees it."""
        return self.owner


class DefaultStream:
    """Where FFmpeg's decoder works. Any thread may queue; nothing is done before somebody waits for it."""

    def __init__(self) -> None:
        self._queue: deque[Callable[[], None]] = deque()
        self.queued = 0
        self._done = 0

    def queue(self, work: Callable[[], None]) -> None:
        """Add work."""
        self._queue.append(work)
        self.queued += 1

    def drain(self, until: int) -> None:
        """Do what was among the first `until` that were queued."""
        while self._done < until:
            self._queue.popleft()()
            self._done += 1
