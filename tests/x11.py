"""X displays for tests: Xvfb, where that is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest


class Xvfb:
    """A virtual X display, on a number the server itself finds free."""

    def __init__(self, size: str = "320x240") -> None:
        reading, writing = os.pipe()
        screen = "-screen", "0", f"{size}x24"
        command = ["Xvfb", "-displayfd", str(writing), *screen, "-nolisten", "tcp", "-noreset"]
        self._server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
        os.close(writing)
        with os.fdopen(reading) as numbers:
            self.display = f":{numbers.readline().strip()}"

    def stop(self) -> None:
        """End it; a second time does nothing."""
        self._server.terminate()
        self._server.wait()


@contextmanager
def virtual_screen(size: str) -> Iterator[str]:
    """A virtual screen of its own: DISPLAY's value."""
    server = Xvfb(size)
    try:
        yield server.display
    finally:
        server.stop()


@pytest.fixture(scope="module")
def xvfb() -> Iterator[Callable[[], Xvfb]]:
    """Starts displays."""
    if shutil.which("Xvfb") is None:
        pytest.skip("needs the program Xvfb")
    started = []

    def start() -> Xvfb:
        started.append(Xvfb())
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="module")
def display(xvfb: Callable[[], Xvfb]) -> str:
    """The name of a display."""
    return xvfb().display
