"""Keys pressed in the window change what a run in progress does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from shutil import copyfile
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import streamseg
from streamseg.cli.keys import DIGITS, Keys
from streamseg.frame import Frame
from streamseg.models import write_card
from streamseg.models.files import cache_folder
from streamseg.settings import Settings
from tests.clips import gradient
from tests.doubles import ListSink, ListSource

LAST = 40
"""Frames of each run: more than are under way between the threads when a key is pressed."""


class Pressed(ListSink):
    """A window whose viewer presses the given key when the given frame is shown; a pause lasts one look."""

    on_key: Callable[[str], None] | None = None
    keys: Sequence[tuple[str, str]] = ()
    shown: Frame | None = None

    def __init__(self, keys: dict[int, str]) -> None:
        super().__init__(uri="window")
        self._keys = keys
        self.told: list[str] = []
        self.idled = 0

    def write(self, frame: Frame) -> None:
        """Take a frame, and press what is to be pressed now."""
        super().write(frame)
        self.shown = frame
        key = self._keys.get(len(self.frames))
        if key is not None:
            self.press(key)

    def idle(self) -> None:
        """End the pause."""
        self.idled += 1
        self.press(" ")

    def tell(self, text: str) -> None:
        """Remember what is told."""
        self.told.append(text)

    def press(self, key: str) -> None:
        """Press a key."""
        assert self.on_key is not None
        self.on_key(key)


def pressed(keys: dict[int, str], folder: Path, **options: Any) -> Pressed:
    """Show LAST frames to a viewer who presses `keys` (by number of the frame); return the window."""
    settings = Settings(**options)
    window = Pressed(keys)
    control = streamseg.Control(settings)
    Keys(control, folder).listen([ListSink(), window])
    source = ListSource(range(0, LAST * 40, 40))
    with (
        streamseg.Segmenter("selfie", runtime="null") as segmenter,
        streamseg.open_compositor(settings.recipe(strict=True), classes=segmenter.classes) as compositor,
    ):
        streamseg.run(source, segmenter, compositor, [window], control=control)
    assert len(window.frames) == LAST
    return window


def grey(window: Pressed, index: int) -> NDArray[np.uint8]:
    """(H, W) brightness of a frame that was shown."""
    return np.asarray(window.frames[index].picture.to_ndarray(format="gray"), np.uint8)


def middle(window: Pressed, index: int) -> int:
    """Brightness of the figure in a frame that was shown."""
    return int(grey(window, index)[24, 32])


def test_i_inverts(tmp_path: Path) -> None:
    """i swaps figure and background; a second i swaps them back."""
    window = pressed({5: "i", 25: "i"}, tmp_path)
    assert middle(window, 4) < 20
    assert middle(window, 24) > 235
    assert middle(window, LAST - 1) < 20


@pytest.mark.parametrize(("key", "effect"), [*zip("1234567890", streamseg.EFFECTS, strict=True)])
def test_digits_are_effects(tmp_path: Path, key: str, effect: str) -> None:
    """1 to 9 and 0 are the effects in order: what follows looks like it from the start."""
    asked = "mask" if effect == "silhouette" else "silhouette"
    changed = pressed({5: key}, tmp_path, effect=asked)
    wanted = pressed({}, tmp_path, effect=effect)
    if effect == "trail":  # its echo remembers when it began
        assert middle(changed, LAST - 1) == middle(wanted, LAST - 1)
    else:
        assert np.array_equal(grey(changed, LAST - 1), grey(wanted, LAST - 1))


def test_options_stay_where_they_have_a_use(tmp_path: Path) -> None:
    """A colour asked for holds for the effects that take one and does not stop the others."""
    window = pressed({5: "9", 25: "1"}, tmp_path, color="#ffffff", background="#000000")
    assert middle(window, 0) > 235
    assert middle(window, 24) > 235
    assert middle(window, LAST - 1) > 235


def test_inverted_stays_inverted(tmp_path: Path) -> None:
    """Another effect is inverted too if the last one was."""
    window = pressed({5: "9"}, tmp_path, invert=True)
    assert middle(window, LAST - 1) < 20


def test_space_pauses(tmp_path: Path) -> None:
    """In a pause the window stays responsive, and nothing is lost."""
    window = pressed({5: " "}, tmp_path)
    assert window.idled == 1


def test_s_writes_what_is_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """s writes the frame on the screen as a new PNG each time, and tells where."""
    window = pressed({5: "s", 9: "s"}, tmp_path)
    first, second = sorted(tmp_path.iterdir())
    written = cv2.imread(str(first), cv2.IMREAD_GRAYSCALE)
    assert written is not None
    assert np.abs(written.astype(int) - grey(window, 4)).max() <= 2
    said = capsys.readouterr().err
    assert str(first) in said
    assert str(second) in said


def test_what_cannot_be_done_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A snapshot that cannot be written is a line on stderr; the run goes on."""
    pressed({5: "s"}, tmp_path / "nowhere")
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "nowhere" in said


def test_a_background_that_has_gone_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An effect that cannot be opened leaves the one in use."""
    background = tmp_path / "beach.png"
    cv2.imwrite(str(background), gradient(64, 48, 0))
    settings = Settings(background=str(background), effect="replace")

    class Vanishing(Pressed):
        def press(self, key: str) -> None:
            background.unlink()
            super().press(key)

    window = Vanishing({5: "1"})
    control = streamseg.Control(settings)
    Keys(control, tmp_path).listen([window])
    with (
        streamseg.Segmenter(streamseg.find_model("selfie"), runtime="null") as segmenter,
        streamseg.open_compositor(settings.recipe()) as compositor,
    ):
        streamseg.run(ListSource(), segmenter, compositor, [window], control=control)
        assert control.effect == "replace"
    assert "beach.png" in capsys.readouterr().err


def test_other_keys_do_nothing(tmp_path: Path) -> None:
    """Keys without a meaning are no harm."""
    assert middle(pressed({5: "x", 6: "\t"}, tmp_path), LAST - 1) < 20


def test_p_shows_the_background_only(tmp_path: Path) -> None:
    """p hides the figure until p is pressed again."""
    window = pressed({5: "p", 25: "p"}, tmp_path)
    assert middle(window, 4) < 20
    assert middle(window, 24) > 235
    assert middle(window, LAST - 1) < 20


def test_z_freezes_the_picture(tmp_path: Path) -> None:
    """z keeps what is shown while frames go on; a second z lets it move again."""
    window = pressed({5: "z", 25: "z"}, tmp_path, effect="overlay")
    assert np.array_equal(grey(window, 20), grey(window, 24))
    assert not np.array_equal(grey(window, LAST - 2), grey(window, LAST - 1))
    assert [frame.time for frame in window.frames] == sorted({frame.time for frame in window.frames})


def test_plus_and_minus_feather(tmp_path: Path) -> None:
    """+ (or =) softens edges by 2 pixels a press, - sharpens them, and not below 0."""
    assert settings_after("+=+-", tmp_path).feather == 4
    assert settings_after("+---", tmp_path).feather == 0


def test_t_makes_edges_hard_and_soft(tmp_path: Path) -> None:
    """t cuts at half opacity, a second t makes edges soft again."""
    assert settings_after("t", tmp_path).threshold == 0.5
    assert settings_after("tt", tmp_path).threshold is None


def test_c_goes_through_the_classes(tmp_path: Path) -> None:
    """c chooses each class alone, the background left out, then the model's own choice."""
    assert settings_after("c", tmp_path).classes == ("person",)
    assert settings_after("cc", tmp_path).classes == ()


def test_m_goes_to_the_next_model(tmp_path: Path, models_folder: Path) -> None:
    """m loads the next network that is here, none that would have to be fetched."""
    assert settings_after("m", tmp_path).model == "selfie-landscape"
    assert settings_after("m", tmp_path, model="selfie-landscape").model == "selfie"


def test_m_finds_networks_that_were_fetched_before(tmp_path: Path, models_folder: Path) -> None:
    """What lies where fetched weights are kept is here as well: nothing is fetched again."""
    selfie = streamseg.find_model("selfie")
    card = replace(selfie, name="zebra", weights="zebra.onnx", url="http://127.0.0.1:9/zebra.onnx")
    write_card(card, models_folder / "zebra.toml")
    fetched = cache_folder() / "weights" / card.sha256[:16] / card.weights
    fetched.parent.mkdir(parents=True)
    copyfile(selfie.verified_weights(), fetched)
    assert settings_after("m", tmp_path, model="selfie-landscape").model == "zebra"


def settings_after(keys: str, folder: Path, **options: Any) -> Settings:
    """Press `keys` one after the other in a run; return the settings once all has been loaded."""
    settings = Settings(**options)
    window = Pressed({5 + index: key for index, key in enumerate(keys)})
    control = streamseg.Control(settings)
    Keys(control, folder).listen([window])
    with (
        streamseg.Segmenter(settings.model, runtime="null") as segmenter,
        streamseg.open_compositor(settings.recipe(strict=True), classes=segmenter.classes) as compositor,
    ):
        streamseg.run(ListSource(range(0, LAST * 40, 40)), segmenter, compositor, [window], control=control)
        control.close()
    return control.settings


def test_the_help_names_every_key(tmp_path: Path) -> None:
    """The window is given a line for each key that does something."""
    window = Pressed({})
    keys = Keys(streamseg.Control(), tmp_path)
    keys.listen([window])
    named = " ".join(key for key, _ in window.keys).replace("space", "")
    assert set(named) == {*DIGITS, *"i+-tcmpzs "}


def test_what_a_key_has_done_is_told_in_the_window(tmp_path: Path) -> None:
    """Each key says what it set, in the words of the options and of --control; a fault says why."""
    keys = "pzit+c9s"
    window = pressed({5 + index: key for index, key in enumerate(keys)}, tmp_path)
    assert window.told == [
        *("panic on", "freeze on", "invert on", "threshold 0.5", "feather 2.0", "classes person"),
        *("effect mask", "snapshot streamseg-0001.png"),
    ]
    assert pressed({5: "s"}, tmp_path / "nowhere").told[0].startswith("error: ")
