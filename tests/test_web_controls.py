"""Each control of the page, used by keyboard in a real browser, changes the picture."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import count
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from streamseg.effects import EFFECTS
from streamseg.frame import Frame, VideoFormat
from streamseg.settings import Settings
from streamseg.sources import Source
from tests.browser import Browser, Tab, needs_browser
from tests.browsing import differs, opened, pick, pixels, settled, use
from tests.commandline import PROJECT
from tests.paneling import Panel, frames_out, running, still, until

pytestmark = needs_browser


PORTRAIT = PROJECT / "streamseg" / "sources" / "portrait.jpg"


_AS_AT_THE_START = """document.querySelector("[name=effect]:checked")?.value == "silhouette"
  && [...document.querySelectorAll("[data-resets]")].every((each) => each.ariaPressed == "true")
  && document.querySelector("#model").value == "selfie" && document.querySelector("#background").value == ""
  && !document.querySelector("#invert").checked && document.querySelector("#feather").value == "0"
  && !document.querySelector("#notice").textContent && document.querySelector("#trouble").hidden"""


@pytest.fixture(scope="module")
def photo() -> Iterator[Panel]:
    """A run of a portrait that stays: what changes in the picture was changed by a control."""
    with running(str(PORTRAIT), runtime="auto", live=None) as panel:
        yield panel


@pytest.fixture(scope="module")
def tab_of_photo(browser: Browser, photo: Panel) -> Iterator[Tab]:
    """The page of the portrait."""
    tab = opened(browser, photo)
    yield tab
    tab.close()


@pytest.fixture
def page(tab_of_photo: Tab, photo: Panel) -> Iterator[Tab]:
    """The same page, its settings as at the start."""
    photo.control.panic = photo.control.frozen = photo.control.paused = False
    photo.control.change(Settings().to_json())
    tab_of_photo.front()
    tab_of_photo.run("document.activeElement.blur()")
    tab_of_photo.until(_AS_AT_THE_START)
    yield tab_of_photo
    assert tab_of_photo.complaints() == []


Use = Callable[[Tab], None]


CONTROLS: dict[str, tuple[dict[str, object], Use, dict[str, object]]] = {
    "invert": ({}, lambda tab: use(tab, "#invert", " "), {"invert": True}),
    "color": ({}, lambda tab: pick(tab, "#color", "#ff0000"), {"color": "#ff0000"}),
    "color: the effect's own": (
        {"color": "red"},
        lambda tab: use(tab, "[data-resets=color]", "Enter"),
        {"color": None},
    ),
    "background": (
        {"background": "white", "effect": "replace"},
        lambda tab: pick(tab, "#background-color", "#0000ff"),
        {"background": "#0000ff"},
    ),
    "background: the effect's own": (
        {"background": "blue"},
        lambda tab: use(tab, "#background", "Home"),
        {"background": None},
    ),
    "threshold": ({}, lambda tab: use(tab, "#threshold", "End"), {"threshold": 1.0}),
    "threshold: soft": (
        {"threshold": 1.0},
        lambda tab: use(tab, "[data-resets=threshold]", " "),
        {"threshold": None},
    ),
    "feather": ({}, lambda tab: use(tab, "#feather", "End"), {"feather": 40.0}),
    "outline_width": (
        {"effect": "outline"},
        lambda tab: use(tab, "#outline_width", "End"),
        {"outline_width": 40.0},
    ),
    "blur_strength": (
        {"effect": "blur"},
        lambda tab: use(tab, "#blur_strength", "End"),
        {"blur_strength": 100.0},
    ),
    "classes": (
        {},
        lambda tab: use(tab, "[name=class][value=background]", " "),
        {"classes": ("background", "person")},
    ),
    "model": (
        {},
        lambda tab: pick(tab, "#model", "selfie-landscape", "change"),
        {"model": "selfie-landscape"},
    ),
    "refine": ({"effect": "mask"}, lambda tab: use(tab, "#refine", "ArrowDown"), {"refine": "guided"}),
    "panic": ({}, lambda tab: use(tab, "#panic", "Enter"), {}),
}
"""Control: settings before, how it is used, settings after."""


@pytest.mark.parametrize("control", CONTROLS)
def test_each_control_changes_the_picture(page: Tab, photo: Panel, control: str) -> None:
    """Used by keyboard: the setting is the run's, and what the page shows is another picture."""
    before_settings, act, after_settings = CONTROLS[control]
    photo.control.change(before_settings)
    page.until(f"document.querySelector('[name=effect]:checked')?.value == '{photo.control.settings.effect}'")
    for name in set(before_settings) & {"color", "threshold"}:
        page.until(f"document.querySelector('[data-resets={name}]').ariaPressed == 'false'")
    if "background" in before_settings:
        page.until("!document.querySelector('#background-color').hidden")
    before = settled(page, photo)
    act(page)
    until(lambda: differs(before, pixels(page)))
    for name, value in after_settings.items():
        assert getattr(photo.control.settings, name) == value


class Scene(Source):
    """The same picture for as long as anybody wants it, as from a camera."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        super().__init__("scene:", live=True)
        self.video = VideoFormat(pixels.shape[1], pixels.shape[0], Fraction(1, 1000))
        self._pixels = pixels

    def __iter__(self) -> Iterator[Frame]:
        for ticks in count(0, 50):
            if self.interrupted:
                return
            shown = av.VideoFrame.from_ndarray(self._pixels, format="bgr24")
            shown.pts, shown.time_base = ticks, self.video.time_base
            yield Frame(shown, time.monotonic())
            time.sleep(0.05)

    def close(self) -> None:
        """Nothing to close."""


def test_a_small_figure_is_looked_at_closely_or_not(browser: Browser) -> None:
    """Its mask changes with the control; how much flicker is calmed can be chosen, too."""
    pixels_of_scene = np.full((720, 1280, 3), 128, np.uint8)
    pixels_of_scene[500:680, 900:1080] = cv2.resize(cv2.imread(str(PORTRAIT)), (180, 180))
    with running(Scene(pixels_of_scene), runtime="auto", effect="mask") as panel:
        tab = opened(browser, panel)
        seen = frames_out(panel) + 10
        until(lambda: frames_out(panel) > seen)
        closely = pixels(tab)
        until(lambda: frames_out(panel) > seen + 10)
        assert not differs(closely, pixels(tab))
        use(tab, "#crop", "ArrowDown")
        until(lambda: differs(closely, pixels(tab)))
        assert panel.control.settings.crop == "off"
        use(tab, "#smooth", "End")
        until(lambda: panel.control.settings.smooth == 1.0)
        tab.close()


def test_each_effect_changes_the_picture(page: Tab, photo: Panel) -> None:
    """Through all ten with the arrow key: another picture each time."""
    seen = settled(page, photo)
    use(page, "[name=effect]:checked")
    for name in EFFECTS[1:]:
        page.press("ArrowRight")
        until(lambda name=name: photo.control.settings.effect == name)
        until(lambda before=seen: differs(before, pixels(page)))
        seen = settled(page, photo)


def test_an_uploaded_picture_is_shown_and_fitted(page: Tab, photo: Panel, tmp_path: Path) -> None:
    """Chosen in the page it is behind the figure at once; its fit can be changed; a broken one is told."""
    page.choose_file("#upload", still(tmp_path / "red.png", size=(30, 200)))
    until(lambda: tuple(pixels(page)[2, 2] // 64) == (3, 0, 0))
    assert page.run("document.querySelector('#background').selectedOptions[0].text") == "red.png"
    pick(page, "#background_fit", "pad", "change")
    until(lambda: tuple(pixels(page)[2, 2] // 64) == (0, 0, 0))
    (tmp_path / "broken.png").write_bytes(b"rubbish")
    page.choose_file("#upload", tmp_path / "broken.png")
    told = page.until(
        "!document.querySelector('#trouble').hidden && document.querySelector('#trouble').textContent"
    )
    assert told.startswith("cannot use 'broken.png' as background")
    use(page, "#invert", " ")
    page.until("document.querySelector('#trouble').hidden")
    (refused,) = page.complaints()
    assert "400" in refused


@pytest.mark.parametrize(
    ("key", "name", "value"), [("2", "effect", "cutout"), ("0", "effect", "labels"), ("i", "invert", True)]
)
def test_keys_change_settings(page: Tab, photo: Panel, key: str, name: str, value: object) -> None:
    """As in the window."""
    page.press(key)
    until(lambda: getattr(photo.control.settings, name) == value)


@pytest.mark.parametrize(
    ("key", "button", "name"), [("z", "freeze", "frozen"), (" ", "pause", "paused"), ("p", "panic", "panic")]
)
def test_switches_are_shown_and_said(page: Tab, photo: Panel, key: str, button: str, name: str) -> None:
    """By key: the run does it, the button is pressed, a line says so, and the key takes it back."""
    page.press(key)
    until(lambda: getattr(photo.control, name))
    page.until(f"document.querySelector('#{button}').ariaPressed == 'true'")
    assert name[:5] in page.until("document.querySelector('#notice').textContent")
    page.press(key)
    until(lambda: not getattr(photo.control, name))
    page.until("!document.querySelector('#notice').textContent")


def test_a_key_fills_the_screen(page: Tab) -> None:
    """And the same key leaves it."""
    page.press("f")
    page.until("document.fullscreenElement?.id == 'screen'")
    page.press("f")
    page.until("!document.fullscreenElement")


def test_changes_made_elsewhere_are_shown(page: Tab, photo: Panel) -> None:
    """Another page, a script or the keys of a window: the controls follow."""
    photo.control.change({"effect": "outline", "threshold": 0.25, "background": "#123456", "invert": True})
    page.until("document.querySelector('[name=effect]:checked').value == 'outline'")
    page.until("document.querySelector('#threshold').value == '0.25'")
    assert page.run("document.querySelector('#background-color').value") == "#123456"
    assert page.run("document.querySelector('#invert').checked")
    assert not page.run("document.querySelector('#outline_width').closest('.range').hidden")
    assert page.run("document.querySelector('#blur_strength').closest('.range').hidden")


def test_everything_can_be_reached_by_keyboard_and_has_a_name(page: Tab) -> None:
    """The tab key goes through all controls; each tells a screen reader what it is."""
    reached = set()
    for _ in range(45):
        page.press("Tab")
        reached.add(page.run("document.activeElement.id || document.activeElement.name"))
    assert {"panic", "freeze", "pause", "snapshot", "full", "by", "effect", "invert", "color"} <= reached
    assert {
        "background",
        "background_fit",
        "upload",
        "threshold",
        "feather",
        "model",
        "crop",
        "refine",
    } <= reached
    assert {"smooth", "class"} <= reached
    page.call("Accessibility.enable")
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    kinds = {"button", "checkbox", "radio", "slider", "combobox", "ColorWell", "link", "MenuListPopup"}
    controls = [node for node in nodes if node.get("role", {}).get("value") in kinds - {"MenuListPopup"}]
    assert len(controls) > 20
    assert [node for node in controls if not node.get("name", {}).get("value")] == []
