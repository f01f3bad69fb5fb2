"""Builds the kernels ahead of time, for who packages streamseg: `python -m streamseg.gpu.fatbin` needs nvcc.

Users need neither nvcc nor this: without a build, NVRTC compiles the kernels on first use.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from streamseg.errors import RuntimeFailure, StreamsegError, UsageError
from streamseg.gpu.module import FLAGS, SOURCE, fatbin

ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)
"""Turing to Blackwell. PTX of the oldest is put in too: the driver compiles it for cards not listed."""

_WARNINGS = ("-Werror", "all-warnings", "-Xptxas", "-v,-warn-spills,-warn-lmem-usage")


def build(path: Path, architectures: Sequence[int] = ARCHITECTURES) -> str:
    """Write a fatbin of all kernels to `path`, atomically; return what nvcc says of registers and spills.

    Raises UsageError without nvcc, RuntimeFailure with its first complaint.
    """
    compiler = shutil.which("nvcc")
    if compiler is None:
        raise UsageError(
            "building the kernels ahead of time needs nvcc, found none on the PATH; install the CUDA toolkit"
        )
    oldest = min(architectures)
    targets = [f"-gencode=arch=compute_{each},code=sm_{each}" for each in architectures]
    targets.append(f"-gencode=arch=compute_{oldest},code=compute_{oldest}")
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / "kernels.fatbin"
        command = [compiler, "-fatbin", "--threads=0", *FLAGS, *_WARNINGS, *targets]  # as many as cores
        command += ["-o", str(made), str(SOURCE)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
            raise RuntimeFailure(f"nvcc cannot compile the kernels: {said[0]}")
        os.replace(made, path)  # noqa: PTH105
    return done.stdout + done.stderr


def worst(report: str) -> tuple[int, int]:
    """The most registers a kernel takes, and the most bytes of local memory: spills and stack."""
    registers = [int(found) for found in re.findall(r"Used (\d+) registers", report)]
    local = [int(found) for found in re.findall(r"(\d+) bytes (?:stack frame|spill)", report)]
    return max(registers, default=0), max(local, default=0)


def main() -> int:
    """Build into the package; older builds are removed."""
    path = fatbin()
    try:
        registers, local = worst(build(path))
    except StreamsegError as error:
        print(error, file=sys.stderr)
        return 1
    for other in path.parent.glob("kernels-*.fatbin"):
        if other != path:
            other.unlink()
    size = path.stat().st_size // 1000
    print(f"{path}: {size} kB, at most {registers} registers and {local} bytes of local memory")
    return 0


if __name__ == "__main__":
    sys.exit(main())
