"""Composites with PyCUDA itself, on the driver of libcuda.cpp; libraries stay loaded, so in its own process.

Prints JSON: for each run what came of it. tests/test_gpu_pycuda.py starts it.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from types import SimpleNamespace

import numpy as np

from streamseg import plans
from streamseg.compositors import open_compositor
from streamseg.effects import EFFECTS, Recipe, effect
from streamseg.errors import RuntimeFailure
from streamseg.frame import Matte
from streamseg.gpu import module
from streamseg.models import find_model
from streamseg.plans import package
from tests.card_runs import differences, run_network
from tests.compositing import frame_of, furthest, noise
from tests.emulator import tensorrt
from tests.emulator.tensorrt import Machine
from tests.test_compositors_cuda import ANIMALS, shown, soft

PICTURES = [noise(61, 43, "yuv420p", seed) for seed in range(2)]
LABELS = np.random.default_rng(0).integers(0, 4, (43, 61)).astype(np.uint8)
CLIP = "demo:320x180@10,0.3s"
MATTES = [Matte(soft(seed), LABELS) for seed in range(2)]

_C = ctypes.CDLL(None)


@dataclass
class Run:
    """Two frames of an effect."""

    effect: str
    refused: str = ""
    """The first call that was."""
    apart: list[float] = field(default_factory=list)
    """Of the frames that came out, how far from the CPU's, in codes; of a whole run, how many samples are."""
    failures: list[str] = field(default_factory=list)
    left: str = ""
    """What was not given back."""
    said: str = ""
    """On standard error."""


class Handle:
    """That of any stream."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, int) and other > 0


class Memory:
    """What tensorrt.py needs of a card, where memory is the host's and work is done at once."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        now = SimpleNamespace(append=lambda work: work())
        self.streams = [SimpleNamespace(handle=Handle(), queue=now)]

    def call(self, name: str) -> None:
        """Note a call."""
        self.calls.append(name)

    def holding(self, address: int, size: int) -> SimpleNamespace:
        """So many bytes from an address on."""
        content = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))
        return SimpleNamespace(address=address, bytes=content)


def main() -> None:
    """Every effect; then, of some, each call refused in turn, and all calls from each on; whole runs."""
    os.environ["CUDA_LOST"] = "0"
    driver = ctypes.CDLL("libcuda.so.1")
    driver.left.restype = driver.first_refused.restype = ctypes.c_char_p
    driver.count_of_calls.restype = ctypes.c_size_t
    module.compiled = lambda capability, folder=None: b"image"
    runs = {"clean": [run(name, driver) for name in EFFECTS], "refused": [], "lost": []}
    for kind in ("refused", "lost"):
        _set("CUDA_LOST", int(kind == "lost"))
        for name in ("blur", "overlay", "cutout"):
            for number in range(_calls(name, driver)):
                _set("CUDA_FAILS_AT", driver.count_of_calls() + number)
                runs[kind].append(run(name, driver))
    _set("CUDA_FAILS_AT", -1)
    machine = Machine(Memory(), "fp16")  # type: ignore[arg-type]
    found = package.Package("tensorrt_rtx", "1.7.1", tensorrt.module(machine.card))
    package.installed, plans.ensure, plans.kept = lambda _gpu: found, machine.ensure, machine.kept
    runs["whole"] = [whole(name, driver) for name in ("mask", "blur", "trail")]
    print(json.dumps({kind: [asdict(each) for each in made] for kind, made in runs.items()}))


def run(name: str, driver: ctypes.CDLL) -> Run:
    """Composite two frames."""
    made, recipe, before = Run(name), effect(name), driver.left()
    with _heard(made):
        _composited(recipe, made)
    made.refused = driver.first_refused().decode()
    made.left = driver.left().decode() if driver.left() != before else ""
    return made


def whole(name: str, driver: ctypes.CDLL) -> Run:
    """Run the demo through a network and an effect, on the card and on the processor."""
    made, card, recipe, before = Run(name), find_model("selfie"), effect(name), driver.left()
    wanted, _ = run_network(CLIP, card, recipe, runtime="onnxruntime")
    with _heard(made):
        frames, report = run_network(CLIP, card, recipe, runtime="tensorrt")
    made.failures = [*report.failures, *([] if report.runtime == "tensorrt" else [report.runtime])]
    made.apart = [float((differences(*pair) > 2).mean()) for pair in zip(frames, wanted, strict=True)]
    made.left = driver.left().decode() if driver.left() != before else ""
    return made


def _composited(recipe: Recipe, made: Run) -> None:
    with open_compositor(recipe, classes=ANIMALS, device="cpu") as cpu:
        wanted = [cpu(frame_of(*pair), matte).picture for pair, matte in _frames()]
    try:
        with open_compositor(recipe, classes=ANIMALS, device="cuda") as cuda:
            for (pair, matte), other in zip(_frames(), wanted, strict=True):
                try:
                    made.apart.append(furthest(shown(cuda(frame_of(*pair), matte).picture), shown(other)))
                except RuntimeFailure as error:
                    made.failures.append(str(error))
    except RuntimeFailure as error:
        made.failures.append(str(error))


def _frames() -> Iterator[tuple[tuple[object, int], Matte]]:
    for index, (picture, matte) in enumerate(zip(PICTURES, MATTES, strict=True)):
        yield (picture, index), matte


def _calls(name: str, driver: ctypes.CDLL) -> int:
    """How many there are if none is refused."""
    _set("CUDA_FAILS_AT", -1)
    before = driver.count_of_calls()
    run(name, driver)
    return int(driver.count_of_calls() - before)


def _set(name: str, value: int) -> None:
    """Python's own environment is a copy."""
    _C.setenv(name.encode(), str(value).encode(), 1)


@contextmanager
def _heard(made: Run) -> Iterator[None]:
    """Keep what is written to standard error, by C++ too."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            made.said = file.read().decode(errors="replace")


if __name__ == "__main__":
    sys.setdlopenflags(os.RTLD_LAZY)  # of the driver's calls the emulated one has those that are made
    main()
