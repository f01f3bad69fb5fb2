"""Decoding a picture that anybody may have made, in a process of its own with limits: what crashes a decoder,
or keeps it busy, does no harm to the run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from tempfile import TemporaryFile
from typing import IO

from streamseg.errors import SinkError, UsageError, reason

LARGEST = 40_000_000
"""Pixels a picture may have."""

SIDE = 3840
"""Pixels of the longer side that are kept."""

_SECONDS = 10
_LOOK = 0.1
"""Seconds between looks at whether to give up."""
_MEMORY = 1024**3

_QUALITY = 95

_COMMAND = (sys.executable, "-m", "streamseg.web.decoding")


def is_picture(content: bytes) -> bool:
    """Whether it begins as JPEG, PNG or WebP do; no other decoder gets to see it."""
    return content.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")) or (
        content[:4] == b"RIFF" and content[8:12] == b"WEBP"
    )


def decoded(content: bytes, stopping: Callable[[], bool] = lambda: False) -> bytes:
    """Return a JPEG of a JPEG, PNG or WebP, upright, at most SIDE wide and high.

    Raises UsageError, also when `stopping` says to give up; SinkError where the disk is full.
    """
    if not is_picture(content):
        raise UsageError("it is no JPEG, PNG or WebP picture")
    with TemporaryFile() as given:  # communicate() fills no pipe any more once it has timed out
        try:
            given.write(content)
            given.seek(0)
        except OSError as error:
            raise SinkError(f"there is no room to decode it: {reason(error)}") from error
        jpeg = _answer(given, stopping)
    if not jpeg:
        raise UsageError(f"it cannot be decoded; it may be damaged, or have more than {LARGEST:,} pixels")
    return jpeg


def _answer(given: IO[bytes], stopping: Callable[[], bool]) -> bytes:
    """What the process makes of a file; nothing where it cannot."""
    end = time.monotonic() + _SECONDS
    with subprocess.Popen(
        _COMMAND,
        stdin=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        start_new_session=True,  # Ctrl-C is the run's
    ) as process:
        try:
            while not stopping() and time.monotonic() < end:
                with suppress(subprocess.TimeoutExpired):
                    jpeg, _ = process.communicate(timeout=_LOOK)
                    return b"" if process.returncode else jpeg
        finally:
            process.kill()
    raise UsageError(f"decoding it took longer than {_SECONDS} s, or the run has ended")


def main() -> int:
    """Decode the picture on standard input, and write a JPEG to standard output."""
    os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(LARGEST)  # read when OpenCV is loaded
    import cv2
    import numpy as np

    _limit()
    content = np.frombuffer(sys.stdin.buffer.read(), np.uint8)
    try:
        pixels = cv2.imdecode(content, cv2.IMREAD_COLOR)
        if pixels is None:
            return 1
        scale = SIDE / max(pixels.shape[:2])
        if scale < 1:
            height, width = (max(1, round(side * scale)) for side in pixels.shape[:2])
            pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
        _, code = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    except (cv2.error, MemoryError):
        return 1
    sys.stdout.buffer.write(code.tobytes())
    return 0


def _limit() -> None:
    """Bound memory and time, and forbid to write files, where the system can (not on Windows)."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        for kind, most in (
            (resource.RLIMIT_DATA, _MEMORY),
            (resource.RLIMIT_CPU, _SECONDS),
            (resource.RLIMIT_FSIZE, 0),
            (resource.RLIMIT_CORE, 0),
        ):
            resource.setrlimit(kind, (most, most))


if __name__ == "__main__":
    sys.exit(main())
