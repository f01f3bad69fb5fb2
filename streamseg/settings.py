"""Settings: what is seen and through which network; all that may change while a run goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, TypeAlias, cast, get_args, get_origin, get_type_hints

from streamseg.colour import find_colour
from streamseg.effects import TAKES, Fit, Recipe, check_special, effect
from streamseg.errors import UsageError

Refusal: TypeAlias = Literal["hide", "show", "stop"]
"""What becomes of a frame that could not be segmented: the background only, the camera's picture, the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Each field means what the option of its name means; JSON holds them as they are."""

    effect: str = "silhouette"
    background: str | None = None
    background_fit: Fit = "crop"
    color: str | None = None
    outline_width: float | None = None
    blur_strength: float | None = None
    invert: bool = False
    threshold: float | None = None
    feather: float = 0.0
    model: str = "selfie"
    classes: tuple[str, ...] = ()
    """Names; none: the model's own choice."""
    crop: Literal["auto", "off"] = "auto"
    refine: Literal["off", "guided"] = "off"
    smooth: float | None = None
    """None: what suits the model."""
    fail: Refusal = "hide"

    def recipe(self, *, strict: bool = False) -> Recipe:
        """Return the effect's recipe; raises UsageError for values that make no sense.

        What this effect has no use for is kept for others that have; if `strict`, it is refused.
        """
        taken = TAKES.get(self.effect, frozenset())
        special: dict[str, Any] = {name: getattr(self, name) for name in _SPECIAL}
        fit: Fit = self.background_fit
        if not strict:
            special = {name: value for name, value in special.items() if name in taken}
            background = special.get("background")
            if background is None or find_colour(background) is not None:
                fit = "crop"
        return effect(
            self.effect,
            invert=self.invert,
            threshold=self.threshold,
            feather=self.feather,
            background_fit=fit,
            **special,
        )

    def changed(self, values: Mapping[str, object]) -> Settings:
        """Return these settings with other values, as JSON holds them; raises UsageError naming the field.

        Another model begins with its own choice of classes.
        """
        hints = get_type_hints(Settings)
        for name in values:
            if name not in hints:
                raise UsageError(f"no setting {name!r}; there are: {', '.join(hints)}")
        given = {name: _value(hints[name], name, value) for name, value in values.items()}
        if given.get("model", self.model) != self.model:
            given.setdefault("classes", ())
        check_special(**{special: given.get(special) for special in _SPECIAL})
        return replace(self, **given)

    def to_json(self) -> dict[str, object]:
        """Return the fields, ready for JSON."""
        return {**asdict(self), "classes": list(self.classes)}


SETTINGS = tuple(field.name for field in fields(Settings))
"""Names of all settings."""

_SPECIAL = ("background", "color", "outline_width", "blur_strength")
"""What only some effects take."""


def _value(hint: Any, name: str, value: object) -> Any:
    """A JSON value as the field wants it."""
    kinds = get_args(hint) if get_origin(hint) is not tuple else ()
    if get_origin(hint) is Literal:
        return _known(name, value, cast(Sequence[str], kinds))
    if value is None and type(None) in kinds:
        return None
    wanted = next((kind for kind in kinds if kind is not type(None)), hint)
    accepts, what = _KINDS[get_origin(wanted) or wanted]
    if not accepts(value):
        raise UsageError(f"setting {name!r} is {value!r}; it wants {what}")
    if wanted is float:
        return float(cast(float, value))
    return tuple(cast(list[str], value)) if get_origin(wanted) is tuple else value


def _known(name: str, value: object, known: Sequence[str]) -> str:
    if value not in known:
        raise UsageError(f"setting {name!r} is {value!r}; it wants one of: {', '.join(known)}")
    return cast(str, value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9


def _is_names(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)


_KINDS: Mapping[object, tuple[Callable[[object], bool], str]] = {
    str: (lambda value: isinstance(value, str) and value != "", "a text"),
    bool: (lambda value: isinstance(value, bool), "true or false"),
    float: (_is_number, "a number"),
    tuple: (_is_names, "a list of names"),
}
"""Type -> what JSON values it accepts, and what it wants, in words."""
