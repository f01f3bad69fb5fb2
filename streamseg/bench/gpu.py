"""How fast the GPU path is: pictures from memory, through network and compositor, to nowhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

from streamseg.bench.cases import Cost, clock
from streamseg.bench.suite import Result, Row, machine
from streamseg.compositors import open_compositor
from streamseg.effects import effect
from streamseg.errors import UsageError
from streamseg.frame import Frame
from streamseg.gpu import driver
from streamseg.handoff import Stages
from streamseg.models import find_model
from streamseg.plans import package
from streamseg.runtimes.tensorrt import TensorrtRuntime
from streamseg.runtimes.upgrade import missing
from streamseg.segmenter import Segmenter
from streamseg.sources import open_source
from streamseg.stats import Quantiles

_PICTURES = 30
"""Different ones, taken in turn; at 1080p they take 93 MB."""
_QUEUED = 100
"""Runs of the bare engine that are waited for together: no card is waited for as long as all may take."""
_FULL, _SMALL = (1920, 1080), (1280, 720)
_RATE = 30
"""Frames a second of a stream."""


def measure_gpu(
    *,
    model: str = "selfie",
    frames: int = 3000,
    size: tuple[int, int] = _FULL,
    say: Callable[[str], None] = lambda _: None,
) -> Result:
    """Measure what the GPU path is held to, with the silhouette effect; a plan is built first without one.

    `size`: (W, H) of what is not said to be 720p. Raises UsageError where something is missing for it, and
    other StreamsegErrors.
    """
    if lack := missing():
        raise UsageError(f"bench --gpu {lack}")
    say(f"{model}: the bare engine")
    bare = _bare(model, frames)
    large, small = _pictures(size), _pictures(_SMALL)
    say(f"{model}: from picture to finished picture, one after the other")
    latency = _latency(model, large, frames)
    say(f"{model}: network and compositor side by side")
    whole = _whole(model, large, frames)
    streams = _whole(model, small, frames).fps / _RATE
    rows = [
        Row(f"{model}: whole pipeline / bare engine", whole.fps / bare, "", "≥ 0.80"),
        Row(f"{model}: picture to finished picture, p99", latency, "ms", "≤ 3"),
        Row(f"{model}: without codecs", whole.fps, "frames/s", "≥ 1500"),
        Row(f"{model}: 720p streams at {_RATE} frames/s", streams, "", "≥ 100"),
        Row(f"{model}: processor time a frame", whole.cpu_ms, "ms", "≤ 0.3"),
    ]
    clip = f"demo:{size[0]}x{size[1]}, {frames} frames from memory"
    return Result(machine={**machine(), **_gpu()}, clip=clip, rounds=1, medians={}, stages={}, rows=rows)


def _gpu() -> dict[str, str]:
    gpu = driver.probe().gpu
    found = package.installed(gpu)
    assert gpu is not None
    return {"gpu": gpu.name, "driver": f"CUDA {gpu.driver[0]}.{gpu.driver[1]}", found.name: found.version}


def _bare(model: str, frames: int) -> float:
    """Runs a second of the network alone, queued one behind the other."""
    runtime = TensorrtRuntime(find_model(model))
    engine = runtime.engine

    def run(count: int) -> None:
        for _ in range(count):
            engine.run(engine.slot)
        engine.slot.wait()

    try:
        start = time.perf_counter()
        for begin in range(0, frames, _QUEUED):
            count = min(_QUEUED, frames - begin)
            runtime.device.run(partial(run, count), within=runtime.device.LOADING)
        return frames / (time.perf_counter() - start)
    finally:
        runtime.close()


def _pictures(size: tuple[int, int]) -> list[Frame]:
    width, height = size
    with open_source(f"demo:{width}x{height}@{_RATE},{_PICTURES / _RATE}s") as source:
        return list(source)


def _repeated(pictures: list[Frame], count: int) -> Iterator[Frame]:
    for number in range(count):
        yield pictures[number % len(pictures)]


def _latency(model: str, pictures: list[Frame], count: int) -> float | None:
    """Milliseconds that 99 of 100 frames take at most, while no other is under way."""
    times, recipe = Quantiles(), effect("silhouette")
    with Segmenter(model, runtime="tensorrt") as segmenter, open_compositor(recipe) as compositor:
        compositor(pictures[0], segmenter(pictures[0]))
        for frame in _repeated(pictures, count):
            start = time.perf_counter()
            compositor(frame, segmenter(frame))
            times.add(time.perf_counter() - start)
    return times.milliseconds(0.99)


def _whole(model: str, pictures: list[Frame], count: int) -> Cost:
    """What frames cost when network and compositor each have a thread, as in a run."""
    recipe = effect("silhouette")
    with Segmenter(model, runtime="tensorrt") as segmenter, open_compositor(recipe) as compositor:
        compositor(pictures[0], segmenter(pictures[0]))
        frames = _repeated(pictures, count)
        with clock() as cost, Stages() as stages:
            pairs = stages.prefetch(((frame, segmenter(frame)) for frame in frames), name="engine")
            finished = stages.prefetch((compositor(*pair) for pair in pairs), name="effect")
            return cost(sum(1 for _ in finished))
