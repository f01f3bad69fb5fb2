"""Options under a name: saved, used, changed for a run, shown, removed."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from tests.commandline import FAST, Cli

SHORT = "test:64x48@10,0.5s"


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of settings of the test's own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "streamseg" / "profiles"


def saved(cli: Cli, name: str, *arguments: str) -> None:
    """Save a profile by a run."""
    assert cli("run", SHORT, "-o", "null:", *FAST, "--save-profile", name, *arguments).code == 0


def report(cli: Cli, folder: Path, *arguments: str) -> dict[str, object]:
    """Run, and return what was done."""
    file = folder / "report.json"
    said = cli("run", *arguments, "--report", file)
    assert said.code == 0, said
    found: dict[str, object] = json.loads(file.read_text())
    return found


def test_a_profile_holds_what_was_given(cli: Cli, tmp_path: Path, own_settings: Path) -> None:
    """Source, sink, effect, network: all come back; only its owner can read it."""
    saved(
        cli, "meeting", "--effect", "blur", "--blur-strength", "30", "--classes", "person", "--size", "64x48"
    )
    told = report(cli, tmp_path, "--profile", "meeting")
    assert (told["source"], told["effect"], told["sinks"]) == (SHORT, "blur", ["null:"])
    assert told["runtime"] == "null"
    file = own_settings / "meeting.toml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "smooth" not in file.read_text()


def test_the_command_line_comes_first(cli: Cli, tmp_path: Path) -> None:
    """An option given counts more than the profile's; what the other effect has no use for is left out."""
    saved(cli, "meeting", "--effect", "blur", "--blur-strength", "30")
    assert report(cli, tmp_path, "--profile", "meeting", "--effect", "mask")["effect"] == "mask"
    refused = cli("run", "--profile", "meeting", "--effect", "mask", "--blur-strength", "9")
    assert refused.code == 2
    assert "has no use for blur-strength" in refused.error


def test_a_profile_can_be_saved_from_another(cli: Cli, tmp_path: Path) -> None:
    """What the first one says is in the second, too."""
    saved(cli, "one", "--effect", "replace", "--background", "#102030")
    assert cli("run", "--profile", "one", "--invert", "--save-profile", "two").code == 0
    shown = cli("profiles", "show", "two")
    assert 'background = "#102030"' in shown.out
    assert "invert = true" in shown.out


def test_what_is_shown_has_no_secrets(cli: Cli, own_settings: Path) -> None:
    """A screen may be shared: passwords and stream keys stay in the file."""
    own_settings.mkdir(parents=True)
    text = (
        'source = "rtsp://me:secret@cam/1"\nsinks = ["rtmp://host/live/secret", "a.mp4"]\neffect = "blur"\n'
    )
    (own_settings / "stream.toml").write_text(text)
    shown = cli("profiles", "show", "stream").out
    expected = 'source = "rtsp://***@cam/1"\nsinks = ["rtmp://host/live/***", "a.mp4"]\neffect = "blur"\n'
    assert shown.endswith(expected)


def test_files_are_found_from_every_folder(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A background named from one folder is there from another."""
    import cv2
    import numpy as np

    monkeypatch.chdir(tmp_path)
    cv2.imwrite("beach.png", np.zeros((48, 64, 3), np.uint8))
    saved(cli, "beach", "--effect", "replace", "--background", "beach.png")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert report(cli, tmp_path, "--profile", "beach")["effect"] == "replace"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("feather = 'soft'", ["feather", "'soft' is no number"]),
        ("fether = 3", ["no option 'fether'", "feather"]),
        ("profile = 'other'", ["no option 'profile'"]),
        ("effect = ", ["invalid value"]),
        ("crop = 'on'", ["crop", "'on'"]),
        ("[table]\na = 1", ["no option 'table'"]),
        ("size = 3", ["size", "'3' is no size"]),
    ],
)
def test_what_is_wrong_in_a_file_is_told(cli: Cli, own_settings: Path, text: str, words: list[str]) -> None:
    """One line names the file, the option and what was found."""
    own_settings.mkdir(parents=True)
    (own_settings / "bad.toml").write_text(text)
    said = cli("run", SHORT, "-o", "null:", "--profile", "bad")
    assert said.code == 2
    assert all(word in said.error for word in ["bad.toml", *words]), said.error


@pytest.mark.parametrize("name", ["../up", "", "a b", ".hidden", "x" * 65])
def test_names_stay_in_their_folder(cli: Cli, own_settings: Path, name: str) -> None:
    """What is no plain name is refused, for saving, using, showing and removing."""
    for arguments in (
        ("run", SHORT, "-o", "null:", *FAST, "--save-profile", name),
        ("run", SHORT, "-o", "null:", *FAST, "--profile", name),
        ("profiles", "show", name),
        ("profiles", "remove", name),
    ):
        said = cli(*arguments)
        assert said.code == 2, arguments
        assert "is no name for a profile" in said.error
    assert not own_settings.exists()


def test_listing_and_removing(cli: Cli, own_settings: Path) -> None:
    """They are listed by name; one that is removed is gone; one that is not there is told of."""
    assert "no profiles yet" in cli("profiles").out
    saved(cli, "b")
    saved(cli, "a")
    assert cli("profiles").out.split() == ["a", "b"]
    assert cli("profiles", "remove", "a").code == 0
    assert cli("profiles", "list").out.split() == ["b"]
    gone = cli("profiles", "remove", "a")
    assert "no profile 'a'; there are: b" in gone.error


def test_a_wrong_option_saves_nothing(cli: Cli, own_settings: Path) -> None:
    """A profile that could not run is not written."""
    said = cli(
        "run", SHORT, "-o", "null:", *FAST, "--save-profile", "x", "--effect", "mask", "--color", "red"
    )
    assert said.code == 2
    assert not own_settings.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(cli: Cli, own_settings: Path) -> None:
    """A full or locked disk is one line."""
    own_settings.mkdir(parents=True)
    own_settings.chmod(0o500)
    assert "cannot write profile" in cli("run", SHORT, "-o", "null:", *FAST, "--save-profile", "x").error
