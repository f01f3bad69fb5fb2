"""Fixtures every test may use, and the rule that no thread survives a test."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

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
