"""Building a plan in a process of its own.

While TensorRT builds, it holds Python up: another thread of the same process waited for up to 0.09 s (selfie)
and 0.27 s (RobustVideoMatting at 512x288; TensorRT-RTX 1.7.1, two busy cores). No camera forgives that. A
builder that crashes takes nothing along, either.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from streamseg import plans
from streamseg.errors import ModelError, StreamsegError, reason
from streamseg.models.card import ModelCard
from streamseg.plans.plan import PlanSpec

_LOOK = 0.1
"""Seconds between looks at whether to give up."""


def build(
    card: ModelCard,
    stopping: Callable[[], bool],
    *,
    spec: PlanSpec | None = None,
    anew: str = "",
    folder: Path | None = None,
) -> None:
    """Have a card's plan built, unless there is one; return when it is kept. Options: see plans.ensure.

    Raises ModelError: it cannot be built, or `stopping` said to give up; the process is then ended.
    """
    command = [sys.executable, "-m", "streamseg.plans.apart"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command,
        stdin=pipe,
        stdout=subprocess.DEVNULL,
        stderr=pipe,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        start_new_session=True,  # Ctrl-C ends the run, and the run ends the builder
    )
    order: bytes | None = pickle.dumps((card, spec, anew, folder, os.getpid()))
    told = b""
    try:
        while process.poll() is None:
            if stopping():
                raise ModelError("building the plan was stopped")
            with suppress(subprocess.TimeoutExpired):
                _, told = process.communicate(order, timeout=_LOOK)
            order = None
        told = told or process.communicate()[1]
        if process.returncode:
            raise ModelError(_last(told) or f"the builder ended with {process.returncode}")
    finally:
        process.kill()
        process.communicate()


def _last(told: bytes) -> str:
    lines = told.decode(errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "")


def main() -> int:
    """Build the plan of the card on standard input; what goes wrong is the last line of standard error."""
    with suppress(AttributeError, OSError):  # no such thing on Windows
        os.nice(10)  # the run goes first
    try:
        card, spec, anew, folder, parent = pickle.loads(sys.stdin.buffer.read())

        def watch(_phase: str, _share: float) -> None:
            if os.getppid() != parent:
                raise ModelError("the run this plan was for has ended")

        plans.ensure(card, spec, anew=anew, folder=folder, watch=watch)
    except StreamsegError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except Exception as error:  # one line, whatever TensorRT does
        sys.stderr.write(f"the builder failed: {reason(error)}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
