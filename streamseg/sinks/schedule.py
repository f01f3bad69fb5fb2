"""The schedule of this process's threads, where an encoder takes liberties with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_THREADS = Path("/proc/self/task")


@contextmanager
def schedule_kept() -> Iterator[None]:
    """Undo, on leaving, what was done to the scheduling of this process's threads; new ones get the caller's.

    SVT-AV1, where it may (root, unless that is forbidden), makes the thread that opens it and all its own
    realtime (SCHED_FIFO): they, and every process started later, come before everything else on the machine.
    Linux only; elsewhere nothing is done.
    """
    if not _THREADS.is_dir():
        yield
        return
    own, before = _schedule(0), _schedules()
    try:
        yield
    finally:
        for thread, schedule in _schedules().items():
            wanted = before.get(thread, own)
            if wanted is not None and schedule != wanted:
                with suppress(OSError):  # the thread has ended
                    os.sched_setscheduler(thread, wanted[0], os.sched_param(wanted[1]))


def _schedules() -> dict[int, tuple[int, int] | None]:
    """Policy and priority by thread."""
    return {int(entry.name): _schedule(int(entry.name)) for entry in _THREADS.iterdir()}


def _schedule(thread: int) -> tuple[int, int] | None:
    """Policy and priority; None where the thread has ended or the system does not tell. 0: the caller's."""
    with suppress(OSError):
        return os.sched_getscheduler(thread), os.sched_getparam(thread).sched_priority
    return None
