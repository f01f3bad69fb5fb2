"""Pictures made by us, always the same: a walking figure (`test:`) and a portrait in motion (`demo:`)."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from typing import Protocol

import av

from streamseg.errors import UsageError
from streamseg.frame import Frame, VideoFormat
from streamseg.pictures import Pool
from streamseg.sources import planes
from streamseg.sources.base import Source
from streamseg.sources.timing import exact_rate, paced

_PAINTERS = {"test": "streamseg.sources.walker:Walker", "demo": "streamseg.sources.portrait:Portrait"}

_SPEC = re.compile(
    r"(?:(?P<width>\d+)x(?P<height>\d+))?(?:@(?P<rate>\d+(?:\.\d+|/\d+)?))?(?:,?(?P<seconds>\d+(?:\.\d+)?)s)?"
)

_LARGEST = 16384
_FASTEST = 1000


class Painter(Protocol):
    """Draws one picture after the other; made for a size (W, H) and a rate."""

    def __init__(self, width: int, height: int, rate: Fraction) -> None: ...

    def paint(self, picture: list[planes.Plane], index: int) -> None:
        """Fill the planes of frame `index`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What stands behind the colon: `1280x720@30,10s`, each part optional."""

    width: int = 1280
    height: int = 720
    rate: Fraction = Fraction(30)
    seconds: float = 10.0


class SyntheticSource(Source):
    """`test:` or `demo:` with a Spec; options given beside it win."""

    def __init__(
        self,
        uri: str,
        *,
        live: bool | None = None,
        duration: float | None = None,
        size: tuple[int, int] | None = None,
        fps: float | None = None,
    ) -> None:
        kind, _, text = uri.partition(":")
        spec = parse(uri, text)
        width, height = size or (spec.width, spec.height)
        rate = exact_rate(str(fps)) if fps else spec.rate
        seconds = duration or spec.seconds
        super().__init__(uri, live=bool(live), duration=seconds)
        self.expected_frames = max(1, round(seconds * rate))
        self.video = VideoFormat(width=width, height=height, time_base=1 / rate, rate=rate)
        module, _, name = _PAINTERS[kind.lower()].partition(":")
        self._pool = Pool()
        self._painter: Painter = getattr(import_module(module), name)(width, height, rate)

    def __iter__(self) -> Iterator[Frame]:
        yield from paced(self._frames(), lambda: self.interrupted) if self.live else self._frames()

    def _frames(self) -> Iterator[Frame]:
        for index in range(self.expected_frames or 0):
            yield Frame(self._picture(index), time.monotonic())

    def _picture(self, index: int) -> av.VideoFrame:
        picture = planes.blank(self.video.width, self.video.height, self._pool)
        self._painter.paint(planes.views(picture), index)
        picture.pts, picture.time_base, picture.duration = index, self.video.time_base, 1
        return picture

    def close(self) -> None:
        """Nothing stays open."""


def parse(uri: str, text: str) -> Spec:
    """Read a Spec; raises UsageError."""
    kind = uri.partition(":")[0]
    found = _SPEC.fullmatch(text)
    if not found:
        raise UsageError(f"cannot understand {uri!r}; write size, rate and length: {kind}:1280x720@30,10s")
    parts = {name: value for name, value in found.groupdict().items() if value is not None}
    default = Spec()
    try:
        spec = Spec(
            width=int(parts.get("width", default.width)),
            height=int(parts.get("height", default.height)),
            rate=exact_rate(parts["rate"]) if "rate" in parts else default.rate,
            seconds=float(parts.get("seconds", default.seconds)),
        )
    except ZeroDivisionError:
        raise UsageError(f"{uri!r} divides its rate by zero; write it like {kind}:@30000/1001") from None
    if not (1 <= spec.width <= _LARGEST and 1 <= spec.height <= _LARGEST):
        raise UsageError(f"{uri!r} is no size to draw; sizes go from 1x1 to {_LARGEST}x{_LARGEST}")
    if not 0 < spec.rate <= _FASTEST or not spec.seconds > 0:
        raise UsageError(f"{uri!r} needs a rate up to {_FASTEST} and a length above 0, like {kind}:@30,10s")
    return spec
