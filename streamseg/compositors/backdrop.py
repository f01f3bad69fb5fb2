"""Pictures and videos as backgrounds: which frame is due, and how it is fitted to the frame in front."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np

from streamseg.colour import EXAMPLES
from streamseg.compositors.convert import Converter
from streamseg.compositors.layers import Painter, Scene
from streamseg.compositors.planes import Canvas, window
from streamseg.effects import Fit
from streamseg.errors import SourceError, StreamsegError, UsageError, reason, redacted
from streamseg.frame import Frame
from streamseg.pictures import planes
from streamseg.sources import Source, open_source
from streamseg.sources.uris import is_live_uri, is_pattern, kind_of, local_path


class BackdropPainter(Painter):
    """A picture, or a video that starts over when it ends; each frame of it is converted once.

    The constructor raises SourceError or UsageError when it cannot be read.
    """

    def __init__(self, uri: str, fit: Fit) -> None:
        self._loop = Loop(uri)
        self._fit = fit
        self._converter = Converter()
        self._due: Frame | None = None
        self._canvas: Canvas | None = None

    def __call__(self, scene: Scene) -> av.VideoFrame:
        """Fit the frame that is due, unless that is still the last one."""
        due = self._loop.at(scene.time)
        if due is not self._due or scene.canvas != self._canvas:
            self._due, self._canvas = due, scene.canvas
            self._fitted = fitted(due.picture, scene.canvas, self._fit, self._converter)
        return self._fitted

    def close(self) -> None:
        """Close the file."""
        self._loop.close()


class Loop:
    """The frames of a source, for ever, by their times, beginning with the first moment asked for."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._source: Source | None = None
        self._shown = self._start()
        self._ahead: Frame | None = None
        self._first = self._shown.time
        self._step = Fraction(1, 25)
        self._zero: Fraction | None = None
        """When the present round began, by the clock of the frames in front."""

    def at(self, time: Fraction) -> Frame:
        """Return the frame due at `time` (seconds). Reads forward only: going back stays where it is."""
        if self._zero is None or time < self._zero:
            self._zero = time - (self._shown.time - self._first)
        while self._source is not None:
            self._ahead = self._ahead or self._read()
            if self._ahead is None:
                if not self._over(time):
                    break
            elif self._ahead.time - self._first > time - self._zero:
                break
            else:
                self._step = self._ahead.time - self._shown.time
                self._shown, self._ahead = self._ahead, None
        return self._shown

    def close(self) -> None:
        """Close the source."""
        if self._source is not None:
            self._source.close()
            self._source = None

    def _over(self, time: Fraction) -> bool:
        """The last frame has been read: begin a new round if its time is up. A still stays, and is closed."""
        length = self._shown.time - self._first + self._step
        assert self._zero is not None
        if self._shown.time == self._first:
            self.close()
        elif time - self._zero >= length:
            self._zero += (time - self._zero) // length * length
            self._restart()
        else:
            return False
        return True

    def _start(self) -> Frame:
        """Open the source and return its first frame; what is live cannot start over."""
        live = UsageError(
            f"background {redacted(self._uri)!r} is live; give a picture, a video file or a colour"
        )
        if is_live_uri(self._uri) or self._uri == "-":
            raise live
        if kind_of(self._uri) == "images" and (is_pattern(self._uri) or local_path(self._uri).is_dir()):
            raise UsageError(f"background {self._uri!r} is several pictures; name one of them, or a video")
        try:
            source = open_source(self._uri)
        except StreamsegError as error:
            hint = f"; a background is a picture, a video or a colour such as {EXAMPLES}"
            raise type(error)(f"background: {reason(error)}{hint}") from error
        if source.live:  # a playlist without an end
            source.close()
            raise live
        self._source = source
        self._frames: Iterator[Frame] = iter(source)
        first = self._read()
        if first is None:
            self.close()
            raise SourceError(f"background {source.uri!r} holds no picture that can be read; give another")
        return first

    def _restart(self) -> None:
        """Begin a new round; a source that has become unreadable leaves its last frame."""
        self.close()
        try:
            self._shown = self._start()
            self._first = self._shown.time
        except StreamsegError:
            self.close()

    def _read(self) -> Frame | None:
        """Return the next frame; None at the end and where damage makes one."""
        try:
            return next(self._frames, None)
        except StreamsegError:
            return None


def fitted(picture: av.VideoFrame, canvas: Canvas, fit: Fit, converter: Converter) -> av.VideoFrame:
    """Return a picture in a canvas' size, pixel format, matrix and range, its shape adapted as `fit` says."""
    width, height = picture.width, picture.height
    if fit == "stretch" or width * canvas.height == height * canvas.width:
        return converter.fill(canvas, picture)
    if fit == "crop":
        wide = min(width, max(1, round(height * canvas.width / canvas.height)))
        high = min(height, max(1, round(width * canvas.height / canvas.width)))
        return converter.fill(canvas, _middle(picture, wide, high))
    scale = min(canvas.width / width, canvas.height / height)
    inner = replace(canvas, width=max(1, round(width * scale)), height=max(1, round(height * scale)))
    return _framed(converter.fill(inner, picture), canvas)


def _middle(picture: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
    """Cut the middle out."""
    whole = Converter().planar(picture)
    canvas = Canvas.of(whole)
    part = replace(canvas, width=width, height=height).blank()
    part.colorspace = canvas.reading.matrix  # untagged, a part with fewer lines would be read otherwise
    left, top = (whole.width - width) // 2, (whole.height - height) // 2
    for source, target in zip(window(whole, left, top, width, height), planes(part), strict=True):
        np.copyto(target, source)
    return part


def _framed(inside: av.VideoFrame, canvas: Canvas) -> av.VideoFrame:
    """Put a smaller picture of the canvas' format in the middle of black."""
    whole = canvas.flat((0, 0, 0))
    left, top = (canvas.width - inside.width) // 2, (canvas.height - inside.height) // 2
    for source, target in zip(
        planes(inside), window(whole, left, top, inside.width, inside.height), strict=True
    ):
        np.copyto(target, source)
    return whole
