"""The doctor's lines, on real faults where they can be made."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from streamseg import doctor
from streamseg.doctor import vcam
from streamseg.doctor.camera_list import camera_facts
from streamseg.sinks import loopback
from streamseg.sources.cameras import Camera
from streamseg.sources.v4l2 import Mode
from tests.cameras import fake_device
from tests.commandline import PROJECT, Cli
from tests.x11 import virtual_screen


def fact(what: str) -> doctor.Fact:
    """The fact about something."""
    return next(found for found in doctor.facts() if found.what == what)


def asked(*, cwd: Path = PROJECT, prelude: str = "", **environment: str) -> tuple[int, str]:
    """Exit code and output of the doctor in a process with another environment."""
    call = "sys.argv = ['streamseg', 'doctor']\nrunpy.run_module('streamseg', run_name='__main__')"
    program = f"import runpy, sys\n{prelude}\n{call}"
    settings = {**os.environ, "PYTHONPATH": str(cwd), **environment}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=cwd, env=settings, capture_output=True, check=False
    )
    assert done.stderr == b"", done.stderr
    return done.returncode, done.stdout.decode()


def test_here_everything_needed_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    """On a machine that passes these tests the doctor is content, and names what it looked at."""
    ended = Cli(capsys)("doctor")
    assert ended.code == 0
    said = ended.out
    subjects = (
        "Python",
        "FFmpeg",
        "encoders",
        "OpenCV",
        "ONNX Runtime",
        "cameras",
        "screen",
        "CUDA driver",
        "TensorRT",
    )
    assert all(
        subject in said
        for subject in (
            *subjects,
            "PyCUDA",
            "model selfie",
            "model selfie-landscape",
            "models folder",
            "cache",
        )
    )
    assert said.splitlines()[-1] == "all that is needed is here"
    assert "fix:" not in "".join(line for line in said.splitlines() if "✓" in line)


def test_no_screen_is_not_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without DISPLAY there is no window, and that is said, but files can be written all the same."""
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    found = doctor.screen()
    assert found.state == "not needed"
    assert "DISPLAY is not set" in found.found
    assert found.fix is not None and found.fix.startswith("export DISPLAY=:0 ")


def test_a_screen_nobody_shows_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A DISPLAY at which nothing answers is said to be none."""
    monkeypatch.setenv("DISPLAY", ":9876")
    monkeypatch.setattr(sys, "platform", "linux")
    found = doctor.screen()
    assert (found.state, found.found.split(",")[0]) == (
        "not needed",
        "none: nothing answers at DISPLAY=:9876",
    )


@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="needs Xvfb, a screen without a monitor")
def test_screen_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one, it is named."""
    with virtual_screen("64x48") as display:
        monkeypatch.setenv("DISPLAY", display)
        assert doctor.screen().found == f"DISPLAY={display}"


def copy_of_project(folder: Path) -> Path:
    """What runs of the project, in a folder where it may be damaged."""
    for part in ("streamseg", "engines"):
        shutil.copytree(PROJECT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "*.plan"))
    return folder


def test_damaged_weights_are_found(tmp_path: Path) -> None:
    """One flipped bit in the embedded weights is a fault, with the command that restores them."""
    project = copy_of_project(tmp_path)
    weights = project / "engines" / "selfie.onnx"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    code, said = asked(cwd=project)
    assert code == 1
    lines = said.splitlines()
    index = next(index for index, line in enumerate(lines) if "model selfie " in line)
    assert "sha256" in lines[index]
    assert "fix: " in lines[index + 1]
    assert said.splitlines()[-1] == "1 thing to fix"


def test_model_cards_of_the_user_are_looked_at(tmp_path: Path) -> None:
    """A broken card of the user's own is named, but is no reason to fail; a sound one is listed."""
    (tmp_path / "broken.toml").write_text("name = ")
    card = (PROJECT / "engines" / "selfie.toml").read_text().replace('"selfie"', '"other"')
    (tmp_path / "other.toml").write_text(card.replace("selfie.onnx", "other.onnx"))
    code, said = asked(STREAMSEG_MODELS=str(tmp_path))
    assert code == 0
    assert f"fix: {sys.executable} -m streamseg models show broken" in said
    assert "weights are yours to obtain" in next(line for line in said.splitlines() if "model other" in line)


def test_missing_weights_are_found(tmp_path: Path) -> None:
    """Without the weights of the default model nothing goes; those of other cards may be missing."""
    project = copy_of_project(tmp_path)
    (project / "engines" / "selfie.onnx").unlink()
    code, said = asked(cwd=project)
    assert code == 1
    assert "no weights 'selfie.onnx'" in said
    assert said.splitlines()[-1] == "1 thing to fix"


def test_no_models_is_found(tmp_path: Path) -> None:
    """A copy without its cards is told how to get them back."""
    project = copy_of_project(tmp_path)
    shutil.rmtree(project / "engines")
    code, said = asked(cwd=project)
    assert code == 1
    assert "models" in said
    assert "fix: " in said


def test_unwritable_cache_is_found(tmp_path: Path) -> None:
    """A cache folder that is a file is a fault, with what to do about it."""
    (tmp_path / "streamseg").write_text("no folder")
    code, said = asked(XDG_CACHE_HOME=str(tmp_path))
    assert code == 1
    assert "cannot be written" in said


@pytest.mark.parametrize(
    ("module", "what"), [("av", "FFmpeg"), ("cv2", "OpenCV"), ("onnxruntime", "ONNX Runtime")]
)
def test_package_that_does_not_load_is_found(module: str, what: str) -> None:
    """A required package that cannot be imported is a fault with a pip command, and the doctor goes on."""
    code, said = asked(prelude=f"sys.modules[{module!r}] = None")
    assert code == 1
    lines = said.splitlines()
    index = next(index for index, line in enumerate(lines) if what in line)
    assert "does not load" in lines[index]
    assert "fix: " in lines[index + 1]
    assert "pip install" in lines[index + 1]
    assert any("cache" in line for line in lines)


def test_packages_for_importing_are_looked_for() -> None:
    """Without one of the packages that read .tflite files nothing is broken, and how to get it is told."""
    code, said = asked(prelude="sys.modules['tflite'] = None")
    assert code == 0
    found, fix = said[said.index("TFLite networks") :].splitlines()[:2]
    assert "no package tflite" in found
    assert fix.strip() == f"fix: {sys.executable} -m pip install tflite"
    assert "read by onnx" in fact("TFLite networks").found


@pytest.mark.parametrize(
    ("package", "told", "extra"), [("aiohttp", "not served", "web"), ("aiortc", "by MJPEG", "webrtc")]
)
def test_packages_for_the_panel_are_looked_for(package: str, told: str, extra: str) -> None:
    """Without what serves the browser panel, or WebRTC, nothing is broken, and how to get it is told."""
    code, said = asked(prelude=f"sys.modules[{package!r}] = None")
    assert code == 0
    found, fix = said[said.index("browser panel") :].splitlines()[:2]
    assert told in found and package in found
    assert fix.strip().startswith("fix: ") and f"[{extra}]" in fix


def test_missing_encoder_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoder this FFmpeg lacks is named, with what it is for."""
    monkeypatch.setitem(doctor.ENCODERS, "libnothing", "nothing")
    found = fact("encoders")
    assert found.state == "bad"
    assert found.found == "missing libnothing (nothing)"


def test_old_python_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python older than we support is a fault."""
    monkeypatch.setattr(doctor, "OLDEST_PYTHON", (99, 0))
    assert doctor.python().state == "bad"


def plug(monkeypatch: pytest.MonkeyPatch, *cameras: Camera) -> None:
    """Have the system list these cameras."""
    monkeypatch.setattr("streamseg.sources.cameras.list_cameras", lambda: list(cameras))


def test_cameras_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cameras are listed; one that may not be opened is told with the command that helps."""
    front = Camera(number=0, uri="/dev/null", name="Front")
    plug(monkeypatch, front)
    assert doctor.cameras().found == "/dev/null (Front)"
    monkeypatch.setattr("streamseg.sources.cameras.os.access", lambda path, mode: False)
    locked = doctor.cameras()
    assert locked.found == "no permission for /dev/null (Front)"
    assert locked.fix is not None
    assert "usermod" in locked.fix


def test_cameras_are_listed_with_what_they_can(monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    """`--cameras` names each camera, its links, and for each pixel format its sizes and rates."""
    front = Camera(number=0, uri="/dev/null", name="Front", links=("usb-front",))
    plug(monkeypatch, front, Camera(number=1, uri="camera:1"))
    rates = Fraction(30), Fraction(15, 2)
    offered = [
        Mode("YUYV", (640, 480), rates),
        Mode("YUYV", (320, 240), ()),
        Mode("MJPG", (1280, 720), rates),
    ]
    monkeypatch.setattr("streamseg.sources.v4l2.modes", lambda path: offered)
    ended = cli("doctor", "--cameras")
    assert ended.code == 0
    words = [" ".join(line.split()) for line in ended.out.splitlines()]
    assert words == [
        "✓ /dev/null Front, /dev/v4l/by-id/usb-front",
        "✓ YUYV 640x480 30 7.5, 320x240",
        "✓ MJPG 1280x720 30 7.5",
        "✓ camera:1 no name",
    ]


def test_cameras_that_cannot_be_used_are_told(monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    """`--cameras` fails where there is none or none may be opened, with what helps."""
    plug(monkeypatch)
    ended = cli("doctor", "--cameras")
    assert ended.code == 1
    assert "fix: plug one in; in a container, hand it over: docker run --device" in ended.out
    plug(monkeypatch, Camera(number=0, uri="/dev/null", name="Front"))
    monkeypatch.setattr("streamseg.sources.cameras.os.access", lambda path, mode: False)
    ended = cli("doctor", "--cameras")
    assert ended.code == 1
    assert "Front: no permission" in ended.out
    assert "fix: sudo usermod -aG video " in ended.out


def test_a_camera_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a camera can may be unknown: it is gone by then, or names need a package."""
    plug(monkeypatch, Camera(number=9, uri="/dev/video9876", name="Front"), Camera(number=1, uri="camera:1"))
    monkeypatch.setattr("streamseg.doctor.camera_list.sys.platform", "win32")
    named, formats, other = camera_facts()
    assert (named.found, formats.found) == ("Front", "cannot be asked: no such file or directory")
    assert other.found.startswith("its name is known after ")
    assert "pip install" in other.found
    monkeypatch.setitem(sys.modules, "streamseg.sources.cameras", None)
    (broken,) = camera_facts()
    assert broken.state == "bad"


def test_opencv_without_windows_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The headless OpenCV does everything but windows: told, with the command that changes it."""
    monkeypatch.setattr("cv2.getBuildInformation", lambda: "  GUI:                           NONE\n")
    found = fact("windows")
    assert found.state == "not needed"
    assert found.fix is not None
    assert "opencv-python-headless" in found.fix


def test_elsewhere_the_desktop_is_the_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS and Windows have no DISPLAY to look for."""
    monkeypatch.setattr(sys, "platform", "darwin")
    assert doctor.screen().state == "good"


def test_plain_terminals_get_plain_marks() -> None:
    """Where the terminal cannot print a tick, words do."""
    code, said = asked(PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert code == 0
    assert said.startswith("ok  Python")


def test_a_virtual_camera_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package, a device or permission: what is missing and the command; else the devices."""
    monkeypatch.setattr(loopback, "SYSTEM", tmp_path)
    monkeypatch.setattr(sys, "platform", "linux")
    missing = fact("virtual camera")
    assert missing.state == "not needed"
    assert missing.fix is not None
    assert "modprobe v4l2loopback" in missing.fix
    fake_device(tmp_path, "video4", "studio")
    locked = fact("virtual camera")  # there is no /dev/video4
    assert locked.found == "no permission for /dev/video4 (studio)"
    assert locked.fix is not None
    monkeypatch.setattr(os, "access", lambda path, mode: True)
    assert fact("virtual camera").found.startswith("/dev/video4 (studio), pyvirtualcam 0.")
    monkeypatch.setattr(vcam, "find_spec", lambda name: None)
    assert "[vcam]" in str(fact("virtual camera").fix)
