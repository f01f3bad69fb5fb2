"""What a panel and a virtual camera do while the network is still being loaded."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tests.browser import Browser, needs_browser
from tests.commandline import PROJECT
from tests.paneling import MOVING, Panel, still, until

SLOW = """
import os, sys, time
from streamseg.cli import main
from streamseg.cli.request import Request

opened = Request.open_segmenter

def slow(request, settings):
    while not os.path.exists(sys.argv[1]):
        time.sleep(0.01)
    if os.path.getsize(sys.argv[1]):
        raise MemoryError("no room")
    return opened(request, settings)

Request.open_segmenter = slow
main(sys.argv[2:])
"""
"""The program, with a network that is loaded once a file is there; not at all, if it holds something."""


class Loading(Panel):
    """A run that is still loading."""

    process: subprocess.Popen[bytes]
    go: Path
    folder: Path


@contextmanager
def loading(tmp_path: Path, *arguments: str) -> Iterator[Loading]:
    """Begin a run; it has told where its panel is."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    go = tmp_path / "go"
    given = ("run", MOVING, "--live", "--runtime", "null", "-o", "web:0", *arguments)
    with subprocess.Popen(
        (sys.executable, "-c", SLOW, str(go), *given),
        env={**os.environ, "PYTHONPATH": str(PROJECT), "TMPDIR": str(folder)},
        stderr=subprocess.PIPE,
    ) as process:
        try:
            assert process.stderr is not None
            told = process.stderr.readline().decode()
            panel = Loading(int(told.rpartition(":")[2].strip().strip("/")))
            panel.process, panel.go, panel.folder = process, go, folder
            yield panel
        finally:
            process.kill()


def test_the_panel_answers_at_once_and_says_what_it_waits_for(tmp_path: Path) -> None:
    """State, choices, uploads and switches work; settings, figures and pictures are not there yet."""
    with loading(tmp_path) as panel:
        state = panel.ask("GET", "/api/state").json
        assert (state["loading"], state["figures"], state["picture"]) == (True, None, None)
        assert state["settings"]["effect"] == "silhouette"
        assert panel.ask("GET", "/api/choices").json["effects"]
        for answer in (panel.change(invert=True), panel.ask("GET", "/api/figures")):
            assert (answer.status, "being loaded" in answer.error) == (503, True)
        content = still(tmp_path / "red.png").read_bytes()
        assert panel.ask("PUT", "/api/backgrounds/red.png", content).status == 201
        panel.go.touch()
        until(lambda: not panel.ask("GET", "/api/state").json["loading"])
        assert panel.change(effect="replace", background="red.png").status == 200


def test_panic_pressed_while_it_loads_holds_from_the_first_frame_on(tmp_path: Path) -> None:
    """Nothing but the background is ever seen, and whoever opens the page then sees that it is pressed."""
    with loading(tmp_path) as panel:
        assert panel.ask("POST", "/api/panic", {"on": True}).json["panic"]
        panel.go.touch()
        until(lambda: panel.ask("GET", "/preview.jpg").status == 200)
        assert np.ptp(panel.picture()) <= 8
        assert panel.ask("GET", "/api/state").json["panic"] is True


def test_ctrl_c_while_it_loads_ends_it(tmp_path: Path) -> None:
    """A network that takes for ever holds up nobody; uploads are deleted, no file is left."""
    with loading(tmp_path, "-o", str(tmp_path / "out.mp4")) as panel:
        content = still(tmp_path / "red.png").read_bytes()
        assert panel.ask("PUT", "/api/backgrounds/red.png", content).status == 201
        assert list(panel.folder.iterdir())
        panel.process.send_signal(signal.SIGINT)
        _, said = panel.process.communicate(timeout=20)
        assert panel.process.returncode == 130
        assert b"Traceback" not in said
        assert list(panel.folder.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["red.png", "temporary"]


def test_a_network_that_cannot_be_loaded_closes_what_was_open(tmp_path: Path) -> None:
    """The failure is told in one line; the page is gone with the run."""
    with loading(tmp_path) as panel:
        content = still(tmp_path / "red.png").read_bytes()
        assert panel.ask("PUT", "/api/backgrounds/red.png", content).status == 201
        panel.go.write_text("fail")
        _, said = panel.process.communicate(timeout=20)
        assert panel.process.returncode == 1
        assert said.decode().startswith("error: ") and len(said.splitlines()) == 1
        assert list(panel.folder.iterdir()) == []


@needs_browser
def test_the_page_says_that_it_loads(browser: Browser, tmp_path: Path) -> None:
    """It is there before any picture, with its controls; panic can be pressed, and stays pressed."""
    with loading(tmp_path) as panel:
        tab = browser.open(panel.url)
        tab.until("document.querySelector('#notice').textContent == 'the network is being loaded'")
        tab.until("document.querySelectorAll('#effects input').length == 10")
        tab.run("panic.click()")
        tab.until("panic.getAttribute('aria-pressed') == 'true'")
        panel.go.touch()
        tab.until("document.querySelector('#notice').textContent.startsWith('panic: ')")
        tab.call("Page.reload")
        tab.until("document.querySelector('#notice')?.textContent.startsWith('panic: ')")
        assert tab.run("panic.getAttribute('aria-pressed')") == "true"
        tab.close()
