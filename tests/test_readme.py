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
CAMERA = ("./run_stream.py 0 ", "streamseg run 0 ")
"""What begins commands that need a device."""

PLAYER = f"""#!{sys.executable}
import sys
import av
with av.open(sys.stdin.buffer) as video:
    assert sum(1 for _ in video.decode(video=0)) == 5
"""
"""A stand-in for ffplay."""


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
    for clip in ("talk.mp4", "loop.mp4"):
        make_clip(tmp_path / clip, frames=5, audio="aac")
    (tmp_path / "run_stream.py").symlink_to(PROJECT / "run_stream.py")
    (tmp_path / "ffplay").write_text(PLAYER)
    (tmp_path / "ffplay").chmod(0o755)
    shutil.copy(PROJECT / "engines" / "selfie.onnx", tmp_path / "mynet.onnx")
    portrait = PROJECT / "streamseg" / "sources" / "portrait.jpg"
    (tmp_path / "photos").mkdir()
    for copy in ("beach.jpg", "photos/a.jpg", "photos/b.jpg"):
        shutil.copy(portrait, tmp_path / copy)
    return tmp_path


def run(arguments: list[str], folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a process in `folder`, where a user has the environment active and models of their own."""
    path = os.pathsep.join([str(folder), str(Path(sys.executable).parent), os.environ["PATH"]])
    own = {"PYTHONPATH": str(PROJECT), "PATH": path, "XDG_DATA_HOME": str(folder / "data")}
    own["XDG_CONFIG_HOME"] = str(folder / "settings")
    environment = {**os.environ, **own, **more}
    return subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def typed(command: str, folder: Path, **more: str) -> None:
    """Type a command into a shell in `folder`; it must succeed and write what its -o name."""
    done = run(["bash", "-o", "pipefail", "-c", command], folder, **more)
    assert done.returncode == 0, done.stderr
    for option, name in pairwise(shlex.split(command, comments=True)):
        if option == "-o" and "%05d" in name:
            assert len(list(folder.glob(name.replace("%05d", "[0-9]" * 5)))) == 5
        elif option == "-o" and name != "-":
            assert (folder / name).exists()


@pytest.mark.parametrize("command", [command for command in commands() if not command.startswith(CAMERA)])
def test_every_documented_command_runs(material: Path, command: str, request: pytest.FixtureRequest) -> None:
    """A command copied from the documentation ends with exit code 0 and writes what it names."""
    if command.startswith("streamseg build") and find_spec("tensorrt_rtx") is None:
        pytest.skip("needs TensorRT-RTX: pip install tensorrt-rtx")
    more = {}
    if "deeplab-voc" in command:  # its weights come from where no test goes
        more["STREAMSEG_MODELS"] = str(request.getfixturevalue("data") / "models")
    typed(command, material, **more)


def alternatives() -> list[str]:
    """The commands of the README's comments: `also .webm, cut/%05d.png`, `or loop.mp4, or '#00b140'`."""
    found = []
    for command in commands():
        line, _, comment = command.partition("  # ")
        for option, said in ("-o", r"also (.*)"), ("--background", r"or (.*)"):
            others = re.search(said, comment)
            for other in re.split(r",(?: or)? ", others[1]) if others else []:
                value = "cut" + other if other.startswith(".") else other
                found.append(re.sub(rf"(?<={option} )\S+", value, line.strip()))
    return found


@pytest.mark.parametrize("command", alternatives())
def test_what_the_readme_adds_in_comments_runs(material: Path, command: str) -> None:
    """What a comment beside a command offers in place of its output or background works too."""
    typed(command, material)


def test_the_comments_of_the_readme_are_read() -> None:
    """The test above has something to run."""
    assert len(alternatives()) == 4


@pytest.mark.slow
@pytest.mark.parametrize("way", ["make", "plain pip"])
def test_a_newcomer_gets_going(tmp_path: Path, way: str) -> None:
    """From a copy of the project, both documented ways make an environment and the demo. Needs an index of
    packages."""
    unwanted = shutil.ignore_patterns(".*", "demo", "__pycache__")
    project = shutil.copytree(PROJECT, tmp_path / "streamseg", ignore=unwanted)
    lines = ["make demo"]
    if way == "plain pip":
        readme = (project / "README.md").read_text(encoding="utf-8")
        lines = re.findall(r"^    (python3 -m venv .*|\.venv/bin/.*)$", readme, re.MULTILINE)
        assert len(lines) == 3
        lines[2] += " --collect-only -q"  # the tests themselves run here already
    for line in lines:
        done = subprocess.run(["bash", "-c", line], cwd=project, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    assert len(list((project / "demo").glob("*.mp4"))) == 10
    assert (project / "demo" / "contact-sheet.png").exists()


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
