"""The compositor for the GPU: a frame goes up once, a kernel blends each plane, a picture comes down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import cast

import av
import numpy as np

from streamseg.compositors.base import Compositor
from streamseg.compositors.classes import Classes
from streamseg.compositors.convert import Converter
from streamseg.compositors.layers import Scene
from streamseg.compositors.legend import Legend
from streamseg.compositors.libav import LibavCompositor
from streamseg.compositors.operations import Traces
from streamseg.compositors.outputs import alpha_canvas, coloured, grey_canvas, label_picture, own_alpha
from streamseg.compositors.planes import Canvas
from streamseg.effects import Camera, ClassColours, Recipe
from streamseg.errors import RuntimeFailure
from streamseg.frame import Frame, LabelMap, Matte
from streamseg.gpu.decoded import decoded
from streamseg.gpu.device import Device, Steps
from streamseg.gpu.jobs import Record
from streamseg.gpu.layers import CardScene, card_painter, weighted
from streamseg.gpu.lent import LENDABLE
from streamseg.gpu.mattes import CardAlpha, CardOperations, Step
from streamseg.gpu.merge import blend, even, fainter, in_colour, merged, tinted
from streamseg.gpu.outputs import cut_out, keeps_planes, looked_up
from streamseg.gpu.slot import Slot
from streamseg.gpu.surface import Later, OnCard, Surface, download, positions, upload
from streamseg.pictures import Plane, Pool

_THIN = 8
"""Columns and rows of a label map to one that counts for the legend."""


class CudaCompositor(Compositor):
    """Paints recipes with CUDA. What a GPU refuses is a RuntimeFailure: no frame comes out, never a raw one.

    After one, everything on the card is given back, so that the next frame begins afresh.
    """

    name = "cuda"

    def __init__(
        self,
        recipe: Recipe,
        *,
        classes: Sequence[str],
        foreground: Sequence[str],
        device: Device | None = None,
        beside: LibavCompositor | None = None,
    ) -> None:
        """`device`: one that others use too, closed by whoever opened it; an own one without. `beside`: one
        that paints the same recipe and is closed later; its backgrounds, which it has open, are shown.

        Raises UsageError for an unknown class and where PyCUDA or NVRTC is missing, UsageError or SourceError
        for a background that cannot be opened, RuntimeFailure where the GPU cannot be used.
        """
        self.recipe = recipe
        self._classes = Classes(recipe, classes, foreground)
        self.classes, self.foreground = self._classes.names, self._classes.foreground
        self._converter = Converter()
        self._pool = Pool()
        self._operations = CardOperations(recipe.operations)
        overlay = recipe.foreground if isinstance(recipe.foreground, ClassColours) else None
        self._classes_shown = overlay is not None
        self._opacity = overlay.opacity if overlay else 1.0
        self._over_camera = isinstance(recipe.background, Camera)
        self._legend = Legend(classes) if overlay and overlay.legend and self._classes.many else None
        base, over = (beside.base, beside.over) if beside else (None, None)
        self._base = card_painter(recipe.background, "base", many=self._classes.many, beside=base)
        try:
            self._over = card_painter(recipe.foreground, "over", many=self._classes.many, beside=over)
            self._own = Device() if device is None else None
        except BaseException:
            self._base.close()
            raise
        self._device = device or cast(Device, self._own)
        self._slot = Slot(self._device)

    def __call__(self, frame: Frame, matte: Matte) -> Frame:
        """Return the frame as the viewer shall see it.

        Raises RuntimeFailure where the GPU fails, UsageError without the label map the recipe needs.
        """
        return self.paint(frame, matte, OnCard(self._device))

    def paint(self, frame: Frame, matte: Matte, held: OnCard) -> Frame:
        """The same for a frame of which some is `held` on the card; that is neither uploaded nor changed.

        `frame` then says only its size and timing, `matte` only whether it failed. Called from any thread but
        the GPU's own.
        """
        if held.labels is None:
            self._classes.require(matte)
        if self.recipe.output == "labels" and (held.labels is None or matte.failure is not None):
            # Class ids that are not on the card have no business there.
            return frame.with_picture(label_picture(self._classes.shown_labels(matte, frame.size)))
        fresh = None if held.surface else decoded(frame.native)
        held = replace(held, surface=fresh) if fresh else held
        if self.recipe.output == "alpha" and held.surface and not keeps_planes(held.surface.canvas):
            held = replace(held, surface=None)
        picture = None
        if self._needs_picture and held.surface is None:
            picture = self._readable(frame.picture)
        canvas = held.surface.canvas if held.surface else Canvas.of(frame.native)
        canvas = canvas.in_colour if self._classes_shown else canvas
        scene = Scene(canvas, frame.native, np.zeros((1, 1), np.uint8), None, frame.time)
        self._base.prepare(scene)
        self._over.prepare(scene)

        def work() -> Later:
            if fresh:
                self._slot.follow_decoder()
            return self._painted(frame, matte, held, picture)

        painted = frame.with_picture(self._run(work)())
        return replace(painted, brought=self._device.lender.refused) if frame.stays else painted

    def reset(self) -> None:
        """Forget the echo of earlier frames."""
        self._operations.reset()

    def traces(self) -> Traces:
        """The echo, for another compositor of the same recipe. Raises GpuFailure."""
        return self._device.run(lambda: self._operations.traces(self._slot))

    def recall(self, traces: Traces) -> None:
        """Go on with the echo of another compositor. Raises GpuFailure."""
        self._device.run(lambda: self._operations.recall(self._slot, traces))

    def close(self) -> None:
        """Give the card's memory back, in order, on the GPU's thread; close backgrounds."""
        with suppress(RuntimeFailure):
            self._device.run(self._slot.clear, within=self._device.CLOSING)
        if self._own is not None:
            self._own.close()
        self._base.close()
        self._over.close()

    @property
    def _needs_picture(self) -> bool:
        return self.recipe.output in ("picture", "alpha")

    def _run(self, work: Callable[[], Later]) -> Later:
        """Queue a frame's work, wait for it once; whatever goes wrong, the next frame begins afresh."""

        def guarded() -> Steps[Later]:
            try:
                later = work()
                yield self._slot.queued()
                return later
            except Exception:
                self._slot.clear()
                self._operations.reset()
                self._base.forget()
                self._over.forget()
                raise

        return self._device.carry_out(guarded)

    def _readable(self, picture: av.VideoFrame) -> av.VideoFrame:
        """The picture in a format whose components kernels find; of what is cut out, in that of its kin."""
        if self.recipe.output == "alpha":
            opaque = self._converter.planar(picture)
            return coloured(opaque, alpha_canvas(Canvas.of(opaque)))
        return picture if positions(picture.format.name) else self._converter.planar(picture)

    def _painted(self, frame: Frame, matte: Matte, held: OnCard, picture: av.VideoFrame | None) -> Later:
        """On the GPU's thread: queue everything."""
        labels = self._labels(matte, held)
        if self.recipe.output == "labels":
            return self._label_picture(cast(CardAlpha, labels))
        alpha = self._alpha(frame, matte, held, labels)
        if self.recipe.output == "matte":
            return self._blended(
                grey_canvas(frame.size), [weighted([], [], 0)], [weighted([], [], 255)], alpha
            )
        surface = held.surface if picture is None else upload(self._slot, "frame", picture)
        assert surface is not None
        if self.recipe.output == "alpha":
            canvas = held.surface.canvas if held.surface else Canvas.of(frame.native)
            return self._cut_out(frame.native, surface, alpha, alpha_canvas(canvas))
        if self._classes_shown:
            surface = in_colour(self._slot, surface)
        scene = CardScene(self._slot, surface, alpha, labels)
        seen = self._seen_labels(matte, labels)
        over = self._over(scene)
        if self._opacity < 1 and self._over_camera:  # tinting and merging are one blend
            alpha = fainter(self._slot, alpha, self._opacity)
        elif self._opacity < 1:
            over = tinted(scene, over, self._opacity)
        stays = frame.stays and seen is None
        painted = self._blended(surface.canvas, self._base(scene), over, alpha, stays=stays)
        return painted if seen is None else self._explained(painted, surface.canvas, seen)

    def _labels(self, matte: Matte, held: OnCard) -> CardAlpha | None:
        """The label map on the card; None where it is not asked for, or the matte failed."""
        if matte.failure is not None or not self._classes.decide:
            return None
        return held.labels or self._codes("labels", cast(LabelMap, matte.labels))

    def _alpha(self, frame: Frame, matte: Matte, held: OnCard, labels: CardAlpha | None) -> CardAlpha:
        """The matte after the operations. A failed one stays empty: inverted, it would show everything."""
        if matte.failure is not None:
            return even(self._slot, 0)
        if frame.name is not None:  # a still has no past
            self.reset()
        if labels is not None:
            alpha = Step(self._slot, "chosen").mapped(labels, self._classes.chosen)
        else:
            alpha = held.alpha or self._codes("alpha", matte.alpha)
        return self._operations(self._slot, alpha, frame.size, frame.time)

    def _codes(self, name: str, codes: Plane) -> CardAlpha:
        height, width = codes.shape
        return CardAlpha(self._slot.upload(name, [codes])[0], width, height)

    def _blended(
        self,
        canvas: Canvas,
        base: Sequence[Record],
        over: Sequence[Record],
        alpha: CardAlpha,
        *,
        stays: bool = False,
    ) -> Later:
        """Two layers, blended; where the picture `stays` on the card, if it can, it is finished after the
        wait."""
        if stays and canvas.format in LENDABLE and canvas.width % 2 == canvas.height % 2 == 0:
            lent = self._device.lender.lend(canvas)
            if lent is not None:
                picture, targets = lent
                blend(self._slot, targets, canvas, base, over, alpha)
                return lambda: picture
        _, address, size = merged(self._slot, "finished", canvas, base, over, alpha)
        return download(self._slot, canvas, address, size, self._pool)

    def _cut_out(self, picture: av.VideoFrame, surface: Surface, alpha: CardAlpha, kin: Canvas) -> Later:
        """The frame with alpha, black where it is transparent."""
        address, size = cut_out(self._slot, "finished", surface, alpha, kin, own=own_alpha(picture, kin))
        return download(self._slot, kin, address, size, self._pool)

    def _explained(self, painted: Later, canvas: Canvas, seen: LabelMap) -> Later:
        """With a legend of the classes seen."""
        legend = cast(Legend, self._legend)

        def later() -> av.VideoFrame:
            made = painted()
            legend.draw(made, canvas, seen, self._classes.shown)
            return made

        return later

    def _seen_labels(self, matte: Matte, labels: CardAlpha | None) -> LabelMap | None:
        """Enough of the label map for a legend, if there is one; from the card it is there after the wait."""
        if self._legend is None or labels is None:
            return None
        if matte.labels is not None:
            return matte.labels[::_THIN, ::_THIN]
        size = -(-labels.width // _THIN), -(-labels.height // _THIN)
        return looked_up(self._slot, labels, np.arange(256, dtype=np.uint8), size, _THIN)

    def _label_picture(self, labels: CardAlpha) -> Later:
        """Class ids that are on the card."""
        ids = looked_up(self._slot, labels, self._classes.shown_ids, labels.size, 1)
        return lambda: label_picture(np.array(ids))
