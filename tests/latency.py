"""How late a live picture is where it arrives: `python -m tests.latency CLIP [--sink web] [options]`

The clip plays as a live source of 30 frames a second; each frame has the moment of its capture burnt into it,
and whoever receives the picture reads it back: a client of the page's MJPEG stream (`--sink web`), or a
consumer in the same process (`reader`). Not run by pytest; docs/live.md has what it found.
"""

from __future__ import annotations

import argparse
import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from urllib.parse import urlsplit

import av
import cv2
import numpy as np

import streamseg
from streamseg.frame import Frame, VideoFormat
from streamseg.pictures import planes
from streamseg.report import Report
from streamseg.sinks.base import Sink
from streamseg.sources.base import Source
from streamseg.sources.timing import wait_until
from tests.clockface import age, burn, read
from tests.paneling import parts

RATE = 30
PLACE = 0.5, 0.75
"""Where the clock is, as shares of width and height: on the chest of who looks into a camera."""


class ClockSource(Source):
    """Plays a clip's pictures again and again as a camera would, each with the moment of its capture."""

    def __init__(self, clip: Path, size: tuple[int, int], seconds: float) -> None:
        super().__init__(str(clip), live=True, duration=seconds)
        with av.open(str(clip)) as container:
            decoded = [frame for frame, _ in zip(container.decode(video=0), range(60), strict=False)]
        self._pictures = [
            picture.reformat(width=size[0], height=size[1], format="yuv420p") for picture in decoded
        ]
        self.video = VideoFormat(*size, Fraction(1, 1_000_000), Fraction(RATE))
        self.place = int(PLACE[0] * size[0]), int(PLACE[1] * size[1])

    def __iter__(self) -> Iterator[Frame]:
        zero, index = time.monotonic(), 0
        while index < RATE * float(self.duration or 0):
            due = zero + index / RATE
            if not wait_until(due, lambda: self.interrupted):
                return
            picture = self._pictures[index % len(self._pictures)]
            picture = av.VideoFrame.from_ndarray(picture.to_ndarray(), "yuv420p")
            captured = time.monotonic()
            burn(planes(picture)[0], captured, self.place)
            picture.pts, picture.time_base = round((captured - zero) * 1e6), Fraction(1, 1_000_000)
            yield Frame(picture, captured)
            index = max(index + 1, int((time.monotonic() - zero) * RATE))

    def close(self) -> None:
        """Nothing to close."""


class Readers:
    """What receivers read: how old each picture was."""

    def __init__(self, place: tuple[int, int]) -> None:
        self.ages: list[float] = []
        self.unreadable = 0
        self._place = place

    def __call__(self, luma: np.ndarray, scale: float = 1.0) -> None:
        """Read one picture, now."""
        now = time.monotonic()
        place = int(self._place[0] * scale), int(self._place[1] * scale)
        then = read(luma, place, 8 * scale)
        if then is None:
            self.unreadable += 1
        else:
            self.ages.append(age(now, then))

    def told(self) -> str:
        """Percentiles of the ages, in ms."""
        if not self.ages:
            return f"nothing could be read ({self.unreadable} pictures)"
        quantiles = np.quantile(self.ages, [0.5, 0.95, 0.99, 1.0]) * 1000
        return " / ".join(f"{value:.1f}" for value in quantiles) + f" ms, {self.unreadable} unreadable"


class ReadingSink(Sink):
    """A consumer in the same process that reads each picture as it comes."""

    kind = "a reader"

    def __init__(self, readers: Readers) -> None:
        self.uri, self.notes, self._readers = "reader:", [], readers

    def start(self, *_: object) -> None:
        """Nothing to start."""

    def write(self, frame: Frame) -> None:
        """Read the clock."""
        self._readers(frame.picture.to_ndarray(format="gray"))

    def close(self) -> None:
        """Nothing to close."""


def measured(source: ClockSource, sinks: list[Sink], settings: streamseg.Settings) -> Report:
    """Run the source through the default network."""
    control = streamseg.Control(settings)
    with (
        streamseg.Segmenter(settings.model) as segmenter,
        streamseg.open_compositor(settings.recipe(), classes=segmenter.classes) as compositor,
    ):
        try:
            return streamseg.run(source, segmenter, compositor, sinks, control=control)
        finally:
            control.close()


def watch(url: str, readers: Readers, stopping: threading.Event, height: int) -> None:
    """Read the page's MJPEG stream as a browser does: JPEG by JPEG, each decoded."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=10)
    connection.request("GET", f"/preview.mjpg?{address.query}")
    for jpeg in parts(connection.getresponse()):
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
        readers(picture, picture.shape[0] / height)
        if stopping.is_set():
            break
    connection.close()


def main() -> None:
    """Print a row for the run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--sink", default="reader", help="reader or web")
    parser.add_argument("--effect", default="replace")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--size", default="1280x720")
    asked = parser.parse_args()
    width, height = map(int, asked.size.split("x"))
    source = ClockSource(asked.clip, (width, height), asked.seconds)
    readers, stopping = Readers(source.place), threading.Event()
    viewer = None
    if asked.sink == "web":
        sink = streamseg.open_sink("web:8765")
        viewer = threading.Thread(target=watching, args=("http://127.0.0.1:8765/", readers, stopping, height))
        viewer.start()
    else:
        sink = ReadingSink(readers)
    report = measured(source, [sink], streamseg.Settings(effect=asked.effect))
    stopping.set()
    if viewer is not None:
        viewer.join()
    latency = " / ".join(f"{report.latency_ms[name]:.1f}" for name in ("p50", "p95", "p99", "max"))
    shown = f"{report.frames_out} of {report.frames_in} shown"
    print(f"{asked.sink}, {asked.effect}, {asked.size} at {RATE}: {shown}")
    print(f"shown a second     {report.fps:.2f}")
    print(f"capture to sink    {latency} ms (p50 / p95 / p99 / max)")
    print(f"read back          {readers.told()}")


def watching(url: str, readers: Readers, stopping: threading.Event, height: int) -> None:
    """Watch as soon as somebody answers."""
    while not stopping.is_set():
        with suppress(OSError, http.client.HTTPException):
            return watch(url, readers, stopping, height)
        time.sleep(0.1)
    return None


if __name__ == "__main__":
    main()
