"""A `pycuda.driver` for a card that is not there, as strict as the real one or stricter."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from streamseg.gpu import module as kernel_module
from streamseg.gpu.device import Device as GpuDevice
from tests.emulator.card import (
    GARBAGE,
    Allocation,
    Card,
    Context,
    DriverMemoryError,
    Error,
    LaunchError,
    LogicError,
    Pinned,
    PinnedArray,
)
from tests.emulator.library import library
from tests.emulator.streams import Event, Stream

PATIENCE = 60.0
"""Seconds for a frame: the kernels of an emulated card are slow, all the more on a busy machine."""

_MOST_THREADS, _MOST_BLOCKS = 1024, (2**31 - 1, 65535, 65535)
_MOST_THREADS_OF = (1024, 1024, 64)


class Function:
    """A kernel."""

    def __init__(self, card: Card, name: str) -> None:
        self._card, self._name, self._size = card, name, -1

    def prepare(self, types: list[np.dtype[np.void]]) -> Function:
        """Say what it takes."""
        if len(types) != 1 or not isinstance(types[0], np.dtype) or types[0].char != "V":
            raise LogicError("these kernels take one struct")
        self._size = types[0].itemsize
        return self

    def prepared_async_call(
        self, grid: tuple[int, ...], block: tuple[int, ...], stream: Stream, *arguments: bytes
    ) -> None:
        """Queue it."""
        self._card.call(self._name)
        if self._size < 0:
            raise LogicError("the kernel has not been prepared")
        if len(arguments) != 1 or not isinstance(arguments[0], bytes):
            raise TypeError("argument for 's' must be a bytes object")
        if len(arguments[0]) != self._size or self._size != library().job_size(self._name):
            raise LaunchError("cuLaunchKernel failed: invalid argument: wrong size of parameters")
        _require_dimensions("block", block, _MOST_THREADS_OF)
        _require_dimensions("grid", grid, _MOST_BLOCKS)
        if np.prod(block) > _MOST_THREADS:
            raise LogicError("cuLaunchKernel failed: invalid argument: too many threads")
        self._card.launched.append(self._name)
        whole = tuple(grid) + (1,) * (3 - len(grid))
        backwards, job = self._card.backwards, arguments[0]
        self._card.stream(stream).queue.append(
            lambda: library().launch(self._name, whole, block, job, backwards=backwards)
        )


def _require_dimensions(name: str, found: tuple[int, ...], most: tuple[int, ...]) -> None:
    if not isinstance(found, tuple) or not all(type(side) is int for side in found):
        raise TypeError(f"{name} must be a tuple of int, not {found!r}")
    if name == "block" and len(found) != 3:
        raise ValueError("a block has three dimensions")
    if any(not 0 < side <= limit for side, limit in zip(found, most, strict=False)):
        raise LogicError(f"cuLaunchKernel failed: invalid argument: {name} {found}")


def _require_plain(number: object) -> None:
    """PyCUDA takes none of numpy's."""
    if not isinstance(number, int | Allocation):
        raise TypeError(f"Python argument types did not match C++ signature: {type(number).__name__}")


def driver(card: Card) -> ModuleType:
    """Return what `import pycuda.driver` gives on a machine with this card."""
    module = ModuleType("pycuda.driver")

    class Device:
        """The first card."""

        def __init__(self, number: int) -> None:
            card.call("Device", context=False)
            if number:
                raise LogicError("cuDeviceGet failed: invalid device ordinal")

        def retain_primary_context(self) -> Context:
            """Return the context; not current yet."""
            card.call("retain_primary_context", context=False)
            card.references += 1
            card.contexts += 1
            return card.context

        def compute_capability(self) -> tuple[int, int]:
            """As a data-centre card has it."""
            return 9, 0

        def name(self) -> str:
            """What `doctor` would show."""
            return "Emulated"

    class Module:
        """Kernels, loaded."""

        def get_function(self, name: str) -> Function:
            """Return a kernel."""
            card.call("get_function")
            if name not in library():
                raise LogicError("cuModuleGetFunction failed: named symbol not found")
            return Function(card, name)

    def module_from_buffer(image: bytes) -> Module:
        card.call("module_from_buffer")
        if not isinstance(image, bytes) or not image:
            raise LogicError("cuModuleLoadDataEx failed: device kernel image is invalid")
        return Module()

    def pagelocked_empty(shape: Any, dtype: Any) -> np.ndarray[Any, Any]:
        card.call("pagelocked_empty")
        _require_plain(shape)
        array = np.empty(shape, dtype).view(PinnedArray)
        np.asarray(array).reshape(-1).view(np.uint8)[:] = GARBAGE
        array.owner = Pinned(card, np.asarray(array))
        return array

    def memcpy_htod_async(target: int, source: np.ndarray[Any, Any], stream: Stream | None = None) -> None:
        card.call("memcpy_htod_async")
        _require_plain(target)
        card.uploaded.append(source.nbytes)
        card.locked(source)
        held, address, size = card.holding(int(target), source.nbytes), int(target), source.nbytes
        plain = np.asarray(source).reshape(-1).view(np.uint8)

        def copy() -> None:
            start = address - held.address
            held.bytes[start : start + size] = plain

        card.stream(stream).queue.append(copy)

    def memcpy_dtoh_async(target: np.ndarray[Any, Any], source: int, stream: Stream | None = None) -> None:
        card.call("memcpy_dtoh_async")
        _require_plain(source)
        card.locked(target)
        held, address, size = card.holding(int(source), target.nbytes), int(source), target.nbytes
        plain = np.asarray(target).reshape(-1).view(np.uint8)

        def copy() -> None:
            start = address - held.address
            plain[:] = held.bytes[start : start + size]

        card.stream(stream).queue.append(copy)

    names: dict[str, Any] = {
        "Error": Error,
        "LogicError": LogicError,
        "LaunchError": LaunchError,
        "MemoryError": DriverMemoryError,
        "init": lambda: card.call("init", context=False),
        "Device": Device,
        "Stream": lambda flags=0: Stream(card, flags),
        "Event": lambda flags=0: Event(card, flags),
        "event_flags": SimpleNamespace(DEFAULT=0, BLOCKING_SYNC=1, DISABLE_TIMING=2),
        "mem_alloc": lambda size: Allocation(card, size),
        "pagelocked_empty": pagelocked_empty,
        "memcpy_htod_async": memcpy_htod_async,
        "memcpy_dtoh_async": memcpy_dtoh_async,
        "module_from_buffer": module_from_buffer,
    }
    for name, value in names.items():
        setattr(module, name, value)
    return module


@contextmanager
def emulated(card: Card) -> Iterator[Card]:
    """Let `import pycuda.driver` find this card, whose kernels need no compiling."""
    library()
    kept = kernel_module.compiled, kernel_module.require
    limit, GpuDevice.FRAME = GpuDevice.FRAME, PATIENCE
    kernel_module.compiled = lambda capability, folder=None: b"emulated"
    kernel_module.require = lambda: None
    package, before = (
        ModuleType("pycuda"),
        {name: sys.modules.get(name) for name in ("pycuda", "pycuda.driver")},
    )
    package.driver = driver(card)  # type: ignore[attr-defined]
    sys.modules |= {"pycuda": package, "pycuda.driver": package.driver}
    try:
        yield card
    finally:
        kernel_module.compiled, kernel_module.require = kept
        GpuDevice.FRAME = limit
        for name, module in before.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module
