"""The orientation a camera wrote into a still."""

from __future__ import annotations

import struct

_ORIENTATION = 0x0112
_MARKS = (b"Exif\0\0", b"eXIf", b"EXIF")
"""What stands before the TIFF structure in JPEG, PNG and WebP files; in WebP four bytes of length follow."""


def orientation(content: bytes) -> int:
    """Return the EXIF orientation (1..8; 1 is upright) of a picture file; 1 where there is none."""
    for start in _starts(content):
        try:
            found = _tag(content[start : start + (1 << 16)])
        except struct.error:
            continue
        if found is not None:
            return found if 1 <= found <= 8 else 1
    return 1


def _starts(content: bytes) -> list[int]:
    if content[:4] in (b"II*\0", b"MM\0*"):
        return [0]
    starts = []
    for mark in _MARKS:
        at = content.find(mark)
        if at >= 0:
            starts += [at + len(mark), at + len(mark) + 4]
    return starts


def _tag(tiff: bytes) -> int | None:
    """Look it up in the first directory of a TIFF structure; raises struct.error where that ends early."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return None
    (directory,) = struct.unpack_from(order + "I", tiff, 4)
    (entries,) = struct.unpack_from(order + "H", tiff, directory)
    for entry in range(entries):
        tag, _, _, value = struct.unpack_from(order + "HHIH", tiff, directory + 2 + 12 * entry)
        if tag == _ORIENTATION:
            return int(value)
    return None
