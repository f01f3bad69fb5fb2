"""A CUDA stream with the memory its work needs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from streamseg.gpu.jobs import JOBS, struct

if TYPE_CHECKING:
    from streamseg.gpu.device import Device

Bytes = NDArray[np.uint8]

_NON_BLOCKING = 1
"""CU_STREAM_NON_BLOCKING of cuda.h, for which PyCUDA has no name. Other streams and the default one
wait for each other: FFmpeg, which decodes there, would wait for our kernels, and be refused while a CUDA
graph is captured."""

_BLOCK = (32, 8, 1)
"""Threads side by side read neighbouring samples: a warp is a row."""


class Slot:
    """One piece of work at a time, in order: uploads, kernels, downloads, then one event to wait for.

    Buffers have names. They are made on first use and kept; a larger one takes the place of one that has
    become too small. All methods are for the GPU's thread; the caller closes. Once the card has been given up
    they raise GpuFailure, and what the slot has there is never freed.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._driver, self._functions = device.driver, device.functions
        self._stream: Any = None
        self._decoded: Any = None
        """Marks how far the decoder is."""
        self._event: Any = None
        self._card: dict[str, tuple[Any, int]] = {}
        self._host: dict[str, Any] = {}
        self._tables: dict[str, tuple[bytes, int]] = {}

    @property
    def handle(self) -> int:
        """The CUDA stream, as others take it."""
        return int(self._start().handle)

    def memory(self, name: str, size: int) -> int:
        """Return the address of so many bytes on the card, their content undefined.

        A buffer that must grow is made anew, so nothing under way may use it: ask once per frame.
        """
        held, capacity = self._card.get(name, (None, 0))
        if capacity < size:
            self._claim()
            if held is not None:
                self._device.settle()
                self._card.pop(name)
                held.free()
            held = self._driver.mem_alloc(size)
            self._card[name] = held, size
        return int(held)

    def upload(
        self, name: str, parts: Iterable[NDArray[Any]], *, align: int = 64, to: int | None = None
    ) -> list[int]:
        """Copy arrays to the card, with one transfer; return where each lies, on a multiple of `align`.

        `to`: the address of memory that is not this slot's; its own buffer of that name without.
        """
        arrays = [np.atleast_1d(part) for part in parts]
        places, size = _laid_out([array.nbytes for array in arrays], align)
        staging = self._staging(name, size)
        for array, begin in zip(arrays, places, strict=True):
            np.copyto(staging[begin : begin + array.nbytes].view(array.dtype).reshape(array.shape), array)
        address = self.memory(name, size) if to is None else to
        self._driver.memcpy_htod_async(address, staging[:size], self._start())
        return [address + begin for begin in places]

    def table(self, name: str, values: NDArray[Any]) -> int:
        """Return the address of constants; they are uploaded when they differ from the last of that name."""
        content = values.tobytes()
        if self._tables.get(name, (b"", 0))[0] != content:
            self._tables[name] = content, self.upload(name, [values])[0]
        return self._tables[name][1]

    def launch(self, kernel: str, size: tuple[int, int], /, **fields: Any) -> None:
        """Queue a kernel with a thread for each sample of `size` (W, H); `fields` are those of its job."""
        grid = -(-size[0] // _BLOCK[0]), -(-size[1] // _BLOCK[1]), 1
        job = struct(JOBS[kernel], **fields).tobytes()
        self._functions[kernel].prepared_async_call(grid, _BLOCK, self._start(), job)

    def download(self, name: str, address: int, size: int) -> Bytes:
        """Queue a copy of so many bytes from the card; there once it is done, until the next of that name."""
        staging = self._staging(name, size)[:size]
        self._driver.memcpy_dtoh_async(staging, address, self._start())
        return staging

    def queued(self) -> Any:
        """Return the event that comes when all that was queued so far is done; there is one for each slot."""
        if self._event is None:
            self._claim()
            self._event = self._driver.Event(self._driver.event_flags.DISABLE_TIMING)
        self._event.record(self._start())
        return self._event

    def wait(self) -> None:
        """Wait until all that was queued is done; the GPU's thread does nothing else meanwhile."""
        if self._stream is not None:
            self._device.require()
            self._stream.synchronize()

    def follow_decoder(self) -> None:
        """Let what is queued from now on wait for FFmpeg's decoder, which uses the default CUDA stream."""
        stream = self._start()
        if self._decoded is None:
            self._decoded = self._driver.Event()
            self._device.require()
        self._decoded.record()
        stream.wait_for_event(self._decoded)

    def clear(self) -> None:
        """Give everything back, whatever state the card is in; the slot can be used again."""
        held = [allocation for allocation, _ in self._card.values()]
        held += [array.base for array in self._host.values()]
        if held and not self._device.settled():
            self._device.wreck.append((held, self._stream, self._event, self._decoded))
            held = []
        for each in held:
            self._device.require()
            with suppress(self._driver.Error):
                each.free()
        self._card, self._host, self._tables = {}, {}, {}
        self._stream = self._event = self._decoded = None
        self._device.holders.discard(self)

    def _claim(self) -> None:
        """There is going to be something of this slot's on the card."""
        self._device.require()
        self._device.holders.add(self)

    def _start(self) -> Any:
        if self._stream is None:
            self._claim()
            self._stream = self._driver.Stream(_NON_BLOCKING)
        self._device.require()
        return self._stream

    def _staging(self, name: str, size: int) -> Bytes:
        """Page-locked host memory: only that is copied while other work goes on."""
        held = self._host.get(name)
        if held is None or held.size < size:
            self._claim()
            if held is not None:
                self._device.settle()
                self._host.pop(name).base.free()
            held = self._host[name] = self._driver.pagelocked_empty(size, np.uint8)
        staging: Bytes = held
        return staging


class Lease:
    """A slot that is in use for as long as anybody holds this; then it is idle again."""

    def __init__(self, idle: deque[Slot], slot: Slot) -> None:
        """`idle` gets the slot back. Appending is atomic: any thread may be the last holder."""
        self.slot = slot
        self._idle = idle

    def __del__(self) -> None:
        self._idle.append(self.slot)


def _laid_out(sizes: list[int], align: int) -> tuple[list[int], int]:
    """Where each part begins, and the size of all."""
    places, end = [], 0
    for size in sizes:
        places.append(-(-end // align) * align)
        end = places[-1] + size
    return places, end
