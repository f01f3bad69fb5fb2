"""Which runs are made, in which order, and what is concluded from them."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from statistics import median

from streamseg.bench.cases import PRESET, Cost, decode, streamed, transcode, usual_script
from streamseg.errors import UsageError
from streamseg.sources import open_source

_WRITTEN = ("silhouette", "replace", "blur")
"""Effects whose memory is measured."""


@dataclass(frozen=True, slots=True)
class Row:
    """One conclusion: what was compared, what came out, what was wanted."""

    what: str
    value: float | None
    unit: str
    target: str

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None where there is none, or no value."""
        if self.value is None or not self.target:
            return None
        bound = float(self.target.split()[1])
        return self.value >= bound if self.target.startswith("≥") else self.value <= bound


@dataclass(frozen=True, slots=True)
class Result:
    """Everything one `streamseg bench` found."""

    machine: dict[str, str]
    clip: str
    rounds: int
    medians: dict[str, dict[str, float]]
    """Per program: fps and cpu_ms (processor time a frame), medians over the rounds."""
    stages: dict[str, dict[str, float | None]]
    rows: list[Row]


def measure(
    clip: str,
    *,
    rounds: int = 3,
    model: str = "selfie",
    seconds: int = 10,
    soak: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Result:
    """Run every program `rounds` times over `clip`, interleaved, then the single figures.

    `seconds`: length of the 1080p runs. `soak` adds ten minutes of 1080p for the memory row. `say` is told
    what is running. Raises StreamsegError.
    """
    with open_source(clip) as source:
        if not source.paths or source.stills:
            raise UsageError(f"cannot measure with {clip!r}: it is no video file; name one, best of 720p")
    with tempfile.TemporaryDirectory(prefix="streamseg-bench-") as name:
        folder = Path(name)
        programs = _programs(clip, folder, model)
        costs: dict[str, list[Cost]] = {program: [] for program in programs}
        for index in range(rounds):
            for program, act in programs.items():
                say(f"round {index + 1} of {rounds}: {program}")
                costs[program].append(act())
        rows = _ratios(costs)
        say("1080p without network and codecs")
        rows.append(_bare_rate(seconds))
        rows += _process_figures(clip, folder, model, seconds, soak=soak, say=say)
    silhouette = max((cost for cost in costs["silhouette"]), key=lambda cost: cost.fps)
    return Result(
        machine=machine(),
        clip=clip,
        rounds=rounds,
        medians={
            program: {"fps": median(c.fps for c in runs), "cpu_ms": median(c.cpu_ms for c in runs)}
            for program, runs in costs.items()
        },
        stages=silhouette.report.stage_ms if silhouette.report else {},
        rows=rows,
    )


def _programs(clip: str, folder: Path, model: str) -> dict[str, Callable[[], Cost]]:
    background = _background(folder / "background.png")
    through = partial(streamed, clip, model=model, runtime="auto")
    own = partial(streamed, clip, "null:", model=model, runtime="null")
    return {
        "plain transcode": partial(transcode, clip, folder),
        "silhouette": partial(through, str(folder / "silhouette.mp4"), name="silhouette", background=None),
        "replace": partial(through, str(folder / "replace.mp4"), name="replace", background=background),
        "blur": partial(through, str(folder / "blur.mp4"), name="blur", background=None),
        "usual script": partial(usual_script, clip, folder, model=model),
        "decode only": partial(decode, clip),
        "silhouette, own work": partial(own, name="silhouette", background=None),
        "replace, own work": partial(own, name="replace", background=background),
        "blur, own work": partial(own, name="blur", background=None),
    }


def _background(path: Path) -> str:
    """Write a picture to put behind people; return its path."""
    import cv2
    import numpy as np

    ramp = np.tile(np.linspace(0, 255, 1280, dtype=np.uint8), (720, 1))
    cv2.imwrite(str(path), np.stack([ramp, ramp // 2, 255 - ramp], axis=-1))
    return str(path)


def _ratios(costs: dict[str, list[Cost]]) -> list[Row]:
    def ratio(over: str, under: str) -> float:
        return median(a.fps / b.fps for a, b in zip(costs[over], costs[under], strict=True))

    def own(program: str) -> float:
        return median(
            a.cpu_ms - b.cpu_ms
            for a, b in zip(costs[f"{program}, own work"], costs["decode only"], strict=True)
        )

    return [
        Row("silhouette / plain transcode", ratio("silhouette", "plain transcode"), "", "≥ 0.75"),
        Row("replace / plain transcode", ratio("replace", "plain transcode"), "", "≥ 0.70"),
        Row("blur / plain transcode", ratio("blur", "plain transcode"), "", "≥ 0.70"),
        Row("silhouette / usual script", ratio("silhouette", "usual script"), "", "≥ 2.0"),
        Row("own CPU time a frame, silhouette", own("silhouette"), "ms", "≤ 3.0"),
        Row("own CPU time a frame, replace", own("replace"), "ms", "≤ 3.0"),
        Row("own CPU time a frame, blur", own("blur"), "ms", "≤ 3.0"),
    ]


def _bare_rate(seconds: int) -> Row:
    spent = [
        streamed(
            f"test:1920x1080@60,{seconds}s",
            "null:",
            name="silhouette",
            background=None,
            model="selfie",
            runtime="null",
        )
        for _ in range(3)
    ]
    rates = [cost.report.fps for cost in spent if cost.report]
    return Row("1080p test: to null:, null runtime", median(rates), "frames/s", "≥ 250")


def _process_figures(
    clip: str, folder: Path, model: str, seconds: int, *, soak: bool, say: Callable[[str], None]
) -> list[Row]:
    say("from process start to the first frame out")
    first = median(_first_frame(clip, folder, model) for _ in range(3))
    say(f"memory, {seconds} s of 1080p")
    drawn = f"demo:1920x1080@30,{seconds}s"
    recorded = str(folder / "recorded.mp4")
    short = _peak_memory(drawn, recorded, model, "spotlight")
    file = max(_peak_memory(recorded, str(folder / "memory.mp4"), model, name) for name in _WRITTEN)
    rows = [
        Row("process start to first frame out", first, "s", "≤ 1.5"),
        Row(f"peak memory, {seconds} s of a 1080p file", file, "MB", "≤ 400"),
    ]
    if soak:
        say("memory, 10 minutes of 1080p")
        long = _peak_memory("demo:1920x1080@30,600s", str(folder / "memory.mp4"), model, "spotlight")
        rows.append(Row("peak memory, 10 min of 1080p", long, "MB", "≤ 400"))
        rows.append(Row(f"the same / {seconds} s of 1080p", long / short, "", "≤ 1.05"))
    return rows


def _process(*arguments: str) -> None:
    command = [sys.executable, "-m", "streamseg", "run", *arguments, "--quiet", "-y"]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def _first_frame(clip: str, folder: Path, model: str) -> float:
    """Seconds a whole process takes for one frame: an upper bound of the time to the first frame out."""
    start = time.perf_counter()
    _process(clip, "-o", str(folder / "first%05d.jpg"), "--model", model, "--duration", "0.001")
    return time.perf_counter() - start


def _peak_memory(source: str, target: str, model: str, name: str) -> float:
    """MB a process takes at most while it writes `source` with an effect to `target`."""
    report = f"{target}.json"
    settings = ("--preset", PRESET, "--model", model, "--effect", name, "--report", report)
    _process(source, "-o", target, *settings)
    return float(json.loads(Path(report).read_text())["peak_rss_mb"])


def machine() -> dict[str, str]:
    """What a figure depends on."""
    import av
    import cv2
    import numpy as np
    import onnxruntime

    return {
        "date": date.today().isoformat(),
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "system": platform.platform(),
        "python": platform.python_version(),
        "av": av.__version__,
        "opencv": cv2.__version__,
        "onnxruntime": onnxruntime.__version__,
        "numpy": np.__version__,
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
