"""The documentation is right: every command and every Python example in it runs."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest

from tests.clips import make_clip

PROJECT = Path(__file__).resolve().parent.parent
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
NEEDS_MORE = ("deeplab-voc", "ffplay", "run_stream.py 0 ", "mynet.onnx")
"""Commands that want weights from elsewhere, another program or a camera."""


def commands() -> list[str]:
    """Every indented command line of the documentation that starts streamseg."""
    found = []
    for page in PAGES:
        for line in page.read_text(encoding="utf-8").splitlines():
            command = line.strip()
            if line.startswith("    ") and re.match(r"(\./run_stream\.py|streamseg) ", command):
                found.append(command)
    return sorted(set(found))


def examples() -> list[str]:
    """Every Python block of the documentation."""
    return [
        block
        for page in PAGES
        for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    ]


@pytest.fixture
def material(tmp_path: Path) -> Path:
    """A folder with the files the examples name."""
    make_clip(tmp_path / "talk.mp4", frames=5, audio="aac")
    portrait = PROJECT / "streamseg" / "sources" / "portrait.jpg"
    (tmp_path / "photos").mkdir()
    for copy in ("beach.jpg", "photos/a.jpg", "photos/b.jpg"):
        shutil.copy(portrait, tmp_path / copy)
    return tmp_path


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a process in `folder`."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    return subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("command", [c for c in commands() if not any(word in c for word in NEEDS_MORE)])
def test_every_documented_command_runs(material: Path, command: str) -> None:
    """A command copied from the documentation ends with exit code 0 and writes what it names."""
    words = shlex.split(command, comments=True)
    if words[1] == "build" and find_spec("tensorrt_rtx") is None:
        pytest.skip("needs TensorRT-RTX: pip install tensorrt-rtx")
    program = [str(PROJECT / "run_stream.py")] if words[0] == "./run_stream.py" else ["-m", "streamseg"]
    done = run([sys.executable, *program, *words[1:]], material)
    assert done.returncode == 0, done.stderr
    for option, value in pairwise(words):
        if option == "-o" and value != "-" and "%" not in value:
            assert (material / value).exists()


def test_a_camera_that_is_not_there_is_said_in_one_line(material: Path) -> None:
    """The camera command of the first screen ends in one line, not in a traceback, where there is none."""
    if Path("/dev/video0").exists():
        pytest.skip("there is a camera here")
    done = run([sys.executable, str(PROJECT / "run_stream.py"), "0", "-o", "null:"], material)
    assert done.returncode == 1
    assert done.stderr.startswith("error: cannot open camera '0'")
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("number", range(len(examples())))
def test_every_python_example_runs(material: Path, number: int) -> None:
    """An example copied from the documentation runs as it stands."""
    done = run([sys.executable, "-c", examples()[number]], material)
    assert done.returncode == 0, done.stderr


def test_the_readme_opens_with_what_a_newcomer_needs() -> None:
    """The first screen: one sentence, a picture that exists, the two commands, five tasks."""
    first = (PROJECT / "README.md").read_text(encoding="utf-8").splitlines()[:25]
    text = "\n".join(first)
    assert "make demo" in text and "make test" in text
    assert text.count("./run_stream.py") == 5
    picture = re.search(r"!\[.*?\]\((.*?)\)", text)
    assert picture and (PROJECT / picture.group(1)).exists()


def test_no_link_in_the_documentation_is_dead() -> None:
    """Every relative link names a file that exists."""
    for page in [*PAGES, PROJECT / "CONTRIBUTING.md", PROJECT / "engines" / "README.md"]:
        for target in re.findall(r"\]\(([^)#]+?)\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"
