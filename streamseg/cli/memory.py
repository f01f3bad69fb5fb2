"""What the C library does with the memory of pictures."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc's malloc.h."""

_PICTURE = 1 << 20
"""Bytes; a plane of 720p has nearly as many."""


def give_pictures_back() -> None:
    """Have every freed picture go back to the system at once, but nothing smaller. Elsewhere: nothing.

    Left alone, glibc raises the size up to which it keeps freed memory to 32 MB once it has seen that much
    freed, and long runs at 1080p then hold 40 to 60 MB more in holes between pictures. Fresh memory costs
    time, though: pictures made for every frame come out of a Pool, and smaller things stay in the heap.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_MMAP_THRESHOLD, _PICTURE)
            mallopt(_TRIM_THRESHOLD, 32 * _PICTURE)
