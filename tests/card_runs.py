"""Whole runs with the network and the compositor on an emulated card, and the same on the processor."""

from __future__ import annotations

from typing import Any

import numpy as np

import streamseg
from streamseg.models.card import ModelCard
from streamseg.report import Report
from tests.compositing import read
from tests.doubles import ListSink

Frames = list[streamseg.Frame]


def run_network(
    source: str | streamseg.Source,
    card: ModelCard,
    recipe: streamseg.Recipe,
    *,
    runtime: str,
    **options: Any,
) -> tuple[Frames, Report]:
    """Run a source through a network and an effect; return the finished frames and the report."""
    sink = ListSink()
    opened = streamseg.open_source(source) if isinstance(source, str) else source
    with (
        opened,
        streamseg.Segmenter(card, runtime=runtime, labels=recipe.needs_labels, **options) as segmenter,
        streamseg.open_compositor(
            recipe, classes=segmenter.classes, foreground=segmenter.named
        ) as compositor,
    ):
        report = streamseg.run(opened, segmenter, compositor, [sink])
    return sink.frames, report


def differences(some: streamseg.Frame, others: streamseg.Frame) -> np.ndarray[Any, Any]:
    """By how many codes each sample of two pictures differs."""
    assert some.picture.format.name == others.picture.format.name
    assert some.picture.pts == others.picture.pts
    pairs = zip(read(some.picture), read(others.picture), strict=True)
    return np.concatenate([np.abs(one - other).ravel() for one, other in pairs])


def mattes_of(card: ModelCard, runtime: str, clip: str, **options: Any) -> list[streamseg.Matte]:
    """The mattes of a clip; what of them is on a card is let go."""
    with (
        streamseg.open_source(clip) as source,
        streamseg.Segmenter(card, runtime=runtime, **options) as segmenter,
    ):
        mattes = [segmenter(frame) for frame in source]
    for matte in mattes:
        matte.held = None
    return mattes


LEAST = {"deeplab-voc": 0.998}
"""IoU of masks in half precision to those in full, where it is not 0.999.

DeepLab's edges move with its weights: rounded to float16 they alone leave 0.9990 of the processor's input
(with exact weights and all results rounded it is 0.9995), the card's input 0.9995. No operation but the
convolutions could be left in full precision to change that.
"""


def require_same_masks(card: ModelCard, some: list[streamseg.Matte], others: list[streamseg.Matte]) -> None:
    """An IoU of 0.999 over all frames, and 0.997 in each, where a code of the input may move an edge."""
    here, there = (np.array([matte.alpha > 127 for matte in mattes]) for mattes in (some, others))
    assert there.any(axis=(1, 2)).all()
    both, either = (here & there).sum(axis=(1, 2)), (here | there).sum(axis=(1, 2))
    assert both.sum() >= LEAST.get(card.name, 0.999) * either.sum()
    assert (both >= 0.997 * either).all()
