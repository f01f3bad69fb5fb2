"""Layers on the card, as compositors/layers.py paints them: what each sample is made of, plane by plane."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import av
import cv2
import numpy as np

from streamseg.colour import Rgb, luma_weights
from streamseg.compositors.backdrop import BackdropPainter
from streamseg.compositors.layers import BlurredPainter, Painter, Scene, class_codes
from streamseg.compositors.planes import Canvas
from streamseg.effects import Backdrop, Blurred, Camera, ClassColours, Colour, Dimmed, Layer
from streamseg.gpu.jobs import CLASSES, GRID, LAYER, SUM, Record, struct
from streamseg.gpu.mattes import CardAlpha
from streamseg.gpu.slot import Slot
from streamseg.gpu.surface import Surface, plane, upload


@dataclass(frozen=True, slots=True)
class CardScene:
    """All that is known of one frame when its layers are made."""

    slot: Slot
    surface: Surface
    alpha: CardAlpha
    labels: CardAlpha | None
    """Class ids at the frame's size, without padding."""

    @property
    def canvas(self) -> Canvas:
        """The frame's."""
        return self.surface.canvas


class CardPainter(ABC):
    """Makes one layer."""

    def prepare(self, scene: Scene) -> None:  # noqa: B027  (most layers need nothing)
        """Do what is done on the CPU, before the GPU's thread is asked; raises SourceError."""

    @abstractmethod
    def __call__(self, scene: CardScene) -> list[Record]:
        """Return a LAYER for each plane of the frame, having queued what it takes."""

    def forget(self) -> None:  # noqa: B027
        """The card's memory has been given back."""

    def close(self) -> None:  # noqa: B027
        """Release what was opened on the CPU."""


def card_painter(layer: Layer, name: str, *, many: bool, beside: Painter | None = None) -> CardPainter:
    """Return the painter of a layer; its buffers have names that begin with `name`.

    `beside`: paints the same layer on the CPU, a background is shown as it has it. Without, raises UsageError
    or SourceError when a background cannot be opened.
    """
    if isinstance(beside, BackdropPainter):
        return CardBackdrop(beside, name, own=False)
    match layer:
        case Camera():
            return CardCamera()
        case Colour(rgb):
            return CardColour(rgb)
        case Blurred(strength):
            return CardBlur(strength, name)
        case Dimmed(light):
            return CardDimmed(light)
        case ClassColours() if many:
            return CardClasses(name)
        case ClassColours(tint=tint):
            return CardColour(tint)
        case Backdrop(uri, fit):
            return CardBackdrop(BackdropPainter(uri, fit), name, own=True)


class CardCamera(CardPainter):
    """The frame itself."""

    def __call__(self, scene: CardScene) -> list[Record]:
        """Its own samples."""
        return [weighted([component], [1]) for component in scene.surface.components]


class CardColour(CardPainter):
    """One flat colour."""

    def __init__(self, rgb: Rgb) -> None:
        self._rgb = rgb

    def __call__(self, scene: CardScene) -> list[Record]:
        """A code for each plane."""
        return [weighted([], [], code) for code in scene.canvas.codes(self._rgb)]


class CardDimmed(CardPainter):
    """The frame in grey, darker."""

    def __init__(self, light: float) -> None:
        self._light = light

    def __call__(self, scene: CardScene) -> list[Record]:
        """Luma scaled towards black, neutral chroma; of RGB the same sum three times."""
        canvas, components = scene.canvas, scene.surface.components
        black, *neutral = canvas.codes((0, 0, 0))
        if canvas.shape.rgb:
            red, green, blue = (self._light * share for share in luma_weights(canvas.reading.matrix))
            return 3 * [weighted(components, [green, blue, red])]
        luma = weighted(components[:1], [self._light], black * (1 - self._light))
        return [luma, *(weighted([], [], code) for code in neutral)]


class CardClasses(CardPainter):
    """The colour of each pixel's class."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._canvas: Canvas | None = None

    def __call__(self, scene: CardScene) -> list[Record]:
        """A table for each plane; without a label map nothing is shown, so anything will do."""
        canvas, labels = scene.canvas, scene.labels
        if labels is None:
            return [weighted([], []) for _ in scene.surface.components]
        if canvas != self._canvas:
            self._canvas, self._codes = canvas, [codes.astype(np.uint16) for codes in class_codes(canvas)]
        ids = plane(labels.address, labels.width, labels.height, 1)
        steps = [(1, 1), *(len(self._codes) - 1) * [canvas.shape.step]]
        return [
            struct(
                LAYER,
                kind=CLASSES,
                pictures=[ids],
                codes=scene.slot.table(f"{self._name} colours {index}", codes),
                across=across,
                down=down,
            )
            for index, (codes, (across, down)) in enumerate(zip(self._codes, steps, strict=True))
        ]


class CardBackdrop(CardPainter):
    """A picture or a video: read and fitted on the CPU, uploaded when it changes."""

    def __init__(self, painter: BackdropPainter, name: str, *, own: bool) -> None:
        """`own`: the file is closed here."""
        self._painter, self._name, self._own = painter, name, own
        self._due: av.VideoFrame | None = None
        self._held: tuple[Slot, av.VideoFrame, Surface] | None = None

    def prepare(self, scene: Scene) -> None:
        """Fit the frame that is due."""
        self._due = self._painter(scene)

    def __call__(self, scene: CardScene) -> list[Record]:
        """Upload it unless it is there."""
        assert self._due is not None
        if self._held is None or self._held[1] is not self._due:
            self._held = scene.slot, self._due, upload(scene.slot, f"{self._name} backdrop", self._due)
        return [weighted([component], [1]) for component in self._held[2].components]

    def forget(self) -> None:
        """Upload it again next time."""
        self._held = None

    def close(self) -> None:
        """Close the file, if nobody else has it open."""
        if self._own:
            self._painter.close()


class CardBlur(CardPainter):
    """The frame blurred without what the matte covers, on a small grid; see BlurredPainter."""

    def __init__(self, strength: float, name: str) -> None:
        self._strength, self._name = strength, name

    def __call__(self, scene: CardScene) -> list[Record]:
        """Queue averaging and blurring; scaling up is done while blending."""
        canvas, slot = scene.canvas, scene.slot
        factor, sigma = BlurredPainter.grid(self._strength, canvas.height)
        grid = -(-canvas.width // factor), -(-canvas.height // factor)
        fine = 1 << (16 - canvas.shape.depth)
        kernel = _gaussian(sigma)
        cells = grid[0] * grid[1]
        count = len(scene.surface.components)
        floats = slot.memory(f"{self._name} grid", (count + 1) * 2 * 4 * cells)
        codes = slot.memory(f"{self._name} codes", count * 2 * cells)
        common = {
            "kernel": slot.table(f"{self._name} kernel", kernel),
            "reach": len(kernel) // 2,
            "columns": grid[0],
            "rows": grid[1],
            "fine": fine,
        }
        layers = []
        for index, component in enumerate((None, *scene.surface.components)):
            small, across = floats + 8 * cells * index, floats + 8 * cells * index + 4 * cells
            self._shrink(scene, component, small, grid)
            slot.launch("blur_across", grid, source=small, between=across, **common)
            if component is None:
                weights = across
                continue
            to = codes + 2 * cells * (index - 1)
            slot.launch("blur_down", grid, weights=weights, between=across, to=to, **common)
            layers.append(struct(LAYER, kind=GRID, pictures=[plane(to, *grid, 2)], weights=[1 / fine]))
        return layers

    def _shrink(self, scene: CardScene, component: Record | None, to: int, grid: tuple[int, int]) -> None:
        fields: dict[str, Any] = {}
        if component is not None:
            width, height = int(component["width"]), int(component["height"])
            even = width % 2 == height % 2 == 0
            fields = {"plane": component, "halved": even and width >= 2 * grid[0] and height >= 2 * grid[1]}
        scene.slot.launch(
            "shrink",
            grid,
            alpha=scene.alpha.record(),
            to=to,
            floor=BlurredPainter.FLOOR,
            columns=grid[0],
            rows=grid[1],
            **fields,
        )


def weighted(pictures: Sequence[Record], weights: Sequence[float], offset: float = 0) -> Record:
    """A LAYER of weighted sums of pictures' samples; of none, a flat colour."""
    return struct(
        LAYER, kind=SUM, count=len(pictures), pictures=list(pictures), weights=list(weights), offset=offset
    )


def _gaussian(sigma: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    side = 2 * math.ceil(2.5 * sigma) + 1
    return np.asarray(cv2.getGaussianKernel(side, sigma, cv2.CV_32F), np.float32).ravel()
