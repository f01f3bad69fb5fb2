"""Pictures: a single one, a numbered sequence, or a folder that keeps the names of what was read."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path, PurePosixPath

import av

from streamseg.errors import SinkError, UsageError, reason, redacted
from streamseg.frame import Frame, Tracks, VideoFormat
from streamseg.sinks.base import Destination, Sink
from streamseg.sinks.codecs import pixel_formats
from streamseg.sinks.files import OutputFile, check_folder, check_target
from streamseg.sinks.pixels import Conversion, best_format
from streamseg.sinks.video import QP_TO_LAMBDA

_ENCODERS = {
    ".png": "png",
    ".jpg": "mjpeg",
    ".jpeg": "mjpeg",
    ".webp": "libwebp",
    ".bmp": "bmp",
    ".tif": "tiff",
    ".tiff": "tiff",
}

_OPTIONS = {"png": {"compression_level": "3"}, "libwebp": {"quality": "90"}}
"""PNG at 768x432: level 3 takes 13 ms and 140 kB, level 9 26 ms and 120 kB."""

_JPEG_QSCALE = 2

_NUMBER = re.compile(r"%0?(\d*)d")


class PictureSink(Sink):
    """One picture in one file."""

    def __init__(self, destination: Destination) -> None:
        """Raises UsageError or SinkError where the file must not or cannot be written."""
        self.uri = redacted(destination.uri)
        self.notes = []
        self._file = OutputFile(destination.uri, overwrite=destination.overwrite, inputs=destination.inputs)
        self._content: bytes | None = None

    def start(self, video: VideoFormat, first: Frame, tracks: Tracks) -> None:  # noqa: ARG002  (no sound)
        """Note the shape of the pixels."""
        self._aspect = video.sample_aspect_ratio

    def write(self, frame: Frame) -> None:
        """Keep the picture; a second one is a UsageError."""
        path = Path(self.uri)
        if self._content is not None:
            pattern = path.with_name(f"{path.stem}-%05d{path.suffix}")
            raise UsageError(f"more than one picture for {self.uri!r}; number them: {str(pattern)!r}")
        self._content = encode_picture(frame.picture, path.suffix, self._aspect)

    def close(self) -> None:
        """Write the file."""
        if self._content is not None:
            self._file.write(self._content)

    def abort(self) -> None:
        """Write nothing."""


class SequenceSink(Sink):
    """Numbered pictures, `out/%05d.png`, counted from 1; the last folder of the path is made if missing."""

    def __init__(self, destination: Destination) -> None:
        """Raises UsageError if pictures of that pattern are there already and may not be replaced."""
        self.uri = redacted(destination.uri)
        self.notes = []
        self._destination = destination
        self._pattern = Path(destination.uri)
        self._count = 0
        check_folder(self._pattern.parent, create=True)
        if not destination.overwrite:
            self._check_unused()

    def start(self, video: VideoFormat, first: Frame, tracks: Tracks) -> None:  # noqa: ARG002  (no sound)
        """Make the folder."""
        self._aspect = video.sample_aspect_ratio
        _make_folder(self._pattern.parent)

    def write(self, frame: Frame) -> None:
        """Write the next picture."""
        self._count += 1
        name = _NUMBER.sub(lambda found: f"{self._count:0{found[1] or 1}d}", self._pattern.name)
        _write(self._pattern.with_name(name), frame, self._aspect, self._destination)

    def close(self) -> None:
        """Every picture is complete already."""

    def _check_unused(self) -> None:
        parts = _NUMBER.split(self._pattern.name)[::2]
        numbered = re.compile(r"\d+".join(re.escape(part) for part in parts))
        folder = self._pattern.parent
        there = next((each for each in folder.glob("*") if numbered.fullmatch(each.name)), None)
        if there is not None:
            raise UsageError(f"{str(there)!r} exists; pass -y to overwrite it")


class FolderSink(Sink):
    """A PNG for each picture, named like what was read: `a/b.jpg` becomes `a/b.png`; others are counted."""

    def __init__(self, destination: Destination) -> None:
        """Raises SinkError unless the folder is there or can be made."""
        self.uri = redacted(destination.uri)
        self.notes = []
        self._destination = destination
        self._folder = Path(destination.uri)
        self._count = 0
        self._taken: set[str] = set()
        check_folder(self._folder, create=True)

    def start(self, video: VideoFormat, first: Frame, tracks: Tracks) -> None:  # noqa: ARG002  (no sound)
        """Make the folder."""
        self._aspect = video.sample_aspect_ratio
        _make_folder(self._folder)

    def write(self, frame: Frame) -> None:
        """Write one picture under its own name; raises UsageError if that file may not be replaced."""
        self._count += 1
        path = self._folder / self._unused(frame.name or f"{self._count:05d}.png")
        _make_folder(path.parent)
        _write(path, frame, self._aspect, self._destination)

    def close(self) -> None:
        """Every picture is complete already."""

    def _unused(self, name: str) -> PurePosixPath:
        """The name as a PNG inside the folder; another one if an earlier picture of this run has it."""
        parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("..", "/")]
        wanted = path = PurePosixPath(*parts).with_suffix(".png")
        number = 1
        while str(path).casefold() in self._taken:  # casefold: some file systems know no case
            number += 1
            path = wanted.with_stem(f"{wanted.stem}-{number}")
        self._taken.add(str(path).casefold())
        if path != wanted:
            self.notes.append(
                f"{name!r} was written as {path.name!r}: {wanted.name!r} is another picture of this run"
            )
        return path


def encode_picture(picture: av.VideoFrame, extension: str, aspect: Fraction = Fraction(1)) -> bytes:
    """Return the content of a picture file. PNG and TIFF keep grey, RGB and alpha of 8 and 16 bits and
    palette indices to the bit. Raises UsageError for transparency in JPEG, SinkError if encoding fails."""
    encoder = _ENCODERS[extension.lower()]
    name = best_format(picture.format.name, encoder, pixel_formats(encoder), exact=True)
    if name is None:
        raise UsageError(f"{extension!r} cannot hold transparency; use .png, .webp or .tiff")
    conversion = Conversion(picture, name, encoder)
    context = av.CodecContext.create(encoder, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = picture.width, picture.height, name
    context.time_base, context.sample_aspect_ratio = Fraction(1, 25), aspect
    context.color_range, context.colorspace = conversion.colour.range, conversion.colour.matrix
    context.options = dict(_OPTIONS.get(encoder, {}))
    if encoder == "mjpeg":
        context.qscale, context.global_quality = True, _JPEG_QSCALE * QP_TO_LAMBDA
    try:
        packets = [*context.encode(conversion(picture)), *context.encode(None)]
    except (av.FFmpegError, ValueError) as error:
        size = f"{picture.width}x{picture.height}"
        raise SinkError(f"cannot store a picture of {size} as {extension!r}: {reason(error)}") from error
    return b"".join(bytes(packet) for packet in packets)


def snapshot(frame: Frame, folder: Path) -> Path:
    """Write the frame as `streamseg-0001.png`, or the next unused number, in `folder`; return its path."""
    content = encode_picture(frame.picture, ".png")
    number = 1
    while (path := folder / f"streamseg-{number:04d}.png").exists():
        number += 1
    OutputFile(path).write(content)
    return path


def _write(path: Path, frame: Frame, aspect: Fraction, destination: Destination) -> None:
    check_target(path, overwrite=destination.overwrite, inputs=destination.inputs)
    content = encode_picture(frame.picture, path.suffix, aspect)
    OutputFile(path, overwrite=True).write(content)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"cannot make folder {str(folder)!r}: {reason(error)}") from error
