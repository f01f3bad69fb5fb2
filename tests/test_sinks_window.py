"""The window: on a real (virtual) screen, with real keys, in a process of its own as a user would run it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import av
import cv2
import mss
import numpy as np
import pytest

from streamseg.errors import SinkError, UsageError
from streamseg.sinks import open_sink
from streamseg.sinks.display import Display, checkerboard, framed, over, with_help
from tests.clips import read_frames
from tests.commandline import FAST, PROJECT, process
from tests.sinking import made_frames
from tests.viewer import VIEWER, viewer
from tests.x11 import virtual_screen

T = TypeVar("T")

needs_screen = pytest.mark.skipif(
    shutil.which("Xvfb") is None, reason="needs Xvfb, a screen without a monitor"
)
needs_keys = pytest.mark.skipif(shutil.which("xdotool") is None, reason="needs xdotool, which presses keys")


@pytest.fixture(scope="module")
def screen() -> Iterator[str]:
    """One monitor and no window manager."""
    with virtual_screen("1280x800") as display:
        yield display


@pytest.fixture(scope="module")
def two_monitors() -> Iterator[str]:
    """Two monitors of 800x600 side by side, and a window manager, which is who makes windows fill one."""
    for program, package in (("xrandr", "x11-xserver-utils"), ("openbox", "openbox"), ("xdotool", "xdotool")):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}: apt-get install {package}")
    with virtual_screen("1600x600") as display:
        environment = {**os.environ, "DISPLAY": display}
        for name, left, output in (("left", 0, "screen"), ("right", 800, "none")):
            place = f"800/200x600/150+{left}+0"
            subprocess.run(["xrandr", "--setmonitor", name, place, output], env=environment, check=True)
        manager = subprocess.Popen(["openbox"], env=environment, stderr=subprocess.DEVNULL)
        try:
            until(lambda: is_managed(environment))
            yield display
        finally:
            manager.terminate()
            manager.wait()


def is_managed(environment: dict[str, str]) -> bool:
    """Whether a window manager answers."""
    asked = ["xdotool", "get_num_desktops"]
    return subprocess.run(asked, env=environment, capture_output=True, check=False).returncode == 0


@needs_screen
@needs_keys
def test_keys_reach_their_handler_and_q_ends(screen: str) -> None:
    """Space, digits and letters are handed on, q ends; the display aspect is right, nothing is printed."""
    script = """
wait(window)
print(xdotool("getwindowgeometry", window()[0]).splitlines()[2].strip())
xdotool("windowfocus", "--sync", window()[0])
for key, character in ("space", " "), ("3", "3"), ("i", "i"), ("s", "s"):
    xdotool("key", key)
    wait(lambda: character in keys)
xdotool("key", "q")
try:
    wait(lambda: False)
except SinkClosed as error:
    print(error)
sink.close()
print(keys, window())
"""
    assert viewer(screen, script) == ["Geometry: 640x120", "the viewer quit", "[' ', '3', 'i', 's'] []"]


@needs_screen
@needs_keys
def test_the_close_button_ends(screen: str) -> None:
    """Closing the window by its button is an ordinary end; nothing more happens to it afterwards."""
    script = """
wait(window)
close_button(int(window()[0]))
try:
    wait(lambda: False)
except SinkClosed as error:
    print(error)
sink.idle()
sink.close()
"""
    assert viewer(screen, script) == ["the window was closed"]


@needs_screen
@needs_keys
def test_a_picture_stays_and_takes_other_effects(screen: str, tmp_path: Path) -> None:
    """A photo stays in the window: 9 shows it as a mask, s writes what is seen, q ends an ordinary run."""
    photo = PROJECT / "streamseg" / "sources" / "portrait.jpg"
    environment = {**os.environ, "DISPLAY": screen, "PYTHONPATH": str(PROJECT)}

    def press(key: str) -> None:
        subprocess.run(["xdotool", "key", key], env=environment, check=True)

    def corner() -> int:
        """Brightness, in a new snapshot, of where the null runtime sees nobody."""
        before = set(tmp_path.glob("streamseg*.png"))
        press("s")
        new = until(lambda: set(tmp_path.glob("streamseg*.png")) - before)
        return int(read_frames(new.pop())[0].to_ndarray(format="gray")[0, 0])

    with process("run", photo, *FAST, env=environment, cwd=tmp_path) as run, ending(run):
        search = ["xdotool", "search", "--sync", "--onlyvisible", "--name", "^streamseg$", "windowfocus"]
        subprocess.run(search, env=environment, check=True, timeout=30)
        assert corner() > 235
        press("9")
        until(lambda: seen(screen) < 20)  # not by pressing s: OpenCV keeps one of two keys at a time
        assert corner() < 20
        press("q")
        _, said = run.communicate(timeout=30)
    assert (run.returncode, said.decode().splitlines()[-1][:15]) == (0, "done: 1 picture")


def seen(screen: str) -> int:
    """Brightness of the screen near its corner."""
    with mss.MSS(display=screen) as eyes:
        return max(eyes.grab({"left": 5, "top": 5, "width": 1, "height": 1}).pixel(0, 0))


@contextmanager
def ending(run: subprocess.Popen[bytes]) -> Iterator[None]:
    """Kill a process that a failure left behind: its picture would stay for ever."""
    try:
        yield
    finally:
        run.kill()


def until(ready: Callable[[], T], seconds: float = 20) -> T:
    """Return the first answer that is true."""
    end = time.monotonic() + seconds
    while not (answer := ready()):
        assert time.monotonic() < end, "nothing happened in time"
    return answer


@needs_screen
def test_libraries_loaded_in_the_wrong_order_are_named(screen: str) -> None:
    """With PyAV before OpenCV Qt would hang for ever: one line says so instead."""
    ran = subprocess.run(
        [
            sys.executable,
            "-c",
            "import av\n" + VIEWER,
        ],
        env={**os.environ, "DISPLAY": screen},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    if ran.returncode == 0:
        pytest.skip("these builds of PyAV and OpenCV get along")
    assert ran.stderr.splitlines()[-1].endswith("import streamseg before av")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there always is a screen")
def test_without_a_screen_a_file_is_suggested(monkeypatch: pytest.MonkeyPatch) -> None:
    """No DISPLAY: one line, before any work is done."""
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(SinkError, match=r"no screen.*write a file: -o out.mp4"):
        open_sink("window")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there always is a screen")
@pytest.mark.parametrize("named", [{"DISPLAY": ":9876"}, {"WAYLAND_DISPLAY": "wayland-9876"}])
def test_a_screen_that_is_not_there_is_one_line(tmp_path: Path, named: dict[str, str]) -> None:
    """Where nothing answers at DISPLAY, or only Wayland is there, unknown to OpenCV's Qt, the program
    ends with one line, with and without -o window; Qt would end it with its own words and SIGABRT."""
    if "WAYLAND_DISPLAY" in named and not (Path(cv2.__file__).parent / "qt").is_dir():
        pytest.skip("this OpenCV draws its windows with another Qt")
    elsewhere = {key: value for key, value in os.environ.items() if not key.endswith("DISPLAY")}
    environment = elsewhere | {"PYTHONPATH": str(PROJECT)} | named
    for code, sinks in ((1, ["-o", "window"]), (2, [])):
        running = process("run", "test:64x48@30,1s", *sinks, *FAST, cwd=tmp_path, env=environment)
        said = running.communicate(timeout=60)[1].decode()
        assert (running.returncode, said.count("\n")) == (code, 1), said
        assert said.startswith("error: ") and "DISPLAY" in said and "-o out.mp4" in said


@needs_screen
def test_a_window_that_never_opened_is_closed_without_a_word(
    screen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Idle, close and abort before the first frame do nothing."""
    monkeypatch.setenv("DISPLAY", screen)
    sink = open_sink("window:")
    sink.idle()
    sink.close()
    sink.abort()


@needs_screen
@needs_keys
def test_h_shows_the_keys_on_the_screen_only(screen: str) -> None:
    """h darkens a corner and writes keys there; the frame stays as it is; h again ends it."""
    script = """
wait(window)
before = painted(4, 4)
frame = sink.shown.picture.to_ndarray().copy()
press("h")
wait(lambda: sum(at(4, 4)) < sum(before) / 2)
press("h")
wait(lambda: near(at(4, 4), before))
print((sink.shown.picture.to_ndarray() == frame).all(), keys)
sink.close()
"""
    assert viewer(screen, script) == ["True []"]


@needs_screen
def test_a_note_is_shown_for_a_moment(screen: str) -> None:
    """A line of text appears at the lower right while no frame comes, and goes by itself."""
    script = """
from streamseg.sinks import window as module
module.NOTE_SECONDS = 2
wait(window)
before = painted(636, 116)
sink.tell("feather 2")
wait(lambda: sum(at(636, 116)) < sum(before) / 2)
wait(lambda: near(at(636, 116), before))
print("seen")
sink.close()
"""
    assert viewer(screen, script) == ["seen"]


@needs_screen
@needs_keys
def test_f_fills_the_monitor_the_window_is_on(two_monitors: str) -> None:
    """`window:2` opens on the second monitor; f fills that one, the picture in its middle at its aspect with
    black around it, and f again makes a window of it. q still ends."""
    script = """
def place():
    return xdotool("getwindowgeometry", window()[0]).split()[3:8:4]
wait(window)
wait(lambda: place()[1] == "640x120")
left = int(place()[0].split(",")[0])
print(800 < left < 1600 - 640)
press("f")
wait(lambda: place() == ["800,0", "800x600"])
wait(lambda: at(1200, 100) == (0, 0, 0) == at(1200, 500) and min(*at(810, 300), *at(1590, 300)) > 0)
print("drawn")
press("f")
wait(lambda: place()[1] == "640x120")
press("q")
try:
    wait(lambda: False)
except SinkClosed as error:
    print(error)
sink.close()
"""
    assert viewer(two_monitors, script, "window:2") == ["True", "drawn", "the viewer quit"]


@needs_screen
def test_a_monitor_that_is_not_there_is_told(two_monitors: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`window:3` of two: before any work is done, in one line."""
    monkeypatch.setenv("DISPLAY", two_monitors)
    with pytest.raises(SinkError, match=r"there is no monitor 3; the last is window:2"):
        open_sink("window:3")
    with pytest.raises(UsageError, match=r"cannot understand 'window:left'; write window or"):
        open_sink("window:left")


@needs_screen
@needs_keys
def test_a_window_is_drawn_at_the_size_it_has(screen: str) -> None:
    """Made larger while no frame comes, it is drawn again: the picture at its aspect, black around."""
    script = """
wait(window)
xdotool("windowsize", "--sync", window()[0], "640", "400")
wait(lambda: at(320, 10) == (0, 0, 0) == at(320, 390) and min(*at(320, 200), *at(2, 200)) > 0)
print("drawn")
sink.close()
"""
    assert viewer(screen, script) == ["drawn"]


@pytest.mark.parametrize("pixel_format", ["yuv420p", "gray", "rgb24", "yuv420p10le", "nv12", "rgba"])
def test_pictures_are_shown_as_bgr_of_the_display_size(pixel_format: str) -> None:
    """Any pixel format, any size: what the screen gets is BGR and has square pixels."""
    frame = made_frames([0], pixel_format=pixel_format)[0]
    display = Display()
    shown = display(frame.picture, (128, 48))
    assert (shown.shape, shown.dtype) == ((48, 128, 3), np.uint8)
    same = display(frame.picture, (64, 48)).astype(int)
    assert np.abs(same - frame.picture.to_ndarray(format="bgr24")).mean() < 8


@pytest.mark.parametrize("pixel_format", ["bgra", "rgba", "yuva420p", "gbrap", "yuva444p10le"])
def test_transparent_parts_show_squares(pixel_format: str) -> None:
    """Where alpha is 0 there is a checkerboard, to the byte; where it is 255 the picture."""
    pixels = np.zeros((32, 32, 4), np.uint8)
    pixels[16:] = (10, 20, 30, 255)
    picture = av.VideoFrame.from_ndarray(pixels, format="bgra").reformat(format=pixel_format)
    shown = Display()(picture, (32, 32))
    assert np.abs(shown[16:].astype(int) - (10, 20, 30)).max() <= 3
    assert np.array_equal(shown[:16], checkerboard(32, 32)[:16])
    assert {tuple(pixel) for pixel in shown[:16].reshape(-1, 3).tolist()} == {(153,) * 3, (204,) * 3}


def test_blending_is_exact_at_its_ends() -> None:
    """Alpha 255 is the front and 0 the back, to the byte; half is in between."""
    front = np.random.default_rng(1).integers(0, 256, (8, 16, 3)).astype(np.uint8)
    behind = checkerboard(8, 16)
    for alpha, wanted in ((255, front), (0, behind)):
        assert np.array_equal(over(front, np.full((8, 16), alpha, np.uint8), behind), wanted)
    half = over(front, np.full((8, 16), 128, np.uint8), behind).astype(float)
    assert np.abs(half - (front * 128.0 + behind * 127.0) / 255).max() <= 1


def test_a_frame_around_a_picture_is_black() -> None:
    """The picture stands in the middle, untouched; without room to fill nothing is copied."""
    picture = np.full((10, 20, 3), 200, np.uint8)
    assert framed(picture, (20, 10)) is picture
    larger = framed(picture, (25, 16))
    assert larger.shape == (16, 25, 3)
    assert np.array_equal(larger[3:13, 2:22], picture)
    assert larger.sum() == picture.sum()


def test_help_leaves_the_picture_alone() -> None:
    """Keys are written into a copy, darkened, and fit windows of any size."""
    for size in ((720, 1280, 3), (60, 80, 3)):
        picture = np.full(size, 200, np.uint8)
        helped = with_help(picture, [("a", "does this"), ("b", "does that")])
        assert (picture == 200).all()
        assert (helped[0, 0] == 40).all()
        assert helped.shape == picture.shape
