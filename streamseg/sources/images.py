"""Pictures: one, a folder or a glob, each in its native pixel format and upright."""

from __future__ import annotations

import io
import math
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av

from streamseg.errors import SourceError, reason
from streamseg.frame import Frame, VideoFormat
from streamseg.sources import diagnosis
from streamseg.sources.base import Source
from streamseg.sources.exif import orientation
from streamseg.sources.timing import exact_rate, paced
from streamseg.sources.upright import Chain, turn_by_exif
from streamseg.sources.uris import PICTURES, VIDEOS, is_pattern, local_path

_RATE = 25.0
"""Pictures per second when they become a video and nobody says otherwise."""


class ImageSource(Source):
    """Stills in natural order (img2 before img10); those that cannot be read are skipped with a warning."""

    stills = True

    def __init__(
        self, uri: str, *, live: bool | None = None, duration: float | None = None, fps: float | None = None
    ) -> None:
        super().__init__(uri, live=bool(live))
        self._root, files = _files(uri, self.warnings)
        rate = exact_rate(str(fps or _RATE))
        if duration is not None:
            files = files[: math.ceil(Fraction(str(duration)) * rate)]
        self.paths = tuple(str(file) for file in files)
        self.expected_frames = len(files)
        self.duration = float(len(files) / rate)
        self._frames = self._read(files, 1 / rate)
        first = next(self._frames, None)
        if first is None:
            raise SourceError(f"none of the {len(files)} pictures of {uri!r} can be read; {self.warnings[0]}")
        self._frames = chain([first], self._frames)
        width, height = first.size
        self.video = VideoFormat(width=width, height=height, time_base=1 / rate, rate=rate)

    def __iter__(self) -> Iterator[Frame]:
        yield from paced(self._frames, lambda: self.interrupted) if self.live else self._frames

    def _read(self, files: list[Path], time_base: Fraction) -> Iterator[Frame]:
        index = 0
        for file in files:
            name = file.relative_to(self._root).as_posix()
            try:
                picture, whole = read_picture(file)
            except SourceError as error:
                if len(files) == 1:
                    raise
                self.warnings.append(f"skipped {name!r}: {error}")
                continue
            if not whole:
                self.warnings.append(f"{name!r} was cut short: part of the picture is missing")
            picture.pts, picture.time_base = index, time_base
            index += 1
            yield Frame(picture, time.monotonic(), name=name)

    def close(self) -> None:
        """Nothing stays open."""


def read_picture(path: Path) -> tuple[av.VideoFrame, bool]:
    """Decode one still, upright, in its native pixel format; say whether it is whole. Raises SourceError."""
    try:
        content = path.read_bytes()
        # Opened by content, not by name: a name may hold `%d` or lie about the format.
        with av.open(io.BytesIO(content), "r") as container:
            if not container.format.name.endswith("_pipe"):
                kind = container.format.long_name
                raise SourceError(f"{path.name!r} is no picture: it holds {kind}; rename it to what it is")
            picture = next(container.decode(video=0), None)
    except (av.FFmpegError, OSError, ValueError, IndexError) as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"cannot read {path.name!r}: {diagnosis.unreadable(path)}") from error
    if picture is None:
        raise SourceError(f"cannot read {path.name!r}: {diagnosis.unreadable(path)}")
    # The side data goes too: encoders would write the old orientation beside the upright pixels.
    upright = Chain((*turn_by_exif(orientation(content)), ("sidedata", "mode=delete")))(picture)
    return upright, not picture.is_corrupt and not _cut_jpeg(content)


def _cut_jpeg(content: bytes) -> bool:
    """Whether a JPEG lacks its end mark after the last scan; its decoder fills the rest and says nothing."""
    return content[:2] == b"\xff\xd8" and b"\xff\xd9" not in content[content.rfind(b"\xff\xda") :]


def _files(uri: str, skipped: list[str]) -> tuple[Path, list[Path]]:
    """Return the folder that names are relative to, and the pictures in natural order. Raises SourceError.

    `skipped` gets a line for each picture and subfolder that cannot be reached.
    """
    path = local_path(uri)
    if path.is_dir():
        return path, _pictures(_below(path, skipped), path, f"folder {uri!r}", skipped)
    if path.exists() or not is_pattern(uri):
        if not path.exists():
            raise SourceError(f"cannot open {uri!r}: {diagnosis.missing(path)}")
        return path.parent, [path]
    anchor, pattern = path.anchor, re.sub(r"%0?\d*d", "[0-9]*", path.relative_to(path.anchor).as_posix())
    files = _pictures(Path(anchor).glob(pattern), path.parent, f"pattern {uri!r}", skipped)
    return Path(os.path.commonpath([file.parent for file in files])), files


def _below(folder: Path, skipped: list[str]) -> Iterator[Path]:
    """Every file of a folder and its subfolders but hidden ones; no link to a folder is followed."""

    def refused(error: OSError) -> None:
        skipped.append(f"skipped folder {os.path.relpath(error.filename, folder)!r}: {reason(error)}")

    for parent, subfolders, names in os.walk(folder, onerror=refused):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def _pictures(files: Iterable[Path], root: Path, asked: str, skipped: list[str]) -> list[Path]:
    present = []
    for file in sorted(files, key=_natural):
        try:
            if stat.S_ISREG(file.stat().st_mode):
                present.append(file)
        except OSError as error:
            gone = isinstance(error, FileNotFoundError)
            why = diagnosis.missing(file) if gone else reason(error)
            if file.suffix.lower() in PICTURES:
                skipped.append(f"skipped {os.path.relpath(file, root)!r}: {why}")
    pictures = [file for file in present if file.suffix.lower() in PICTURES]
    if pictures:
        return pictures
    videos = [file.name for file in present if file.suffix.lower() in VIDEOS]
    if videos:
        raise SourceError(f"{asked} holds no pictures but videos; name one of them, like {videos[0]!r}")
    found = f"only {len(present)} other files" if present else "no files at all"
    more = f"; {skipped[0]}" if skipped else ""
    raise SourceError(f"{asked} holds no pictures (png, jpg, webp, tif, bmp ...), {found}{more}")


def _natural(path: Path) -> tuple[list[list[str | int]], str]:
    """Sort key: numbers inside names count as numbers; equal names are kept apart by their spelling."""
    pieces = [re.split(r"(\d+)", part.lower()) for part in path.parts]
    # re.split alternates text and digits, so numbers only ever meet numbers.
    return [[int(piece) if at % 2 else piece for at, piece in enumerate(part)] for part in pieces], str(path)
