"""What the tests of the panel share: a server alone, a run behind one, and asking them over HTTP."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

import streamseg
from streamseg.control import Control
from streamseg.handoff import Handoff, Job
from streamseg.settings import Settings
from streamseg.sinks.base import Destination
from streamseg.sinks.web import WebSink
from streamseg.sources import Source
from streamseg.web.address import parse_address
from streamseg.web.server import Server

MOVING = "test:320x240@30,600s"
"""A figure that walks for as long as a test may take."""


_NEXT = b"\r\n--picture\r\nContent-Type: image/jpeg\r\n\r\n"
"""What stands before each picture of an MJPEG stream."""


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """What went wrong: one line."""
        text: str = self.json["error"]
        assert "\n" not in text and "Traceback" not in text and "internal" not in text, text
        return text


@dataclass
class Panel:
    """A panel somewhere."""

    port: int
    token: str | None = None
    control: Control = None  # type: ignore[assignment]  # only runs have one
    sink: WebSink = None  # type: ignore[assignment]

    @property
    def url(self) -> str:
        """Its page."""
        return f"http://127.0.0.1:{self.port}/"

    def ask(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request as a program would: JSON, unless `body` is bytes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        sent = (
            {"Content-Type": "application/json"} if body is not None and not isinstance(body, bytes) else {}
        )
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request(method, path, content, {**sent, **(headers or {})})
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def change(self, **fields: object) -> Answer:
        """Ask for other settings."""
        return self.ask("PATCH", "/api/settings", fields)

    def picture(self) -> NDArray[np.uint8]:
        """(H, W, 3) RGB of what is shown now."""
        return rgb(self.ask("GET", "/preview.jpg").body)

    @contextmanager
    def stream(self, path: str) -> Iterator[http.client.HTTPResponse]:
        """Begin to read what has no end."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            with connection.getresponse() as response:
                assert response.status == 200
                yield response
        finally:
            connection.close()


def parts(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """The pictures of an MJPEG stream: each is whole once what stands before the next has come."""
    read = b""
    while True:
        while read.count(_NEXT) < 2:
            more = response.read1()
            if not more:
                return
            read += more
        _, picture, rest = read.split(_NEXT, 2)
        yield picture
        read = _NEXT + rest


def rgb(jpeg: bytes) -> NDArray[np.uint8]:
    """(H, W, 3) RGB of a JPEG."""
    decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded[..., ::-1]


def until(ready: Callable[[], Any], seconds: float = 20) -> Any:
    """Return the first answer that is true."""
    end = time.monotonic() + seconds
    while not (answer := ready()):
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.01)
    return answer


@contextmanager
def serving(uri: str = "web:0") -> Iterator[Panel]:
    """A panel without a run."""
    server = Server(parse_address(uri), None)
    try:
        yield Panel(server.address.port, server.token)
    finally:
        server.close()


@contextmanager
def running(
    source: str | Source = MOVING,
    *,
    runtime: str = "null",
    live: bool | None = True,
    shown: bool = True,
    **settings: object,
) -> Iterator[Panel]:
    """A run whose pictures go to a panel; with `shown` the first one is there."""
    wanted = Settings(**settings)  # type: ignore[arg-type]
    control = Control(wanted)
    sink = WebSink(Destination(uri="web:0"))
    said: Handoff[str] = Handoff()
    sink.say = said.put

    def work(_stopping: Callable[[], bool]) -> None:
        opened = streamseg.open_source(source, live=live) if isinstance(source, str) else source
        with (
            opened,
            streamseg.Segmenter(wanted.model, runtime=runtime, classes=wanted.classes) as segmenter,
            streamseg.open_compositor(wanted.recipe(), classes=segmenter.classes) as compositor,
        ):
            try:
                streamseg.run(opened, segmenter, compositor, [sink], control=control)
            finally:
                said.close()
                control.close()

    job = Job(work, name="test-run")
    try:
        port = int(said.get().rpartition(":")[2].strip("/"))
        panel = Panel(port, None, control, sink)
        if shown:
            until(lambda: panel.ask("GET", "/preview.jpg").status == 200)
        yield panel
    finally:
        control.stop()
        job.result()


def still(
    path: Path, *, size: tuple[int, int] = (64, 48), colour: tuple[int, int, int] = (255, 0, 0)
) -> Path:
    """Write a picture of one colour (R, G, B)."""
    pixels = np.empty((size[1], size[0], 3), np.uint8)
    pixels[:] = colour[::-1]
    assert cv2.imwrite(str(path), pixels)
    return path


BLACK, WHITE, RED, BLUE = [0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 0, 255]


def middle_and_corner(panel: Panel) -> tuple[list[int], list[int]]:
    """Colours of the figure and of what is behind it, in steps of 85."""
    seen = np.rint(panel.picture() / 85).astype(int) * 85
    return list(seen[120, 160]), list(seen[5, 5])


def shows(panel: Panel, middle: list[int], corner: list[int]) -> None:
    """Wait until these colours are seen."""
    until(lambda: middle_and_corner(panel) == (middle, corner))


def frames_out(panel: Panel) -> int:
    """Frames shown so far."""
    count = panel.control.figures()["frames_out"]
    assert isinstance(count, int)
    return count


def as_at_the_start(panel: Panel) -> Panel:
    """Return a panel, its run's settings as `running` began with."""
    panel.control.panic = panel.control.frozen = panel.control.paused = False
    panel.control.change(Settings().to_json())
    return panel
