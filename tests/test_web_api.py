"""The panel's API, with a run behind it: what programs ask and get."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamseg.effects import EFFECTS
from streamseg.handoff import Job
from streamseg.settings import SETTINGS
from streamseg.web.api import Api
from streamseg.web.backgrounds import Backgrounds
from streamseg.web.preview import Preview
from tests.commandline import PROJECT
from tests.doubles import ListSource
from tests.paneling import (
    BLACK,
    BLUE,
    RED,
    WHITE,
    Panel,
    frames_out,
    running,
    shows,
    still,
    until,
)


def test_the_state_says_all_that_can_be_changed(panel: Panel) -> None:
    """Every setting is in it, and what the run shows."""
    state = panel.ask("GET", "/api/state").json
    assert set(state["settings"]) == set(SETTINGS)
    assert (state["settings"]["effect"], state["settings"]["model"]) == ("silhouette", "selfie")
    assert state["picture"] == {"width": 320, "height": 240}
    assert (state["panic"], state["frozen"], state["paused"]) == (False, False, False)


def test_choices_name_what_there_is(panel: Panel) -> None:
    """All effects with what each takes; networks that need no fetching, with their classes."""
    choices = panel.ask("GET", "/api/choices").json
    assert [effect["name"] for effect in choices["effects"]] == list(EFFECTS)
    assert choices["effects"][0]["takes"] == ["background", "color"]
    models = {model["name"]: model for model in choices["models"]}
    assert {"selfie", "selfie-landscape"} <= set(models)
    assert models["selfie"]["classes"] == ["background", "person"]


def test_settings_change_what_is_seen(panel: Panel) -> None:
    """The answer is the new state, and the picture follows."""
    shows(panel, BLACK, WHITE)
    changed = panel.change(color="#ff0000", background="#0000ff")
    assert changed.json["settings"]["color"] == "#ff0000"
    shows(panel, RED, BLUE)
    assert panel.change(invert=True).status == 200
    shows(panel, BLUE, RED)
    assert panel.change(effect="mask", invert=False).status == 200
    shows(panel, WHITE, BLACK)
    assert panel.change(classes=["background"]).status == 200
    shows(panel, BLACK, WHITE)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"nonsense": 1}, "no setting 'nonsense'"),
        ({"effect": "explode"}, "explode"),
        ({"threshold": 7}, "threshold"),
        ({"threshold": "0.5"}, "threshold"),
        ({"feather": True}, "feather"),
        ({"classes": ["cat"]}, "no class 'cat'"),
        ({"color": "#12"}, "#12"),
        ({"background": 5}, "background"),
        ({"background": "beach.jpg"}, "no background 'beach.jpg'"),
        ({"background": "/etc/passwd"}, "no background '/etc/passwd'"),
        ({"background": "file:///etc/passwd"}, "no background"),
        ({"background": "http://evil.example/a.jpg"}, "no background"),
        ({"background": "../README.md"}, "no background"),
        ({"model": "/etc/passwd"}, "no model '/etc/passwd' is installed"),
        ({"model": "engines/selfie.toml"}, "is installed"),
        ({"model": "nothing"}, "is installed; there are: selfie"),
        ({"model": ["selfie"]}, "is installed"),
    ],
)
def test_what_makes_no_sense_is_told_and_changes_nothing(
    panel: Panel, fields: dict[str, object], told: str
) -> None:
    """One line that names it; no file of this machine can be asked for by its path or address."""
    before = panel.control.settings
    answer = panel.change(**fields)
    assert answer.status == 400
    assert told in answer.error
    assert panel.control.settings == before


def test_failures_are_told_without_the_places_of_files(panel: Panel) -> None:
    """Whoever sees the panel learns what went wrong, not where things lie on this machine, nor passwords."""
    said = (
        "cannot write '/home/anna/my films/out.mp4': no space left on device",
        "cannot load C:\\Users\\anna\\net.onnx: it is damaged",
        "source '~/rooms/a.mp4' and /opt/secret/lib.so: gone",
        "source 'rtsp://anna:word@camera/1' gave no frame; 3/4 of all",
    )
    told = [
        "cannot write 'out.mp4': no space left on device",
        "cannot load net.onnx: it is damaged",
        "source 'a.mp4' and lib.so: gone",
        "source 'rtsp://***@camera/1' gave no frame; 3/4 of all",
    ]
    failures = panel.control._stats.failures
    failures.extend(said)
    try:
        assert panel.ask("GET", "/api/figures").json["failures"] == told
        assert panel.ask("GET", "/api/state").json["figures"]["failures"] == told
    finally:
        failures.clear()


def test_files_that_are_there_cannot_be_named(panel: Panel, tmp_path: Path) -> None:
    """Neither a picture nor a network of the user's that was not offered."""
    picture_path = still(tmp_path / "secret.png")
    assert panel.change(background=str(picture_path)).status == 400
    card = Path(__file__).parent.parent / "engines" / "selfie.toml"
    assert card.exists()
    assert panel.change(model=str(card)).status == 400


@pytest.mark.parametrize("name", ["panic", "freeze", "pause"])
def test_switches_go_on_and_off(panel: Panel, name: str) -> None:
    """Each says what it is now; anything but true and false is refused."""
    field = {"panic": "panic", "freeze": "frozen", "pause": "paused"}[name]
    for on in (True, False):
        answer = panel.ask("POST", f"/api/{name}", {"on": on})
        assert (answer.status, answer.json[field]) == (200, on)
    for wrong in ({}, {"on": 1}, {"on": "true"}, {"on": True, "off": False}):
        answer = panel.ask("POST", f"/api/{name}", wrong)
        assert (answer.status, answer.error) == (400, f'/api/{name}: send {{"on": true}} or {{"on": false}}')


def test_panic_shows_the_background_only(panel: Panel) -> None:
    """And nothing else, until it is over."""
    shows(panel, BLACK, WHITE)
    panel.ask("POST", "/api/panic", {"on": True})
    shows(panel, WHITE, WHITE)
    panel.ask("POST", "/api/panic", {"on": False})
    shows(panel, BLACK, WHITE)


def test_panic_waits_for_no_network(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another one is loaded, which takes its time, everything else is answered."""
    asked, loaded = threading.Event(), threading.Event()

    def change(values: Mapping[str, object]) -> None:
        asked.set()
        loaded.wait(20)

    monkeypatch.setattr(panel.control, "change", change)
    job = Job(lambda _stopping: panel.change(model="selfie-landscape").status, name="test-change")
    assert asked.wait(20)
    assert panel.ask("POST", "/api/panic", {"on": True}).json["panic"]
    shows(panel, WHITE, WHITE)
    assert not job.ready
    loaded.set()
    assert job.result() == 200


def test_frozen_the_picture_stays(panel: Panel) -> None:
    """What moves stands still for viewers, while frames go on."""
    panel.change(effect="replace", invert=True)

    def moves() -> bool:
        before, seen = panel.picture(), frames_out(panel)
        until(lambda: frames_out(panel) > seen + 8)
        return bool(np.abs(panel.picture().astype(int) - before).max() > 40)

    assert moves()
    panel.ask("POST", "/api/freeze", {"on": True})
    until(lambda: not moves())
    panel.ask("POST", "/api/freeze", {"on": False})
    until(moves)


def test_figures_say_how_it_goes(panel: Panel) -> None:
    """Rates, latency, stage times and drops, as numbers."""

    def going() -> Any:
        figures = panel.ask("GET", "/api/figures").json
        return figures["fps"] and figures["effect"] == "silhouette" and figures

    figures = until(going)
    assert 0 < figures["fps"] < 100
    assert figures["latency_ms"]["p50"] > 0
    assert {"capture", "segment", "composite", "sink"} <= set(figures["stage_ms"])
    assert figures["model"] == "selfie"
    assert set(panel.ask("GET", "/api/state").json["figures"]) == set(figures)


def test_it_answers_before_the_first_frame_and_while_none_comes() -> None:
    """A source that keeps everybody waiting does not keep the panel from answering, or from closing."""
    go = threading.Event()

    def wait(index: int) -> None:
        if index in (0, 3):
            go.wait(20)
            go.clear()

    source = ListSource(range(0, 4000, 40), live=True, before=wait)
    with running(source, shown=False) as panel:
        state = panel.ask("GET", "/api/state").json
        assert (state["picture"], panel.ask("GET", "/preview.jpg").status) == (None, 503)
        assert panel.ask("GET", "/api/figures").json["frames_out"] == 0
        assert panel.change(effect="mask").status == 200
        go.set()
        until(lambda: panel.ask("GET", "/preview.jpg").status == 200)
        assert panel.ask("GET", "/api/state").json["picture"] == {"width": 64, "height": 48}
        panel.control.stop()
        go.set()


def test_a_still_follows_every_control(tmp_path: Path) -> None:
    """A photo stays for its viewers and is painted anew for each change, panic included."""
    with running(str(still(tmp_path / "photo.png", size=(320, 240))), live=None) as panel:
        shows(panel, BLACK, WHITE)
        panel.change(color="#ff0000")
        shows(panel, RED, WHITE)
        panel.ask("POST", "/api/panic", {"on": True})
        shows(panel, WHITE, WHITE)
        panel.ask("POST", "/api/panic", {"on": False})
        shows(panel, RED, WHITE)


def test_the_documentation_names_what_there_is(panel: Panel) -> None:
    """docs/panel.md has every path, setting and figure, and no path that is not there."""
    text = (PROJECT / "docs" / "panel.md").read_text(encoding="utf-8")
    routes = {(route.method, route.path) for route in Api(Preview(Fraction(1)), Backgrounds(), None).routes()}
    told = {("POST", path) for path in ("/api/freeze", "/api/pause")}  # in the row of the first switch
    for method, path in re.findall(r"^\| `([A-Z]+) (/api/\S+?)`", text, re.MULTILINE):
        told.add((method, path.replace("NAME", "{name}")))
    assert told == routes | {("POST", "/api/webrtc")}
    figures = panel.ask("GET", "/api/figures").json
    assert [name for name in (*SETTINGS, *figures) if f"`{name}`" not in text] == []
