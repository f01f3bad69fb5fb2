"""Effects are data: a foreground layer, a background layer and what is done to the matte between them.

    picture = alpha * foreground + (1 - alpha) * background

A compositor paints what a recipe says; nothing here touches a pixel. `effect` makes the recipes of EFFECTS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from streamseg.colour import Rgb, find_colour, parse_colour
from streamseg.errors import UsageError

Fit: TypeAlias = Literal["crop", "pad", "stretch"]
"""How a background of another shape fills the frame: cut off, framed in black, or distorted."""

Output: TypeAlias = Literal["picture", "alpha", "matte", "labels"]
"""What comes out: an opaque picture, one with alpha, alpha itself in grey, or class ids with a palette."""


@dataclass(frozen=True, slots=True)
class Camera:
    """The frame itself."""


@dataclass(frozen=True, slots=True)
class Colour:
    """One flat colour."""

    rgb: Rgb


@dataclass(frozen=True, slots=True)
class Blurred:
    """The frame, blurred, without what the matte covers: its colours don't glow around it."""

    strength: float
    """Standard deviation in pixels of a picture 1080 lines high; it grows with the picture."""


@dataclass(frozen=True, slots=True)
class Dimmed:
    """The frame in grey, and darker."""

    light: float
    """What is left of its brightness, 0..1."""


@dataclass(frozen=True, slots=True)
class Backdrop:
    """A picture, or a video that starts over when it ends."""

    uri: str
    fit: Fit = "crop"


@dataclass(frozen=True, slots=True)
class ClassColours:
    """The frame, tinted in a colour for each class of the label map, or in one where the network knows only
    one: opacity * colour + (1 - opacity) * frame."""

    opacity: float
    """How much of the frame the colours hide, 0..1, to the nearest 1/255."""
    tint: Rgb
    """For a network with one class."""
    legend: bool = True
    """Names of the classes in the picture, in a corner."""


Layer: TypeAlias = Camera | Colour | Blurred | Dimmed | Backdrop | ClassColours


@dataclass(frozen=True, slots=True)
class Threshold:
    """Make the matte hard at this opacity, 0..1."""

    level: float


@dataclass(frozen=True, slots=True)
class Feather:
    """Soften its edges by so many pixels of the frame."""

    radius: float


@dataclass(frozen=True, slots=True)
class Echo:
    """Add the mattes of earlier moments, fading."""

    strength: float
    """Opacity of a trace just left behind, 0..1: less than 1 keeps the figure apart from it."""
    half_life: float
    """Seconds in which a trace loses half its opacity."""


@dataclass(frozen=True, slots=True)
class Invert:
    """Swap foreground and background."""


@dataclass(frozen=True, slots=True)
class Outline:
    """Keep a band along the contour only."""

    width: float
    """Pixels of a picture 1080 lines high; it grows with the picture."""


MatteOperation: TypeAlias = Threshold | Feather | Echo | Invert | Outline


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All a compositor needs to know about an effect."""

    name: str
    foreground: Layer
    background: Layer
    operations: tuple[MatteOperation, ...] = ()
    """In the order in which they are done to the matte."""
    output: Output = "picture"
    needs_labels: bool = False
    """The segmenter has to make label maps."""

    @property
    def hides(self) -> bool:
        """Camera pixels outside the matte cannot be seen, so a failed segmentation must not show them."""
        return not isinstance(self.background, Camera | Dimmed)


EFFECTS = (
    "silhouette",
    "cutout",
    "replace",
    "blur",
    "overlay",
    "outline",
    "spotlight",
    "trail",
    "mask",
    "labels",
)

TAKES: Mapping[str, frozenset[str]] = {
    "silhouette": frozenset({"background", "color"}),
    "replace": frozenset({"background"}),
    "blur": frozenset({"blur_strength"}),
    "overlay": frozenset({"background", "color"}),
    "outline": frozenset({"background", "color", "outline_width"}),
    "trail": frozenset({"background", "color"}),
}
"""Options of each effect beyond those that apply to all; effects without any are left out."""

_BLACK, _WHITE, _GREEN, _SKY = (0, 0, 0), (255, 255, 255), (0, 177, 64), (0, 162, 255)


def effect(
    name: str,
    *,
    background: str | None = None,
    color: str | None = None,
    invert: bool = False,
    threshold: float | None = None,
    feather: float = 0.0,
    outline_width: float | None = None,
    blur_strength: float | None = None,
    background_fit: Fit = "crop",
) -> Recipe:
    """Return the recipe of an effect; raises UsageError for what makes no sense.

    `background` (a colour, picture or video) takes the place of the effect's own background, `color` that of
    its figure, line or tint; TAKES says where they apply. `threshold` is 0..1, `feather` in pixels of the
    frame; `outline_width` (default 8) and `blur_strength` (default 20) are in pixels of a picture 1080 lines
    high, so that they look alike at every size.
    """
    if name not in EFFECTS:
        raise UsageError(f"no effect {name!r}; there are: {', '.join(EFFECTS)}")
    given = {
        "background": background,
        "color": color,
        "outline_width": outline_width,
        "blur_strength": blur_strength,
    }
    _check_taken(name, [option for option, value in given.items() if value is not None])
    _check_range("threshold", threshold, 0, 1)
    _check_range("feather", feather, 0, 500)
    check_special(color=color, outline_width=outline_width, blur_strength=blur_strength)
    if background_fit not in get_args(Fit):
        raise UsageError(f"no background fit {background_fit!r}; there are: {', '.join(get_args(Fit))}")
    behind_figure = None if background is None else _backdrop(background, background_fit)
    if background_fit != "crop" and not isinstance(behind_figure, Backdrop):
        raise UsageError(
            f"background-fit {background_fit!r} would do nothing: no picture or video is the background; "
            "name one with background"
        )
    figure = None if color is None else parse_colour(color)
    foreground, behind, output = _layers(name, figure, 20.0 if blur_strength is None else blur_strength)
    return Recipe(
        name=name,
        foreground=foreground,
        background=behind_figure or behind,
        operations=_operations(
            name, invert, threshold, feather, 8.0 if outline_width is None else outline_width
        ),
        output=output,
        needs_labels=name in {"overlay", "labels"},
    )


def check_special(
    *,
    color: str | None,
    outline_width: float | None,
    blur_strength: float | None,
    background: str | None = None,
) -> None:
    """Raise UsageError for values that make no sense with any effect."""
    _check_range("outline_width", outline_width, 0.5, 200)
    _check_range("blur_strength", blur_strength, 1, 500)
    if color is not None:
        parse_colour(color)
    if background is not None:
        find_colour(background)


def _layers(name: str, figure: Rgb | None, blur_strength: float) -> tuple[Layer, Layer, Output]:
    """The effect's foreground, its own background, and what comes out."""
    tint = figure or _SKY
    recipes: dict[str, tuple[Layer, Layer, Output]] = {
        "silhouette": (Colour(figure or _BLACK), Colour(_WHITE), "picture"),
        "cutout": (Camera(), Colour(_BLACK), "alpha"),
        "replace": (Camera(), Colour(_GREEN), "picture"),
        "blur": (Camera(), Blurred(blur_strength), "picture"),
        "overlay": (ClassColours(0.5, tint), Camera(), "picture"),
        "outline": (Colour(tint), Camera(), "picture"),
        "spotlight": (Camera(), Dimmed(1 / 3), "picture"),
        "trail": (Colour(figure or _BLACK), Colour(_WHITE), "picture"),
        "mask": (Colour(_WHITE), Colour(_BLACK), "matte"),
        "labels": (ClassColours(1.0, tint, legend=False), Colour(_BLACK), "labels"),
    }
    return recipes[name]


def _operations(
    name: str, invert: bool, threshold: float | None, feather: float, outline_width: float
) -> tuple[MatteOperation, ...]:
    """What is inverted is the figure with its echo; a line is drawn around what counts in the end."""
    operations: list[MatteOperation] = []
    if threshold is not None:
        operations.append(Threshold(threshold))
    if feather:
        operations.append(Feather(feather))
    if name == "trail":
        operations.append(Echo(strength=0.5, half_life=0.4))
    if invert:
        operations.append(Invert())
    if name == "outline":
        operations.append(Outline(outline_width))
    return tuple(operations)


def _backdrop(background: str, fit: Fit) -> Layer:
    """A colour if it looks like one, else a picture or video."""
    colour = find_colour(background)
    return Backdrop(background, fit) if colour is None else Colour(colour)


def _check_taken(name: str, given: list[str]) -> None:
    """Refuse an option that would do nothing."""
    for option in given:
        if option not in TAKES.get(name, ()):
            takers = ", ".join(other for other in EFFECTS if option in TAKES.get(other, ()))
            raise UsageError(
                f"effect {name!r} has no use for {option.replace('_', '-')}; effects that have: {takers}"
            )


def _check_range(option: str, value: float | None, least: float, most: float) -> None:
    if value is not None and not least <= value <= most:
        raise UsageError(
            f"{option.replace('_', '-')} {value:g} is out of range; it goes from {least:g} to {most:g}"
        )
