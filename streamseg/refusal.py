"""What is shown instead of a frame that must not be seen, or could not be segmented."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np

from streamseg.compositors import Compositor, open_compositor
from streamseg.compositors.outputs import label_picture
from streamseg.effects import Backdrop, Camera, Colour, Recipe
from streamseg.errors import RuntimeFailure
from streamseg.frame import Frame, Matte
from streamseg.settings import Refusal
from streamseg.sources.absence import black_like

_CLEAR = np.zeros((1, 1), np.uint8)
_OPAQUE = np.full((1, 1), 255, np.uint8)
_BLACK = Colour((0, 0, 0))


class Refused:
    """Paints in place of an effect. One thread uses it; closed by whoever made it."""

    def __init__(self) -> None:
        self._opened: dict[Recipe, Compositor] = {}

    def hidden(self, frame: Frame, compositor: Compositor) -> Frame:
        """The background of the compositor's effect and nothing else; black where that is a picture of the
        camera's."""
        if not isinstance(compositor.recipe.background, Colour | Backdrop):
            compositor = self._compositor(Recipe(name="hidden", foreground=_BLACK, background=_BLACK))
        return replace(compositor(frame, Matte(_CLEAR, failure="hidden")), hidden=True)

    def failed(self, frame: Frame, matte: Matte, painted: Frame, recipe: Recipe, refusal: Refusal) -> Frame:
        """What is shown of a frame whose matte failed; `painted` shows the background only.

        Raises RuntimeFailure where the run shall end.
        """
        if refusal == "stop":
            raise RuntimeFailure(f"{matte.failure}; --fail stop ends the run here")
        if refusal == "hide" or recipe.output not in ("picture", "alpha"):
            return painted
        whole = Recipe(name="camera", foreground=Camera(), background=_BLACK, output=recipe.output)
        return self._compositor(whole)(frame, Matte(_OPAQUE))

    def close(self) -> None:
        """Close what was opened."""
        for compositor in self._opened.values():
            compositor.close()
        self._opened.clear()

    def _compositor(self, recipe: Recipe) -> Compositor:
        if recipe not in self._opened:
            self._opened[recipe] = open_compositor(recipe, device="cpu")
        return self._opened[recipe]


class Panic:
    """Panic as those at the sinks see it: at once. Their thread uses it."""

    def __init__(self, panicking: Callable[[], bool]) -> None:
        self._panicking = panicking
        self._shown: Frame | None = None

    def checked(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """The same frames; in panic black in place of those painted before it."""
        for frame in frames:
            self._shown = _blackened(frame) if self._panicking() else frame
            yield self._shown

    def overdue(self) -> Frame | None:
        """Black in place of what is shown, once, if somebody has panicked since: the next frame may be long
        in coming where a source is silent."""
        if self._shown is None or self._shown.hidden or not self._panicking():
            return None
        self._shown = replace(_blackened(self._shown), again=True, hidden=True)
        return self._shown


def _blackened(frame: Frame) -> Frame:
    if frame.hidden:
        return frame
    picture = frame.picture
    nobody = np.zeros((picture.height, picture.width), np.uint8)
    black = label_picture(nobody) if picture.format.has_palette else black_like(picture)
    return replace(frame.with_picture(black), hidden=True)
