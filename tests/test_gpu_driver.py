"""Asking NVIDIA's driver, which a stand-in plays that answers as cuda.h says."""

from __future__ import annotations

import ctypes
from typing import Any

from streamseg.gpu.driver import LIBRARY, Driver, Gpu, probe


class Cuda:
    """Answers like the driver: an RTX 4090 for each of `count`, or a failing cuInit."""

    def __init__(self, *, init: int = 0, count: int = 1) -> None:
        self._init, self._count = init, count
        self.started = False

    def cuInit(self, flags: int) -> int:  # noqa: D102  (the driver's)
        self.started = True
        return self._init

    def cuDriverGetVersion(self, number: Any) -> int:  # noqa: D102
        return self._put(number, ctypes.c_int, 13010)

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: D102
        return self._put(count, ctypes.c_int, self._count)

    def cuDeviceGet(self, device: Any, index: int) -> int:  # noqa: D102
        return self._put(device, ctypes.c_int, index)

    def cuDeviceGetName(self, name: Any, length: int, device: Any) -> int:  # noqa: D102
        assert length == len(name)
        name.value = b"RTX 4090"
        return 0

    def cuDeviceTotalMem_v2(self, size: Any, device: Any) -> int:  # noqa: D102
        return self._put(size, ctypes.c_size_t, 24 << 30)

    def cuDeviceGetAttribute(self, value: Any, attribute: int, device: Any) -> int:  # noqa: D102
        return self._put(value, ctypes.c_int, {75: 8, 76: 9}[attribute])

    def _put(self, target: Any, kind: Any, value: int) -> int:
        assert self.started, "asked before cuInit"
        ctypes.cast(target, ctypes.POINTER(kind)).contents.value = value
        return 0


def test_what_a_gpu_is() -> None:
    """Name, compute capability, memory and the driver's CUDA are read; the first GPU is the one used."""
    found = probe(lambda name: Cuda(count=2))
    gpu = Gpu(name="RTX 4090", compute_capability=(8, 9), memory=24 << 30, driver=(13, 1))
    assert found == Driver(version=(13, 1), gpus=(gpu, gpu))
    assert found.gpu == gpu
    assert gpu.architecture == "sm_89"


def test_no_driver() -> None:
    """Without the library there is no GPU, and its name is the reason."""

    def missing(name: str) -> Any:
        raise OSError(name)

    assert probe(missing) == Driver(problem=f"no {LIBRARY}", installed=False)
    assert probe(missing).gpu is None


def test_a_driver_that_does_not_start() -> None:
    """What cuInit answered is the reason, and nothing else is asked."""
    found = probe(lambda name: Cuda(init=803))
    assert found.gpus == ()
    assert found.problem == f"{LIBRARY} is there, but cuInit failed with error 803"


def test_a_driver_without_a_gpu() -> None:
    """A driver that runs no card is no GPU either."""
    found = probe(lambda name: Cuda(count=0))
    assert (found.gpu, found.version, found.problem) == (None, (13, 1), "the driver runs no GPU")
