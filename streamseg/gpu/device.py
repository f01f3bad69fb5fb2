"""The GPU and the one thread that speaks to it."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from types import TracebackType
from typing import Any, TypeVar

from streamseg.errors import GpuFailure, UsageError, reason
from streamseg.gpu.module import kernels

T = TypeVar("T")


class Device:
    """The first GPU: its primary context, current on a thread of its own, and the kernels.

    A context, its memory and its CUDA streams may be used by any thread, but PyCUDA frees them only where the
    context is current, and TensorRT wants one thread for each of its contexts. So all work is handed to one.
    Closed by whoever opened it, after everything that was made of it.
    """

    def __init__(self) -> None:
        """Raises UsageError where PyCUDA or NVRTC is missing, GpuFailure where the driver refuses."""
        self.driver = _pycuda()
        self.functions: dict[str, Any] = {}
        """Kernel by name, prepared."""
        self.failure: str | None = None
        """How it failed first: whoever can do without it does so from then on."""
        self._closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="streamseg-gpu")
        try:
            self.run(self._open)
        except BaseException:
            self._thread.shutdown()
            raise

    def run(self, work: Callable[[], T]) -> T:
        """Do `work` on the GPU's thread, return what it returns; raises GpuFailure where the GPU fails."""
        if self._closed:
            raise GpuFailure("the GPU has been closed")
        try:
            return self._thread.submit(work).result()
        except (self.driver.Error, GpuFailure) as error:
            refused = isinstance(error, GpuFailure)
            failure = str(error) if refused else f"the GPU failed: {reason(error)}"
            self.failure = self.failure or failure
            raise GpuFailure(failure) from error

    def close(self) -> None:
        """Release the context and end the thread; what fails on the way is of no interest any more."""
        with suppress(GpuFailure):
            self.run(self._release)
        self._closed = True
        self._thread.shutdown()

    def __enter__(self) -> Device:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> None:
        self.driver.init()
        card = self.driver.Device(0)
        self._context = card.retain_primary_context()
        try:
            self._context.push()
            self.functions = kernels(self.driver, card.compute_capability())
        except BaseException:
            with suppress(self.driver.Error):
                self._release()
            raise

    def _release(self) -> None:
        self.functions.clear()  # slots hold it too, and kernels are unloaded on this thread
        try:
            self._context.pop()
        finally:
            self._context.detach()


def _pycuda() -> Any:
    os.environ.setdefault("CUDA_MODULE_LOADING", "LAZY")  # before the driver wakes up; it loads what is used
    try:
        return import_module("pycuda.driver")
    except ImportError as error:
        raise UsageError(
            f"the GPU needs PyCUDA, which cannot be imported ({reason(error)}); "
            "install it: pip install pycuda"
        ) from error
