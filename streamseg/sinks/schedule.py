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

    SVT-AV1, where root runs it (every container), makes the thread that opens it and all its own realtime
    (SCHED_FIFO): they, and every process started later, come before everything else on the machine. Linux
    only; elsewhere nothing is done.
    """
    if not _THREADS.is_dir():
        yield
        return
    own, before = os.sched_getscheduler(0), _policies()
    try:
        yield
    finally:
        for thread, policy in _policies().items():
            wanted = before.get(thread, own)
            if policy != wanted:
                with suppress(OSError):  # the thread has ended
                    os.sched_setscheduler(thread, wanted, os.sched_param(os.sched_get_priority_min(wanted)))


def _policies() -> dict[int, int]:
    """Scheduling policies by thread."""
    policies = {}
    for thread in (int(entry.name) for entry in _THREADS.iterdir()):
        with suppress(OSError):
            policies[thread] = os.sched_getscheduler(thread)
    return policies
