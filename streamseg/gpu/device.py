"""The GPU and the one thread that speaks to it."""

from __future__ import annotations

import ctypes
import math
import os
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator
from contextlib import suppress
from importlib import import_module
from types import TracebackType
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

from streamseg.errors import GpuFailure, UsageError, reason
from streamseg.gpu.lent import Lender
from streamseg.gpu.module import kernels

T = TypeVar("T")
Steps: TypeAlias = Generator[Any, None, T]
"""Work in steps: it yields the CUDA event after which it goes on. Meanwhile other work is done."""

_GLANCE = 0.0002
"""Seconds between looks at whether such an event has come; a wait would keep other work from being queued."""
_SLICE = 0.1
"""Seconds between looks at whether the card has been given up. Slices are counted, no clock is read: a
process that was stopped for a while (Ctrl-Z) finds an answer when it goes on."""


class Device:
    """The first GPU: its primary context, current on a thread of its own, and the kernels.

    A context, its memory and its CUDA streams may be used by any thread, but PyCUDA frees them only where the
    context is current, and TensorRT wants one thread for each of its contexts. So all work is handed to one,
    which queues it and does not wait for it: while the card works on a frame the next one's work is queued.
    Closed by whoever opened it, after everything that was made of it.

    A card that does not answer in time is given up for good: nobody waits for it or for its thread any more,
    and what lies on it is neither used nor freed again.
    """

    FRAME: ClassVar = 1.5
    """Seconds a frame's work may take, behind other work too: the processor takes over within 2 s."""
    CLOSING: ClassVar = 5.0
    """Seconds for giving back what was made."""
    LOADING: ClassVar = 60.0
    """Seconds for compiling kernels, and for loading a network and running it for the first time."""

    def __init__(self) -> None:
        """Raises UsageError where PyCUDA or NVRTC is missing, GpuFailure where the driver refuses."""
        self.driver = _pycuda()
        self.functions: dict[str, Any] = {}
        """Kernel by name, prepared."""
        self.failure: str | None = None
        """How it failed first: whoever can do without it does so from then on."""
        self.abandoned = False
        """It did not answer."""
        self.holders: set[object] = set()
        """Whoever has something there (the GPU's thread)."""
        self.wreck: list[object] = []
        """What lies in a context that is lost. To free it would fail, and PyCUDA tell the user so of every
        single thing; once the context has been detached it only forgets them."""
        self.lender = Lender(self)
        """Memory for finished pictures that FFmpeg reads there."""
        self._closed = False
        self._pushed = False
        # No SimpleQueue: with a short timeout its `get` sometimes waits for ever (Python 3.11.7).
        self._calls: deque[_Call[Any]] = deque()
        self._changed = threading.Event()
        self._ending = False
        self._under_way: list[_Call[Any]] = []
        # A daemon, so that the interpreter does not wait at its end for a card that does not answer.
        self._thread = threading.Thread(target=self._serve, name="streamseg-gpu", daemon=True)
        self._thread.start()
        try:
            self.run(self._open, within=self.LOADING)
        except BaseException:
            self._end()
            raise

    def run(self, work: Callable[[], T], *, within: float | None = None) -> T:
        """Do `work` on the GPU's thread, return what it returns; while it waits no other work is done.

        Raises as `carry_out`.
        """
        return self.carry_out(lambda: _at_once(work), within=within)

    def carry_out(self, work: Callable[[], Steps[T]], *, within: float | None = None) -> T:
        """Do `work` on the GPU's thread, step by step; return what it returns.

        What goes wrong on the card is raised in it, where it waits. Raises GpuFailure where the GPU fails, or
        has not done all of it `within` so many seconds (None: FRAME).
        """
        if self._closed:
            raise GpuFailure("the GPU has been closed")
        self.require()
        call, limit = _Call(work()), self.FRAME if within is None else within
        self._calls.append(call)
        self._changed.set()
        try:
            try:
                self._await(call, limit)
            except KeyboardInterrupt:  # what is under way is not left to itself
                self._await(call, limit)
                raise
            if call.errors:
                raise call.errors.pop()
            return call.made.pop()
        except (self.driver.Error, GpuFailure) as error:
            refused = isinstance(error, GpuFailure)
            failure = str(error) if refused else f"the GPU failed: {reason(error)}"
            self.failure = self.failure or failure
            raise GpuFailure(failure) from error

    def require(self) -> None:
        """Raise GpuFailure where the card has been given up: it is not to be asked for anything."""
        if self.abandoned:
            raise GpuFailure(str(self.failure))

    def settle(self) -> None:
        """Wait until all that was queued on any stream is done (the GPU's thread).

        Before memory is freed: that waits for the card too, but PyCUDA keeps Python's lock meanwhile, and
        nobody else would notice how long it takes.
        """
        self.require()
        self._context.synchronize()

    def settled(self) -> bool:
        """The same; tell whether the context still works. What fails twice will always (the GPU's thread)."""
        for _ in range(2):
            with suppress(self.driver.Error):
                self.settle()
                return True
        return False

    def close(self) -> None:
        """Release the context and end the thread; what fails on the way is of no interest any more."""
        with suppress(GpuFailure):
            self.run(self._release, within=self.CLOSING)
        self._closed = True
        self._end()

    def __enter__(self) -> Device:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _await(self, call: _Call[Any], limit: float) -> None:
        """Wait until a call is done; raises GpuFailure when the card is given up, for this or another one."""
        for _ in range(math.ceil(limit / _SLICE)):
            self.require()
            if call.done.wait(_SLICE):
                return
        self._abandon(f"the GPU did not answer within {limit:g} s")
        self.require()

    def _abandon(self, failure: str) -> None:
        self.failure = self.failure or failure
        self.abandoned = True
        self._changed.set()
        # Never freed, nor its holders, not even when the interpreter ends: freeing waits for the card.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self))

    def _end(self) -> None:
        """End the thread, unless it may be waiting for the card."""
        self._ending = True
        self._changed.set()
        if not self.abandoned:
            self._thread.join()

    def _serve(self) -> None:
        """The thread."""
        while not (self.abandoned or self._ending):
            self._go_on()
        if self.abandoned and self._pushed:
            try:
                self._context.pop()
            except self.driver.Error:  # PyCUDA ends the process when a thread ends that has a context
                threading.Event().wait()

    def _go_on(self) -> None:
        """Wait for calls, begin them, and go on with those whose events have come."""
        self._changed.wait(_GLANCE if self._under_way else None)
        self._changed.clear()
        while self._calls:
            self._under_way.append(self._calls.popleft())
        self._under_way = [call for call in self._under_way if self.abandoned or not call.go_on()]

    def _open(self) -> None:
        self.driver.init()
        card = self.driver.Device(0)
        self._context = card.retain_primary_context()
        try:
            self._context.push()
            self._pushed = True
            self.functions = kernels(self.driver, card.compute_capability())
        except BaseException as error:
            if not self.abandoned:
                if self._pushed and self.settled():
                    _let_go(error)  # while kernels can still be unloaded
                with suppress(self.driver.Error):
                    self._release()
            raise

    def _release(self) -> None:
        if not self.abandoned:
            self.lender.close()
        if not (self.failure or self.wreck) or self.settled():
            self.functions.clear()  # slots hold it too, and kernels are unloaded on this thread
        try:
            self._context.pop()
            self._pushed = False
        finally:
            if not self.abandoned:
                self._pushed = False  # detaching pops as well
                self._context.detach()
                self.functions.clear()
                self.wreck.clear()


class _Call(Generic[T]):
    """Work for the GPU's thread, and what came of it: taken out at once, or an error and its frames keep each
    other alive."""

    def __init__(self, steps: Steps[T]) -> None:
        self.done = threading.Event()
        self.made: list[T] = []
        self.errors: list[BaseException] = []
        self._steps = steps
        self._event: Any = None

    def go_on(self) -> bool:
        """Do the next step if it is due; tell whether that was the last (the GPU's thread)."""
        try:
            self._event = self._next()
        except StopIteration as end:
            self.made.append(end.value)
        except BaseException as error:
            _let_go(error)
            self.errors.append(error)
        else:
            return False
        self._event = None
        self.done.set()
        return True

    def _next(self) -> Any:
        """Return what is waited for from now on."""
        try:
            if self._event is not None and not self._event.query():
                return self._event
        except Exception as error:
            return self._steps.throw(error)
        return next(self._steps)


def _let_go(error: BaseException) -> None:
    """Empty the frames an error came through: it goes to another thread, where PyCUDA can free nothing that
    they hold, such as the CUDA stream of a launch that failed."""
    each: BaseException | None = error
    while each is not None:
        traceback.clear_frames(each.__traceback__)
        each = each.__context__


def _at_once(work: Callable[[], T]) -> Steps[T]:
    """Work of one step."""
    yield from ()
    return work()


def _pycuda() -> Any:
    os.environ.setdefault("CUDA_MODULE_LOADING", "LAZY")  # before the driver wakes up; it loads what is used
    try:
        return import_module("pycuda.driver")
    except ImportError as error:
        raise UsageError(
            f"the GPU needs PyCUDA, which cannot be imported ({reason(error)}); "
            "install it: pip install pycuda"
        ) from error
