"""Whole runs from the command line: what is written, what is said, what is refused."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.clips import frame_times, gradient, packets_of, read_frames
from tests.commandline import FAST, Cli

SHORT = "test:160x120@10,1s"


def test_a_video_becomes_a_silhouette(cli: Cli, clip: Path, tmp_path: Path) -> None:
    """The plain case: every frame at its time, sound kept, one line said."""
    said = cli.run(clip, "-o", tmp_path / "out.mp4")
    assert (said.code, said.out) == (0, "")
    assert frame_times(tmp_path / "out.mp4") == frame_times(clip)
    assert [content for _, content in packets_of(tmp_path / "out.mp4")] == [
        content for _, content in packets_of(clip)
    ]
    assert said.err.startswith("done: 15 frames in ")
    assert "sound: copied" in said.err
    assert str(tmp_path / "out.mp4") in said.err
    assert said.err.count("\n") == 1
    shown = read_frames(tmp_path / "out.mp4")[7].to_ndarray(format="gray")
    assert shown[60, 80] < 20
    assert shown[3, 3] > 235


def test_quiet_says_nothing(cli: Cli, clip: Path, tmp_path: Path) -> None:
    """With --quiet a run that works is silent."""
    said = cli.run(clip, "-o", tmp_path / "out.mp4", "--quiet")
    assert (said.code, said.out, said.err) == (0, "", "")


def test_several_outputs_of_one_run(cli: Cli, clip: Path, tmp_path: Path) -> None:
    """Each -o gets every frame."""
    said = cli.run(clip, "-o", tmp_path / "a.mp4", "-o", tmp_path / "b.mkv", "-o", tmp_path / "c%05d.png")
    assert said.code == 0, said.err
    assert len(read_frames(tmp_path / "a.mp4")) == len(read_frames(tmp_path / "b.mkv")) == 15
    assert len(list(tmp_path.glob("c*.png"))) == 15


def test_folder_in_folder_out(cli: Cli, tmp_path: Path) -> None:
    """A folder of pictures becomes a folder of pictures with the same names."""
    (tmp_path / "photos" / "more").mkdir(parents=True)
    for index, name in enumerate(("b.jpg", "a10.png", "a9.png", "more/c.jpg")):
        cv2.imwrite(str(tmp_path / "photos" / name), gradient(64, 48, index))
    said = cli(
        "run", tmp_path / "photos", "-o", f"{tmp_path / 'masks'}/", "--effect", "mask", "--runtime", "null"
    )
    assert said.code == 0, said.err
    written = {
        path.relative_to(tmp_path / "masks").as_posix() for path in (tmp_path / "masks").rglob("*.png")
    }
    assert written >= {"a9.png", "a10.png", "b.png"}


def test_pictures_of_one_name_are_both_written(cli: Cli, tmp_path: Path) -> None:
    """Of a folder with a.jpg and a.png both become masks, and only these two keep their extension."""
    (tmp_path / "photos").mkdir()
    for index, name in enumerate(("a.jpg", "a.png", "b.jpg")):
        cv2.imwrite(str(tmp_path / "photos" / name), gradient(64, 48, index))
    said = cli.run(tmp_path / "photos", "-o", f"{tmp_path / 'masks'}/", "--effect", "mask")
    assert said.code == 0, said.err
    assert {path.name for path in (tmp_path / "masks").iterdir()} == {"a.jpg.png", "a.png.png", "b.png"}
    assert "note: 2 pictures differ by their extension only, so it is kept: 'a.jpg.png'" in said.err


@pytest.mark.parametrize(
    ("effect", "options"),
    [
        ("silhouette", ["--color", "red", "--background", "#0000ff"]),
        ("cutout", []),
        ("replace", ["--background", "0,177,64"]),
        ("blur", ["--blur-strength", "8"]),
        ("overlay", ["--color", "green"]),
        ("outline", ["--outline-width", "3"]),
        ("spotlight", ["--invert"]),
        ("trail", []),
        ("mask", ["--threshold", "0.5", "--feather", "2"]),
        ("labels", []),
    ],
)
def test_every_effect_runs(cli: Cli, tmp_path: Path, effect: str, options: list[str]) -> None:
    """Each effect can be called by its name, with the options that belong to it."""
    target = tmp_path / "out%05d.png"
    said = cli("run", "test:64x48@10,0.3s", "-o", target, "--effect", effect, "--runtime", "null", *options)
    assert said.code == 0, said.err
    assert len(list(tmp_path.glob("*.png"))) == 3


def test_options_reach_the_encoder(cli: Cli, tmp_path: Path) -> None:
    """--codec, --crf and --bitrate change what is stored."""
    for name, options in {
        "fine.mkv": ["--crf", "5"],
        "coarse.mkv": ["--crf", "50"],
        "lossless.mkv": ["--codec", "ffv1"],
        "rate.mkv": ["--bitrate", "40k"],
    }.items():
        said = cli(
            "run", SHORT, "-o", tmp_path / name, "--effect", "spotlight", "--runtime", "null", *options
        )
        assert said.code == 0, said.err
    size = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert size["coarse.mkv"] < size["fine.mkv"] < size["lossless.mkv"]
    assert size["rate.mkv"] < size["fine.mkv"]


def test_size_rate_and_duration_are_asked_of_the_source(cli: Cli, tmp_path: Path) -> None:
    """--size, --fps and --duration shape what test: draws."""
    said = cli.run("test:", "-o", tmp_path / "out.mp4", "--size", "96x64", "--fps", "5", "--duration", "2")
    assert said.code == 0, said.err
    frames = read_frames(tmp_path / "out.mp4")
    assert len(frames) == 10
    assert (frames[0].width, frames[0].height) == (96, 64)


def test_live_keeps_to_the_clock(cli: Cli, tmp_path: Path) -> None:
    """--live makes a drawn clip come at its own speed."""
    said = cli.run("test:64x48@20,0.5s", "--live", "-o", "null:", "--report", tmp_path / "report.json")
    assert said.code == 0, said.err
    assert json.loads((tmp_path / "report.json").read_text())["wall_s"] >= 0.4


def test_existing_files_are_kept_unless_told(cli: Cli, clip: Path, tmp_path: Path) -> None:
    """Without -y an existing output is refused and stays as it was; with -y it is replaced."""
    target = tmp_path / "out.mp4"
    target.write_bytes(b"precious")
    said = cli.run(clip, "-o", target)
    assert said.code == 2
    assert "-y" in said.error
    assert target.read_bytes() == b"precious"
    assert cli.run(clip, "-o", target, "-y").code == 0
    assert len(read_frames(target)) == 15


@pytest.mark.parametrize("alias", ["same", "dotted", "symbolic link", "hard link"])
def test_input_is_never_overwritten(cli: Cli, clip: Path, tmp_path: Path, alias: str) -> None:
    """Not even with -y, and not under another name of the same file."""
    names = {"same": clip, "dotted": Path(f"{tmp_path}/./in.mp4"), "symbolic link": tmp_path / "soft.mp4"}
    target = names.get(alias, tmp_path / "hard.mp4")
    if alias == "symbolic link":
        target.symlink_to(clip)
    elif alias == "hard link":
        os.link(clip, target)
    content = clip.read_bytes()
    said = cli.run(clip, "-o", target, "-y")
    assert said.code == 2
    assert target.name in said.error
    assert clip.read_bytes() == content


def test_one_file_cannot_be_two_outputs(cli: Cli, clip: Path, tmp_path: Path) -> None:
    """The same output given twice is refused."""
    said = cli.run(clip, "-o", tmp_path / "out.mp4", "-o", f"{tmp_path}/./out.mp4")
    assert said.code == 2
    assert "twice" in said.error
    assert not (tmp_path / "out.mp4").exists()


def test_one_of_several_outputs_fails(cli: Cli, tmp_path: Path) -> None:
    """The others are finished, the failure is told even with --quiet, and the exit code is 1."""
    nobody = "tcp://127.0.0.1:9"
    said = cli.run(SHORT, "-o", nobody, "-o", tmp_path / "out.mp4", "-q")
    assert said.code == 1
    assert nobody in said.error
    assert len(read_frames(tmp_path / "out.mp4")) == 10


def test_what_was_left_out_is_told(cli: Cli, clip: Path, tmp_path: Path) -> None:
    """A track that the output cannot hold is a line at the end; --quiet is silent about it."""
    said = cli.run(clip, "-o", tmp_path / "out.gif")
    assert said.code == 0
    summary, *notes = said.err.splitlines()
    assert "sound: none" in summary
    assert "note: '.gif' holds no sound; left out: audio track 1 (aac)" in notes
    assert cli.run(clip, "-o", tmp_path / "out.gif", "-q", "-y").err == ""


def test_missing_input(cli: Cli, tmp_path: Path) -> None:
    """A file that is not there is named; nothing is written."""
    said = cli.run(tmp_path / "nope.mp4", "-o", tmp_path / "out.mp4")
    assert said.code == 1
    assert "nope.mp4" in said.error
    assert list(tmp_path.iterdir()) == []


def test_missing_output_folder(cli: Cli, tmp_path: Path) -> None:
    """An output in a folder that is not there is refused before anything is read or made."""
    said = cli.run(SHORT, "-o", tmp_path / "nowhere" / "out.mp4")
    assert said.code == 1
    assert "nowhere" in said.error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder nobody may write to")
def test_unwritable_output_folder(cli: Cli) -> None:
    """An output in a folder that cannot be written is one line."""
    said = cli.run(SHORT, "-o", "/proc/out.mp4")
    assert said.code == 1
    assert "/proc" in said.error


def test_background_that_is_no_picture(cli: Cli, tmp_path: Path) -> None:
    """A background that cannot be read is named."""
    (tmp_path / "beach.jpg").write_text("sand")
    said = cli.run(SHORT, "-o", "null:", "--effect", "replace", "--background", tmp_path / "beach.jpg")
    assert said.code == 1
    assert "beach.jpg" in said.error


def test_no_screen_no_output(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without -o and without a screen the answer is to pass -o."""
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    said = cli.run(SHORT)
    assert said.code == 2
    assert "-o" in said.error


@pytest.mark.skipif(any(Path("/dev").glob("video*")), reason="a camera is there")
def test_no_camera_no_source(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without SOURCE and without a camera the answer is to name something to read."""
    monkeypatch.setattr("sys.platform", "linux")
    said = cli.run("-o", "null:")
    assert said.code == 2
    assert "camera" in said.error
    assert "talk.mp4" in said.error


def test_names_that_look_like_options(
    cli: Cli, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file whose name begins with a dash is read after `--` or with `./` in front."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(clip, "-in.mp4")
    assert cli.run("./-in.mp4", "-o", "a.mp4").code == 0
    assert cli("run", "-o", "b.mp4", *FAST, "--", "-in.mp4").code == 0
    assert len(read_frames("a.mp4")) == len(read_frames("b.mp4")) == 15


def test_the_network_runs(cli: Cli, tmp_path: Path) -> None:
    """The default model finds the built-in portrait: neither nobody nor everything is figure."""
    said = cli("run", "demo:256x256@10,0.2s", "-o", tmp_path / "out%05d.png", "--effect", "mask")
    assert said.code == 0, said.err
    mask = cv2.imread(str(tmp_path / "out00001.png"), cv2.IMREAD_GRAYSCALE)
    assert mask is not None
    assert 0.2 < np.mean(mask > 127) < 0.8


def test_pictures_are_counted_as_pictures(cli: Cli, tmp_path: Path) -> None:
    """A folder of pictures ends in a line without frame rate and sound, which pictures have not."""
    (tmp_path / "photos").mkdir()
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / "photos" / name), gradient(32, 24, 0))
    said = cli.run(tmp_path / "photos", "-o", f"{tmp_path / 'masks'}/", "--effect", "mask")
    assert said.err.startswith("done: 2 pictures in ")
    assert "fps" not in said.err and "sound" not in said.err
