"""NVIDIA's driver, asked through ctypes: is it there, and which GPUs does it run?

This comes before anything of TensorRT's: its runtime ends the process where there is no driver.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

LIBRARY = "nvcuda.dll" if os.name == "nt" else "libcuda.so.1"

_MAJOR, _MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR of cuda.h."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A graphics card that runs CUDA."""

    name: str
    compute_capability: tuple[int, int]
    """(8, 9) is sm_89."""
    memory: int
    """Bytes, used or not."""
    driver: tuple[int, int]
    """The newest CUDA its driver runs."""

    @property
    def architecture(self) -> str:
        """As compilers call it: `sm_89`."""
        major, minor = self.compute_capability
        return f"sm_{major}{minor}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """What the driver answered."""

    version: tuple[int, int] | None = None
    """The newest CUDA it runs; None without one that works."""
    gpus: tuple[Gpu, ...] = ()
    problem: str | None = None
    """Why there is no GPU, in lower case."""
    installed: bool = True
    """The library is there, working or not."""

    @property
    def gpu(self) -> Gpu | None:
        """The first GPU: the one that is used."""
        return self.gpus[0] if self.gpus else None


def probe(load: Callable[[str], Any] = ctypes.CDLL) -> Driver:
    """Ask the driver; never raises. `load` opens a library by name, raising OSError where there is none."""
    try:
        library = load(LIBRARY)
    except OSError:
        return Driver(problem=f"no {LIBRARY}", installed=False)
    if code := library.cuInit(0):
        return Driver(problem=f"{LIBRARY} is there, but cuInit failed with error {code}")
    number, count = ctypes.c_int(), ctypes.c_int()
    library.cuDriverGetVersion(ctypes.byref(number))
    library.cuDeviceGetCount(ctypes.byref(count))
    version = number.value // 1000, number.value % 1000 // 10
    gpus = tuple(_gpus(library, count.value, version))
    return Driver(version=version, gpus=gpus, problem=None if gpus else "the driver runs no GPU")


def _gpus(library: Any, count: int, version: tuple[int, int]) -> Iterator[Gpu]:
    for index in range(count):
        device, name, memory = ctypes.c_int(), ctypes.create_string_buffer(256), ctypes.c_size_t()
        if library.cuDeviceGet(ctypes.byref(device), index):
            continue
        library.cuDeviceGetName(name, len(name), device)
        library.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
        yield Gpu(
            name=name.value.decode(errors="replace"),
            compute_capability=(_attribute(library, _MAJOR, device), _attribute(library, _MINOR, device)),
            memory=memory.value,
            driver=version,
        )


def _attribute(library: Any, attribute: int, device: ctypes.c_int) -> int:
    value = ctypes.c_int()
    library.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
    return value.value
