"""The emulated driver refuses what the real one refuses: otherwise the tests that run on it prove little."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from streamseg.gpu.jobs import JOBS, struct
from tests.emulator.card import Card, DriverMemoryError, LaunchError, LogicError
from tests.emulator.driver import driver
from tests.emulator.library import library

ONE = (1, 1, 1)


class Machine:
    """A card, its driver, its context current on this thread, and a stream."""

    def __init__(self) -> None:
        library()
        self.card = Card(memory=1 << 20)
        self.cuda: ModuleType = driver(self.card)
        self.context = self.cuda.Device(0).retain_primary_context()
        self.context.push()
        self.stream = self.cuda.Stream(1)
        self.codes = self.cuda.mem_alloc(64)
        self.host = self.cuda.pagelocked_empty(64, np.uint8)

    def kernel(self, name: str = "look_up") -> Any:
        """A prepared kernel."""
        return self.cuda.module_from_buffer(b"image").get_function(name).prepare([JOBS[name]])

    def job(self, **fields: Any) -> bytes:
        """A table look-up in place."""
        place = int(self.codes)
        return struct(JOBS["look_up"], **{"source": place, "to": place, "table": place, **fields}).tobytes()


@pytest.fixture
def machine() -> Iterator[Machine]:
    """A fresh one."""
    yield Machine()


REFUSED: dict[str, tuple[type[Exception], str, Callable[[Machine], Any]]] = {
    "memory of no size": (LogicError, "invalid argument", lambda m: m.cuda.mem_alloc(0)),
    "more memory than there is": (DriverMemoryError, "out of memory", lambda m: m.cuda.mem_alloc(1 << 21)),
    "a size of numpy's": (LogicError, "invalid argument", lambda m: m.cuda.mem_alloc(np.int64(4))),
    "pageable memory up": (
        LogicError,
        "page-locked",
        lambda m: m.cuda.memcpy_htod_async(m.codes, np.zeros(64, np.uint8), m.stream),
    ),
    "pageable memory down": (
        LogicError,
        "page-locked",
        lambda m: m.cuda.memcpy_dtoh_async(np.zeros(64, np.uint8), m.codes, m.stream),
    ),
    "memory with gaps": (
        ValueError,
        "not contiguous",
        lambda m: m.cuda.memcpy_htod_async(m.codes, m.host[::2], m.stream),
    ),
    "a copy beyond the end": (
        LogicError,
        "out of bounds",
        lambda m: m.cuda.memcpy_htod_async(int(m.codes) + 1, m.host, m.stream),
    ),
    "an address of numpy's": (
        TypeError,
        "did not match",
        lambda m: m.cuda.memcpy_htod_async(np.uint64(int(m.codes)), m.host, m.stream),
    ),
    "an address of nothing": (
        LogicError,
        "no such device memory",
        lambda m: m.cuda.memcpy_htod_async(4096, m.host, m.stream),
    ),
    "a stream tied to the default one": (LogicError, "waits for the default", lambda m: m.cuda.Stream()),
    "no stream": (LogicError, "stream of its own", lambda m: m.cuda.memcpy_htod_async(m.codes, m.host)),
    "another card's stream": (
        LogicError,
        "invalid resource handle",
        lambda m: m.cuda.memcpy_htod_async(m.codes, m.host, Machine().stream),
    ),
    "memory twice freed": (LogicError, "invalid argument", lambda m: (m.codes.free(), m.codes.free())),
    "memory after it was freed": (
        LogicError,
        "use after free",
        lambda m: (m.codes.free(), m.cuda.memcpy_htod_async(m.codes, m.host, m.stream)),
    ),
    "memory freed too early": (
        LogicError,
        "work is under way",
        lambda m: (m.cuda.memcpy_htod_async(m.codes, m.host, m.stream), m.codes.free()),
    ),
    "a grid of nothing": (
        LogicError,
        r"grid \(0, 1\)",
        lambda m: m.kernel().prepared_async_call((0, 1), ONE, m.stream, m.job()),
    ),
    "a grid too high": (
        LogicError,
        "grid",
        lambda m: m.kernel().prepared_async_call((1, 65536), ONE, m.stream, m.job()),
    ),
    "too many threads": (
        LogicError,
        "too many threads",
        lambda m: m.kernel().prepared_async_call((1, 1), (64, 32, 1), m.stream, m.job()),
    ),
    "a block of numpy's": (
        TypeError,
        "tuple of int",
        lambda m: m.kernel().prepared_async_call((1, 1), (np.int32(1), 1, 1), m.stream, m.job()),
    ),
    "a job of another kernel": (
        LaunchError,
        "wrong size",
        lambda m: m.kernel("matte").prepared_async_call((1, 1), ONE, m.stream, m.job()),
    ),
    "a job that is not bytes": (
        TypeError,
        "bytes object",
        lambda m: m.kernel().prepared_async_call((1, 1), ONE, m.stream, struct(JOBS["look_up"])),
    ),
    "a kernel not prepared": (
        LogicError,
        "not been prepared",
        lambda m: (
            m.cuda.module_from_buffer(b"image")
            .get_function("look_up")
            .prepared_async_call((1, 1), ONE, m.stream, m.job())
        ),
    ),
    "a kernel there is not": (
        LogicError,
        "symbol not found",
        lambda m: m.cuda.module_from_buffer(b"image").get_function("missing"),
    ),
    "an empty image": (LogicError, "image is invalid", lambda m: m.cuda.module_from_buffer(b"")),
    "a second card": (LogicError, "device ordinal", lambda m: m.cuda.Device(1)),
    "anything where no context is current": (
        LogicError,
        "invalid device context",
        lambda m: (m.context.pop(), m.cuda.mem_alloc(4)),
    ),
    "anything after the context is gone": (
        LogicError,
        "context is destroyed",
        lambda m: (m.context.detach(), m.cuda.mem_alloc(4)),
    ),
    "a kernel that writes outside": (
        LaunchError,
        "written outside",
        lambda m: (
            m.kernel().prepared_async_call((9, 1), (8, 1, 1), m.stream, m.job(width=72, height=1)),
            m.stream.synchronize(),
        ),
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what: str, machine: Machine) -> None:
    """As the driver, or PyCUDA, refuses it; where they would only go wrong, louder."""
    kind, words, act = REFUSED[what]
    with pytest.raises(kind, match=words):
        act(machine)


def test_refused_on_another_thread(machine: Machine) -> None:
    """A context is current on the thread that pushed it, and on no other."""
    refused: list[Exception] = []

    def act() -> None:
        try:
            machine.cuda.mem_alloc(4)
        except LogicError as error:
            refused.append(error)

    thread = threading.Thread(target=act)
    thread.start()
    thread.join()
    assert "invalid device context" in str(refused[0])


def test_work_is_done_late_and_in_order(machine: Machine) -> None:
    """A copy reads its source when its turn comes, which is when somebody waits."""
    machine.host[:] = 1
    machine.cuda.memcpy_htod_async(machine.codes, machine.host, machine.stream)
    down = machine.cuda.pagelocked_empty(64, np.uint8)
    machine.cuda.memcpy_dtoh_async(down, machine.codes, machine.stream)
    machine.host[:] = 2
    assert (np.array(down) != 2).all()
    machine.stream.synchronize()
    assert (np.array(down) == 2).all()


def test_streams_wait_for_each_other_only_where_told(machine: Machine) -> None:
    """Work of another stream is not done before its own wait, unless an event says so."""
    other, down = machine.cuda.Stream(1), machine.cuda.pagelocked_empty(64, np.uint8)
    machine.host[:] = 7
    machine.cuda.memcpy_htod_async(machine.codes, machine.host, machine.stream)
    machine.cuda.memcpy_dtoh_async(down, machine.codes, other)
    other.synchronize()
    assert (np.array(down) != 7).all()
    other.wait_for_event(machine.cuda.Event().record(machine.stream))
    machine.cuda.memcpy_dtoh_async(down, machine.codes, other)
    other.synchronize()
    assert (np.array(down) == 7).all()


def test_an_event_comes_late_and_alone(machine: Machine) -> None:
    """Not when it is asked for first, nor while the card does not answer; what was queued after it waits."""
    down, after = (machine.cuda.pagelocked_empty(64, np.uint8) for _ in range(2))
    machine.host[:] = 7
    machine.cuda.memcpy_htod_async(machine.codes, machine.host, machine.stream)
    machine.cuda.memcpy_dtoh_async(down, machine.codes, machine.stream)
    event = machine.cuda.Event(machine.cuda.event_flags.DISABLE_TIMING).record(machine.stream)
    machine.cuda.memcpy_dtoh_async(after, machine.codes, machine.stream)
    machine.card.answers.clear()
    assert not any(event.query() for _ in range(3))
    assert (np.array(down) != 7).all()
    machine.card.answers.set()
    assert event.query()
    assert (np.array(down) == 7).all()
    assert (np.array(after) != 7).all()
    event.record(machine.stream)
    assert not event.query()
    assert event.query()
    assert (np.array(after) == 7).all()


def test_freed_memory_is_garbage(machine: Machine) -> None:
    """So is new memory: neither is ever zero by luck."""
    fresh = np.array(machine.codes.bytes)
    machine.codes.free()
    assert (fresh != 0).all()
    assert (machine.codes.bytes != fresh).all()


def test_threads_run_either_way(machine: Machine) -> None:
    """Every thread runs once, whichever comes first."""
    table = np.arange(255, -1, -1).astype(np.uint8)
    for backwards in (False, True):
        source, to = np.arange(60, dtype=np.uint8), np.zeros(60, np.uint8)
        fields = {"source": source.ctypes.data, "to": to.ctypes.data, "table": table.ctypes.data}
        job = struct(JOBS["look_up"], **fields, width=10, height=6, linesize=10, across=1, down=1).tobytes()
        library().launch("look_up", (2, 2, 1), (8, 4, 1), job, backwards=backwards)
        assert (to == 255 - source).all()


MISALIGNED = """
import numpy as np
from streamseg.gpu.jobs import JOBS, struct
from tests.emulator.library import library
memory = np.zeros(64, np.uint8)
place = memory.ctypes.data - memory.ctypes.data % 16 + 17
fields = dict(codes=place, between=place, to=place, kernel=place, width=1, height=1)
library().launch("gauss_across", (1, 1, 1), (1, 1, 1), struct(JOBS["gauss_across"], **fields).tobytes())
"""


def test_a_number_at_an_odd_address_ends_the_process() -> None:
    """A card stops there; this processor would read on."""
    library()
    done = subprocess.run([sys.executable, "-c", MISALIGNED], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "misaligned address" in done.stderr
