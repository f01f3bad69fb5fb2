"""`-o web:PORT` as users run it, and as one of several outputs."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import pytest

import streamseg
from streamseg.control import Control
from streamseg.errors import SinkError
from streamseg.frame import Tracks, VideoFormat
from streamseg.sinks import Sink, open_sink
from streamseg.sinks.display import Display, Pixels
from tests.commandline import FAST, PROJECT, process
from tests.doubles import ListSink, ListSource
from tests.paneling import MOVING, Panel, parts


@contextmanager
def started(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A run in a process of its own, and the line that tells where its panel is."""
    with process("run", MOVING, "--live", *FAST, *arguments) as run:
        assert run.stderr is not None
        try:
            yield run, run.stderr.readline().decode().strip()
        finally:
            run.kill()


def test_the_run_says_where_its_page_is_and_ctrl_c_ends_it() -> None:
    """One line at start; a viewer who still watches, and one who reads nothing, hold up no ending."""
    with started("-o", "web:0") as (run, told):
        assert told.startswith("panel: http://127.0.0.1:")
        panel = Panel(int(told.rpartition(":")[2].strip("/")))
        with panel.stream("/preview.mjpg") as watched, panel.stream("/preview.mjpg"):
            next(parts(watched))
            run.send_signal(signal.SIGINT)
            _, said = run.communicate(timeout=20)
    assert run.returncode == 130
    assert [line.partition(":")[0] for line in said.decode().splitlines() if line] == [
        "stopping",
        "stopped early",
    ]


@pytest.mark.parametrize(("uri", "quiet"), [("web:0.0.0.0:0", False), ("web:0.0.0.0:0", True)])
def test_the_token_is_told_once(uri: str, quiet: bool) -> None:
    """Where a token is needed it is part of the address, also of a quiet run: nobody could come otherwise."""
    with started("-o", uri, *(["--quiet"] if quiet else [])) as (run, told):
        address, _, token = told.partition("?token=")
        panel = Panel(int(address.rpartition(":")[2].strip("/")))
        assert panel.ask("GET", "/api/state").status == 401
        assert panel.ask("GET", "/api/state", headers={"Authorization": f"Bearer {token}"}).status == 200
        run.send_signal(signal.SIGTERM)
        _, said = run.communicate(timeout=20)
        assert token not in said.decode()


def test_a_quiet_run_says_nothing(clip: Path) -> None:
    """On this machine alone not even where its page is."""
    with process("run", clip, *FAST, "-o", "web:0", "--quiet") as run:
        out, said = run.communicate(timeout=60)
    assert (run.returncode, out, said) == (0, b"", b"")


def test_it_goes_with_other_outputs(clip: Path, tmp_path: Path) -> None:
    """A file beside it holds every frame, and the report names both."""
    out = tmp_path / "out.mp4"
    with process("run", clip, *FAST, "-o", "web:0", "-o", out, "--report", tmp_path / "report.json") as run:
        _, said = run.communicate(timeout=60)
    assert run.returncode == 0, said
    report = (tmp_path / "report.json").read_text()
    assert '"frames_out": 15' in report and '"web:0"' in report


def test_a_port_that_is_taken_meanwhile_ends_that_output_only() -> None:
    """Checked before anything is opened; lost after that, the other outputs go on and the failure is told."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        other.close()
        sink = open_sink(f"web:{port}")
        kept = ListSink()
        with socket.create_server(("127.0.0.1", port)):
            report = ran([sink, kept])
            assert len(kept.frames) == 10
            assert f"port {port}" in report.sinks_failed[0]
            with pytest.raises(SinkError, match=f"port {port}"):
                ran([sink])


def ran(sinks: list[Sink]) -> streamseg.Report:
    """Run ten frames into sinks."""
    with (
        streamseg.Segmenter("selfie", runtime="null") as segmenter,
        streamseg.open_compositor(streamseg.effect("silhouette")) as compositor,
    ):
        return streamseg.run(ListSource(), segmenter, compositor, sinks)


def test_every_sink_is_ready_before_the_first_frame_and_has_the_strings_of_the_run() -> None:
    """What it is given can be pulled at once: the run's own control, ready for changes."""
    began: list[Control] = []

    class Beginner(ListSink):
        def ready(self, video: VideoFormat, control: Control | None = None) -> None:
            """Look, and change something."""
            assert not self.frames and control is not None
            began.append(control)
            control.change({"invert": True})

    sinks: list[Sink] = [Beginner(), Beginner()]
    ran(sinks)
    assert began[0] is began[1] and began[0].settings.invert


def test_frames_are_encoded_once_for_all_viewers_and_not_by_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the panel's own thread, each frame once, and none while nobody watches."""
    threads: list[str] = []

    def shown(display: Display, picture: av.VideoFrame, size: tuple[int, int]) -> Pixels:
        threads.append(threading.current_thread().name)
        return original(display, picture, size)

    original = Display.__call__
    monkeypatch.setattr(Display, "__call__", shown)
    frames = list(ListSource(range(0, 400, 40)))
    sink = open_sink("web:0")
    sink.start(VideoFormat(64, 48, Fraction(1, 1000)), frames[0], Tracks())
    try:
        panel = Panel(int(str(sink.url).rpartition(":")[2].strip("/")))
        for frame in frames[:5]:
            sink.write(frame)
        assert panel.ask("GET", "/api/state").json["picture"] == {"width": 64, "height": 48}
        assert threads == []
        with panel.stream("/preview.mjpg") as one, panel.stream("/preview.mjpg") as other:
            viewers = parts(one), parts(other)
            seen = [next(viewer) for viewer in viewers]
            for frame in frames[5:]:
                sink.write(frame)
                for index, viewer in enumerate(viewers):
                    while (picture := next(viewer)) == seen[index]:
                        pass
                    seen[index] = picture
    finally:
        sink.close()
    assert threads == ["streamseg-web"] * 6


@pytest.mark.parametrize("package", ["aiohttp", "aiortc"])
def test_without_its_packages_it_says_how_to_get_them(package: str) -> None:
    """No aiohttp: one line with the pip command. No aiortc: the panel goes without WebRTC."""
    program = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from streamseg.errors import SinkError\n"
        "from streamseg.sinks import open_sink\n"
        "try: sink = open_sink('web:0')\n"
        "except SinkError as error: sys.exit(print(error))\n"
        "from streamseg.web.webrtc import available\n"
        "print(available())"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    if package == "aiohttp":
        assert "cannot serve 'web:0': 'aiohttp' is not installed; install it: " in found.stdout
        assert f"{PROJECT}[web]" in found.stdout
    else:
        assert found.stdout.strip() == "False"
