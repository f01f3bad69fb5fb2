"""What a segmenter is asked for, checked against the card of its model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from streamseg.errors import UsageError
from streamseg.models.card import ModelCard

_EVERY = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What may change between frames without loading the network anew."""

    foreground: tuple[str, ...]
    """Names of the classes a matte is made of."""
    named: tuple[str, ...]
    """The same where they were asked for by name; else none."""
    ids: tuple[int, ...]
    """The same as class ids."""
    smooth: float
    """See Smoothing."""
    closely: bool
    """The network looks at parts of the frame, see Tracker."""
    refined: bool
    """Mattes follow the edges of the picture, see mattes.refine."""


def choose(
    card: ModelCard,
    *,
    classes: Sequence[str] = (),
    smooth: float | None = None,
    crop: Literal["auto", "off"] = "auto",
    refine: Literal["off", "guided"] = "off",
) -> Choice:
    """Return what a Segmenter makes of its options; raises UsageError."""
    _require("crop", crop, ("auto", "off"))
    _require("refine", refine, ("off", "guided"))
    if smooth is not None and not 0 <= smooth <= 1:
        raise UsageError(f"smoothing of {smooth!r} is not possible; pass 0 (off) to 1 (slowest)")
    classes = (classes,) if isinstance(classes, str) else classes
    foreground = chosen_classes(card, classes)
    return Choice(
        foreground=foreground,
        named=foreground if classes else (),
        ids=tuple(card.classes.index(name) for name in foreground),
        smooth=_usual_smoothing(card) if smooth is None else smooth,
        closely=crop == "auto" and _croppable(card, foreground),
        refined=refine == "guided",
    )


def chosen_classes(card: ModelCard, names: Sequence[str]) -> tuple[str, ...]:
    """Return the classes a matte is made of, in the card's order; raises UsageError for an unknown name."""
    if not names:
        return card.foreground
    if list(names) == [_EVERY] and _EVERY not in card.classes:
        return tuple(name for name in card.classes if name != "background")
    for name in names:
        if name not in card.classes:
            known = ", ".join(card.classes)
            raise UsageError(f"no class {name!r} in model {card.name!r}; it knows: {known} (or 'all')")
    return tuple(name for name in card.classes if name in names)


def _usual_smoothing(card: ModelCard) -> float:
    """With 0.4 flicker (dtSSD) fell on all of six sequences, by up to 4 %, and no IoU fell.

    The boundary F rose by 0.002 on one, fell by 0.001 on another (BMX rider), and stayed on the others.
    """
    return 0.0 if card.states else 0.4


def _croppable(card: ModelCard, chosen: Sequence[str]) -> bool:
    """Whether what lies outside a box around the chosen classes is known: two classes, nothing remembered."""
    return len(card.classes) == 2 and tuple(chosen) == card.foreground and not card.states


def _require(option: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise UsageError(f"no {option} {value!r}; known: {', '.join(known)}")
