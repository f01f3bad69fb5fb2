"""What may change while a run goes on, as JSON holds it."""

from __future__ import annotations

import json

import pytest

from streamseg.effects import EFFECTS, Backdrop, Colour
from streamseg.errors import UsageError
from streamseg.settings import SETTINGS, Settings


def test_settings_survive_json() -> None:
    """What to_json returns is JSON, and `changed` takes it back."""
    settings = Settings(effect="replace", background="red", classes=("person",), threshold=0.5, smooth=0.25)
    assert Settings().changed(json.loads(json.dumps(settings.to_json()))) == settings
    assert set(settings.to_json()) == set(SETTINGS)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"colour": "red"}, "no setting 'colour'; there are: effect, "),
        ({"threshold": "half"}, "setting 'threshold' is 'half'; it wants a number"),
        ({"threshold": True}, "setting 'threshold' is True; it wants a number"),
        ({"feather": None}, "setting 'feather' is None; it wants a number"),
        ({"feather": float("nan")}, "setting 'feather' is nan; it wants a number"),
        ({"invert": 1}, "setting 'invert' is 1; it wants true or false"),
        ({"classes": "person"}, "setting 'classes' is 'person'; it wants a list of names"),
        ({"classes": [1]}, "it wants a list of names"),
        ({"effect": ["blur"]}, "it wants a text"),
        ({"model": ""}, "setting 'model' is ''; it wants a text"),
        ({"crop": "on"}, "setting 'crop' is 'on'; it wants one of: auto, off"),
        ({"fail": {}}, "it wants one of: hide, show, stop"),
        ({"effect": "mask", "color": "colourless"}, "'colourless'"),
        ({"effect": "mask", "outline_width": 1e6}, "outline-width 1e+06 is out of range"),
        ({"effect": "mask", "blur_strength": 0}, "blur-strength 0 is out of range"),
        ({"effect": "mask", "background": "#12"}, "#12"),
    ],
)
def test_what_makes_no_sense_names_its_field(values: dict[str, object], told: str) -> None:
    """One line: which setting, what was found, what it wants; also where the effect has no use for it now."""
    with pytest.raises(UsageError) as refused:
        Settings().changed(values)
    assert told in str(refused.value)


def test_numbers_may_be_whole_and_names_a_list() -> None:
    """JSON has one kind of number and no tuples."""
    changed = Settings().changed({"feather": 3, "classes": ["person"], "background": None})
    assert (changed.feather, changed.classes, changed.background) == (3.0, ("person",), None)
    assert isinstance(changed.feather, float)


@pytest.mark.parametrize("name", EFFECTS)
def test_every_effect_can_follow_every_other(name: str) -> None:
    """What an effect has no use for stays for those that have, and stops none."""
    given = Settings(
        background="beach.png", background_fit="pad", color="red", outline_width=3, blur_strength=9
    )
    recipe = given.changed({"effect": name}).recipe()
    assert recipe.name == name
    if name == "replace":
        assert recipe.background == Backdrop("beach.png", "pad")
    if name == "silhouette":
        assert recipe.foreground == Colour((255, 0, 0))


def test_at_the_start_what_would_do_nothing_is_refused() -> None:
    """An option the effect has no use for is a slip of whoever typed it."""
    with pytest.raises(UsageError, match="effect 'mask' has no use for color"):
        Settings(effect="mask", color="red").recipe(strict=True)


def test_another_model_begins_with_its_own_classes() -> None:
    """Names of classes belong to a model; the same model keeps them."""
    settings = Settings(classes=("person",))
    assert settings.changed({"model": "selfie"}).classes == ("person",)
    assert settings.changed({"model": "other"}).classes == ()
    assert settings.changed({"model": "other", "classes": ["dog"]}).classes == ("dog",)
