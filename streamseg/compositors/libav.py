"""The compositor for the CPU: libavfilter blends, OpenCV samples mattes, in the frame's own pixel format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import av
import cv2
import numpy as np

from streamseg.colour import Rgb
from streamseg.compositors.base import Compositor
from streamseg.compositors.classes import Classes
from streamseg.compositors.convert import Converter
from streamseg.compositors.layers import ColourPainter, Scene, open_painter
from streamseg.compositors.legend import Legend
from streamseg.compositors.merge import Merger, Sampler
from streamseg.compositors.operations import Operations, Traces
from streamseg.compositors.outputs import cut_out, grey_picture, label_picture
from streamseg.compositors.planes import Canvas
from streamseg.effects import Camera, ClassColours, Recipe
from streamseg.frame import Frame, Matte
from streamseg.mattes import Alpha
from streamseg.pictures import Pool, planes


class LibavCompositor(Compositor):
    """Paints recipes with libavfilter and OpenCV."""

    name = "libav"

    def __init__(self, recipe: Recipe, *, classes: Sequence[str], foreground: Sequence[str]) -> None:
        self.recipe = recipe
        self._classes = Classes(recipe, classes, foreground)
        self.classes, self.foreground = self._classes.names, self._classes.foreground
        self._converter = Converter()
        self._pool = Pool()
        self._operations = Operations(recipe.operations)
        self.base = open_painter(recipe.background, many=self._classes.many)
        self.over = open_painter(recipe.foreground, many=self._classes.many)
        overlay = recipe.foreground if isinstance(recipe.foreground, ClassColours) else None
        self._classes_shown = overlay is not None
        self._opacity = overlay.opacity if overlay else 1.0
        self._over_camera = isinstance(recipe.background, Camera)
        self._legend = Legend(classes) if overlay and overlay.legend and self._classes.many else None
        self._canvas: Canvas | None = None
        self._merger: Merger | None = None

    def __call__(self, frame: Frame, matte: Matte) -> Frame:
        """Return the frame as the viewer shall see it; raises UsageError without the label map it needs."""
        self._classes.require(matte)
        if self.recipe.output == "labels":
            return frame.with_picture(label_picture(self._classes.shown_labels(matte, frame.size)))
        alpha = self._alpha(frame, matte)
        if self.recipe.output == "matte":
            return frame.with_picture(grey_picture(alpha, frame.size, self._pool))
        if self.recipe.output == "alpha":
            opaque = self._converter.planar(frame.picture)
            return frame.with_picture(cut_out(frame.picture, opaque, alpha, self._pool))
        return frame.with_picture(self._painted(frame, matte, alpha))

    def reset(self) -> None:
        """Forget the echo of earlier frames."""
        self._operations.reset()

    def traces(self) -> Traces:
        """The echo, for another compositor of the same recipe."""
        return self._operations.traces

    def recall(self, traces: Traces) -> None:
        """Go on with the echo of another compositor."""
        self._operations.recall(traces)

    def close(self) -> None:
        """Close backgrounds."""
        self.base.close()
        self.over.close()

    def _alpha(self, frame: Frame, matte: Matte) -> Alpha:
        """The matte after the operations. A failed one stays empty: inverted, it would show everything."""
        if matte.failure is not None:
            return np.zeros((1, 1), np.uint8)
        alpha: Alpha = matte.alpha
        if self._classes.decide and matte.labels is not None:
            alpha = cast(Alpha, cv2.LUT(matte.labels, self._classes.chosen))
        if frame.name is not None:  # a still has no past
            self.reset()
        return self._operations(alpha, frame.size, frame.time)

    def _painted(self, frame: Frame, matte: Matte, alpha: Alpha) -> av.VideoFrame:
        picture = self._converter.coloured(frame.picture) if self._classes_shown else frame.picture
        canvas = Canvas.of(picture)
        if canvas != self._canvas:
            self._canvas, self._sampler, self._merger = canvas, Sampler(canvas), None
        behind, figure = self.base, self.over
        if self._opacity == 1 and isinstance(behind, ColourPainter) and isinstance(figure, ColourPainter):
            return self._two_colours(canvas, behind.rgb, figure.rgb, alpha)
        self._merger = self._merger or Merger(canvas, self._sampler)
        labels = matte.labels if matte.failure is None else None
        scene = Scene(canvas, self._converter.planar(picture), alpha, labels, frame.time)
        over = figure(scene)
        if self._opacity < 1 and self._over_camera:  # tinting and merging are one blend
            alpha = cast(Alpha, cv2.convertScaleAbs(alpha, alpha=self._opacity))
        elif self._opacity < 1:
            over = self._merger(scene.picture, over, np.full((1, 1), round(255 * self._opacity), np.uint8))
        painted = self._merger(behind(scene), over, alpha)
        if self._legend is not None and labels is not None:
            self._legend.draw(painted, canvas, labels[::8, ::8], self._classes.shown)
        return painted

    def _two_colours(self, canvas: Canvas, base: Rgb, over: Rgb, alpha: Alpha) -> av.VideoFrame:
        """The same codes as layers and blending would give, from the matte alone."""
        picture = canvas.blank(self._pool)
        self._sampler.ramp(alpha, planes(picture), canvas.codes(base), canvas.codes(over))
        return picture
