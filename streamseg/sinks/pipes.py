"""Writing to pipes whose reader may stall: it is waited for a moment at a time, so that the run can end.

FFmpeg would wait inside the system for as long as the reader likes. POSIX only: Windows cannot wait for a
pipe with a limit, there FFmpeg writes it.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import time
from collections.abc import Callable
from pathlib import Path

AT_ONCE = 1 << 16
"""Bytes written at once: what a pipe holds on Linux."""

_LOOK = 0.1
"""Seconds between looks at whether somebody opened a FIFO."""

_PATIENCE = 0.5
"""Seconds a reader may take nothing when the run shall stop: a slow one still gets its last frame whole."""


def writer_to(address: str, stopped: Callable[[], bool]) -> PipeWriter | None:
    """What writes to `address` (`pipe:1`, `file:PATH`), or None where that is no pipe; a FIFO waits for its
    reader. Raises OSError, BrokenPipeError if stopped before one came."""
    if address == "pipe:1":
        return PipeWriter(os.dup(1), stopped) if _is_pipe(1) else None
    path = Path(address.removeprefix("file:"))
    return PipeWriter(_joined(path, stopped), stopped) if path.is_fifo() else None


class PipeWriter:
    """What `av.open` writes to; `stopped` tells that the run shall end. Owns `descriptor`."""

    lost = False
    """Nobody reads any more; what is written from now on is dropped."""

    def __init__(self, descriptor: int, stopped: Callable[[], bool]) -> None:
        self._descriptor, self._stopped = descriptor, stopped
        # whoever started this program may share the pipe and with it this setting
        self._blocking = os.get_blocking(descriptor)
        os.set_blocking(descriptor, False)

    def write(self, content: bytes) -> int:
        """Write all of `content`. Raises nothing: PyAV would keep an error until some other call fails."""
        left = memoryview(content)
        while left and not self.lost:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:
                self._wait()
            except OSError:
                self.lost = True
        return len(content)

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        while not poll.poll(_PATIENCE * 1000):
            if self._stopped():
                self.lost = True
                return

    def close(self) -> None:
        """Leave the pipe as it was and close the descriptor; called once."""
        os.set_blocking(self._descriptor, self._blocking)
        os.close(self._descriptor)


def _is_pipe(descriptor: int) -> bool:
    mode = os.fstat(descriptor).st_mode
    return os.name == "posix" and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode))


def _joined(path: Path, stopped: Callable[[], bool]) -> int:
    while not stopped():
        try:
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:  # what a FIFO without a reader answers
                raise
        time.sleep(_LOOK)
    raise BrokenPipeError
