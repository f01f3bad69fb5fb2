"""Fixtures every test may use, and the rule that no thread survives a test."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.browser import Browser, chromium
from tests.clips import make_clip
from tests.commandline import Cli
from tests.x11 import display, xvfb  # noqa: F401  (fixtures)

if TYPE_CHECKING:
    from tests.paneling import Panel

# How long an example takes says nothing on a machine that does something else too.
settings.register_profile("streamseg", deadline=None)
settings.load_profile("streamseg")

# In the background of a script, a process is told to ignore Ctrl-C, and so would be all that it starts.
with suppress(ValueError):
    signal.signal(signal.SIGINT, signal.default_int_handler)

_PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real clips and ground truth; it is not part of the project."""
    folder = Path(os.environ.get("STREAMSEG_DATA", _PROJECT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"needs the folder of real clips: set STREAMSEG_DATA (looked in {folder})")
    return folder


@pytest.fixture(autouse=True)
def no_thread_survives() -> Iterator[None]:
    """Every thread a test starts ends before the test does."""
    before = set(threading.enumerate())
    yield
    left = [
        thread
        for thread in threading.enumerate()
        if thread not in before and thread.name.startswith("streamseg")
    ]
    assert not left, f"threads left running: {left}"


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """The program, called in this process."""
    return Cli(capsys)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A short clip with sound."""
    make_clip(tmp_path / "in.mp4", frames=15, audio="aac")
    return tmp_path / "in.mp4"


@pytest.fixture
def models_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a user's own cards and weights, all other places of such being empty ones."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("STREAMSEG_MODELS", str(tmp_path / "models"))
    (tmp_path / "models" / "deeper").mkdir(parents=True)
    return tmp_path / "models"


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One Chromium for all."""
    with chromium(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="module")
def running_panel() -> Iterator[Panel]:
    """A run behind a panel, whose figure is a disc in the middle."""
    from tests.paneling import running

    with running() as panel:
        yield panel


@pytest.fixture
def panel(running_panel: Panel) -> Panel:
    """The same run, its settings as at the start."""
    from tests.paneling import as_at_the_start

    return as_at_the_start(running_panel)
