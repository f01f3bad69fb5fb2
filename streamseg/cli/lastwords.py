"""What is still done where a library ends the process: Qt does, by C's exit(), when its X server has gone."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def last_words(act: Callable[[], object]) -> Iterator[None]:
    """Call `act` where the process is ended by exit() inside the block, on the thread that does it; `act`
    should end the process itself. Only with GNU's C library: elsewhere nothing happens.

    Handlers are registered as a library's of its own are (Itanium C++ ABI, 3.3.6.3), since these alone can be
    taken back: one that came after Python had ended would crash.
    """
    if not _gnu():
        yield
        return
    system = ctypes.CDLL(None)
    register, finish = system["__cxa_atexit"], system["__cxa_finalize"]
    inside = True

    def called(_argument: int | None) -> None:
        if inside:
            act()

    callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(called)
    owner = ctypes.c_int()
    register(callback, None, ctypes.byref(owner))
    try:
        yield
    finally:
        inside = False
        finish(ctypes.byref(owner))


def _gnu() -> bool:
    """Whether the C library is GNU's; musl, for one, takes no handler back."""
    try:
        return bool(os.confstr("CS_GNU_LIBC_VERSION"))
    except (AttributeError, ValueError, OSError):
        return False
