"""Builds the kernels with g++ and runs them."""

from __future__ import annotations

import atexit
import ctypes
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
_KERNELS = _HERE.parent.parent / "streamseg" / "compositors"


class Library:
    """The kernels of one shared library."""

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))

    def __contains__(self, kernel: str) -> bool:
        return hasattr(self._library, f"launch_{kernel}")

    def job_size(self, kernel: str) -> int:
        """Bytes of the struct a kernel takes."""
        return int(getattr(self._library, f"size_{kernel}")())

    def launch(
        self,
        kernel: str,
        grid: tuple[int, ...],
        block: tuple[int, ...],
        job: bytes,
        *,
        backwards: bool = False,
    ) -> None:
        """Run every thread, in order or the other way round."""
        assert len(job) == self.job_size(kernel), (
            f"{kernel} takes {self.job_size(kernel)} bytes, not {len(job)}"
        )
        dimensions = ctypes.c_uint * 3
        run = getattr(self._library, f"launch_{kernel}")
        run(dimensions(*grid), dimensions(*block), job, int(backwards))


@cache
def library() -> Library:
    """Build the library, once; the test that asks is skipped where there is no g++."""
    folder = Path(tempfile.mkdtemp(prefix="streamseg-kernels-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Library(compiled("kernels.cpp", folder / "kernels.so"))


def compiled(source: str, made: Path, *flags: str) -> Path:
    """Build a library of a file of this folder and the kernels; skips where there is no g++."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("needs g++ to run the kernels on the CPU: apt-get install g++")
    # Without -ffp-contract=off the compiler may fuse sums as the card, told --fmad=false, does not.
    # A number at an odd address stops a card, but not this machine: here it ends the process.
    kept = [
        "-std=c++17",
        "-O2",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-Wno-unknown-pragmas",
        "-ffp-contract=off",
        "-fsanitize=alignment",
        "-fno-sanitize-recover=alignment",
    ]
    command = [compiler, *kept, *flags, "-shared", "-fPIC", f"-I{_KERNELS}", "-o", str(made)]
    done = subprocess.run(
        [*command, str(_HERE / source), "-ldl"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return made
