"""The programs that are compared. Each runs once over the clip and returns what it cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from streamseg.compositors import open_compositor
from streamseg.effects import effect
from streamseg.models import find_model
from streamseg.pipeline import run
from streamseg.report import Report
from streamseg.runtimes import load_runtime
from streamseg.segmenter import Segmenter
from streamseg.sinks import open_sink
from streamseg.sinks.base import Encoding
from streamseg.sources import open_source

PRESET = "veryfast"
CRF = 20


@dataclass(frozen=True, slots=True)
class Cost:
    """One run of one program."""

    frames: int
    wall: float
    """Seconds."""
    cpu: float
    """Seconds of processor time, all threads."""
    report: Report | None = None

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.frames / self.wall

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of processor time a frame."""
        return 1000 * self.cpu / max(self.frames, 1)


@contextmanager
def clock() -> Iterator[Callable[[int], Cost]]:
    """Time a block; call the result with the number of frames when it is done."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield lambda frames: Cost(frames, time.perf_counter() - wall, time.process_time() - cpu)


def decode(clip: str) -> Cost:
    """Decode the clip and throw the frames away."""
    with clock() as cost, av.open(clip) as container:
        container.streams.video[0].thread_type = "AUTO"
        return cost(sum(1 for _ in container.decode(video=0)))


def transcode(clip: str, folder: Path) -> Cost:
    """Decode and encode the clip with PyAV alone: the encoder settings of `streamed`, nothing in between."""
    frames = 0
    with clock() as cost, av.open(clip) as source, av.open(str(folder / "plain.mp4"), "w") as sink:
        video = source.streams.video[0]
        video.thread_type = "AUTO"
        stream = sink.add_stream(
            "libx264", rate=video.average_rate, options={"preset": PRESET, "crf": str(CRF)}
        )
        stream.width, stream.height, stream.pix_fmt = video.width, video.height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(video.time_base or 1)
        for frame in source.decode(video=0):
            sink.mux(stream.encode(frame))
            frames += 1
        sink.mux(stream.encode(None))
        return cost(frames)


def streamed(clip: str, sink: str, *, name: str, background: str | None, model: str, runtime: str) -> Cost:
    """Run the clip through streamseg."""
    recipe = effect(name, background=background)
    encoding = Encoding(crf=CRF, preset=PRESET) if sink.endswith(".mp4") else Encoding()
    with (
        clock() as cost,
        open_source(clip) as source,
        Segmenter(find_model(model), runtime=runtime) as segmenter,
        open_compositor(recipe, classes=segmenter.classes, foreground=segmenter.named) as compositor,
    ):
        report = run(source, segmenter, compositor, [open_sink(sink, encoding=encoding, overwrite=True)])
        spent = cost(report.frames_out)
    return Cost(spent.frames, spent.wall, spent.cpu, report)


def usual_script(clip: str, folder: Path, *, model: str) -> Cost:
    """What people write first: OpenCV capture, the same network, a numpy blend, OpenCV's writer, which
    in the wheels is a plain MPEG-4 encoder, cheaper than x264. Kept as the baseline."""
    card = find_model(model)
    runtime = load_runtime(card)
    width, height = card.input.width, card.input.height
    frames = 0
    with clock() as cost:
        capture = cv2.VideoCapture(clip)
        size = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        writer = cv2.VideoWriter(
            str(folder / "script.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), capture.get(cv2.CAP_PROP_FPS), size
        )
        background = np.full((size[1], size[0], 3), 255, np.uint8)
        while True:
            ok, picture = capture.read()
            if not ok:
                break
            small = cv2.cvtColor(cv2.resize(picture, (width, height)), cv2.COLOR_BGR2RGB)
            tensor = (small.astype(np.float32) / 255).transpose(2, 0, 1)[None]
            scores = runtime({card.input.name: tensor})[card.output.name]
            alpha = cv2.resize(np.asarray(scores, np.float32).reshape(height, width), size)[..., None]
            writer.write((picture * alpha + background * (1 - alpha)).astype(np.uint8))
            frames += 1
        writer.release()
        capture.release()
        spent = cost(frames)
    runtime.close()
    return spent
