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
from streamseg.sinks.files import OutputFile, check_folder, check_targets
from streamseg.sinks.names import as_png, targets
from streamseg.sinks.pixels import Conversion, best_format, lost_range
from streamseg.sinks.tracks import silent
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

_LOSSY = ("mjpeg", "libwebp")

_JPEG_QSCALE = 2

_NUMBER = re.compile(r"%0?(\d*)d")


class PictureSink(Sink):
    """One picture in one file."""

    kind = "a picture"

    def __init__(self, destination: Destination) -> None:
        """Raises UsageError or SinkError where the file must not or cannot be written."""
        self.uri = redacted(destination.uri)
        self.notes = []
        self._file = OutputFile(destination.uri, overwrite=destination.overwrite, inputs=destination.inputs)
        self._content: bytes | None = None
        if (destination.expected_frames or 1) > 1:
            raise UsageError(self._too_many())

    def start(self, video: VideoFormat, first: Frame, tracks: Tracks) -> None:
        """Note the shape of the pixels; raises UsageError for pixels such a file cannot hold."""
        self.notes += _lost_range(first.picture, self._file.path.suffix)
        self._aspect = video.sample_aspect_ratio
        self.notes += silent(self.kind, tracks)

    def write(self, frame: Frame) -> None:
        """Keep the picture; raises SinkError at a second one."""
        if self._content is not None:
            raise SinkError(self._too_many())
        self._content = _encoded(frame, Path(self.uri), self._aspect)

    def close(self) -> None:
        """Write the file."""
        if self._content is not None:
            self._file.write(self._content)

    def abort(self) -> None:
        """Write nothing."""

    def _too_many(self) -> str:
        path = Path(self.uri)
        pattern = path.with_name(f"{path.stem}-%05d{path.suffix}")
        return f"more than one picture for {self.uri!r}; number them: {str(pattern)!r}"


class SequenceSink(Sink):
    """Numbered pictures, `out/%05d.png`, counted from 1; the last folder of the path is made if missing."""

    kind = "a sequence of pictures"

    def __init__(self, destination: Destination) -> None:
        """Raises UsageError if the source reads such pictures, or some are there and may not be replaced."""
        self.uri = redacted(destination.uri)
        self.notes = []
        self._destination = destination
        self._pattern = Path(destination.uri)
        self._count = 0
        check_folder(self._pattern.parent, create=True)
        parts = _NUMBER.split(self._pattern.name)[::2]
        numbered = re.compile(r"\d+".join(re.escape(part) for part in parts))
        check_targets(_matching(numbered, self._pattern.parent), destination)

    def start(self, video: VideoFormat, first: Frame, tracks: Tracks) -> None:
        """Note the shape of the pixels; raises UsageError for pixels such files cannot hold."""
        self.notes += _lost_range(first.picture, self._pattern.suffix)
        self._aspect = video.sample_aspect_ratio
        self.notes += silent(self.kind, tracks)

    def write(self, frame: Frame) -> None:
        """Write the next picture."""
        self._count += 1
        name = _NUMBER.sub(lambda found: f"{self._count:0{found[1] or 1}d}", self._pattern.name)
        _write(self._pattern.with_name(name), frame, self._aspect, self._destination)

    def close(self) -> None:
        """Every picture is complete already."""


class FolderSink(Sink):
    """A PNG for each picture, named like what was read: `a/b.jpg` becomes `a/b.png`; others are counted.

    Where two pictures would become one file, `a.jpg` and `a.png`, theirs are `a.jpg.png` and `a.png.png`.
    """

    kind = "a folder of pictures"

    def __init__(self, destination: Destination) -> None:
        """Raises SinkError unless the folder is there or can be made."""
        self.uri = redacted(destination.uri)
        self.notes = []
        self._destination = destination
        self._folder = Path(destination.uri)
        self._count = 0
        self._paths: dict[str, PurePosixPath] = {}
        self._taken: set[str] = set()
        check_folder(self._folder, create=True)

    def start(self, video: VideoFormat, first: Frame, tracks: Tracks) -> None:
        """Find the names of all pictures; raises UsageError where one must not be written, before any is."""
        self._aspect = video.sample_aspect_ratio
        self.notes += silent(self.kind, tracks)
        if first.name is not None:
            self._paths, whole = targets(self._destination.inputs, first.name, self.uri)
            check_targets([self._folder / path for path in self._paths.values()], self._destination)
            if whole:
                kept = str(self._paths[whole[0]])
                self.notes.append(
                    f"{len(whole)} pictures differ by their extension only, so it is kept: {kept!r}"
                )
            return
        if not self.uri.endswith(("/", "\\")) and not self._folder.is_dir():
            raise UsageError(
                f"{self.uri!r} has no extension: name a video, {self.uri + '.mp4'!r}, "
                f"or a folder for its pictures, {self.uri + '/'!r}"
            )
        check_targets(_matching(re.compile(r"\d{5,}\.png"), self._folder), self._destination)

    def write(self, frame: Frame) -> None:
        """Write one picture under its own name; raises SinkError if that file may not be replaced."""
        self._count += 1
        name = frame.name or f"{self._count:05d}.png"
        path = self._paths.get(name) or as_png(name)
        if str(path).casefold() in self._taken:
            raise SinkError(f"cannot write {str(path)!r}: another picture of this run has that name")
        self._taken.add(str(path).casefold())
        _write(self._folder / path, frame, self._aspect, self._destination)

    def close(self) -> None:
        """Every picture is complete already."""


def encode_picture(picture: av.VideoFrame, extension: str, aspect: Fraction = Fraction(1)) -> bytes:
    """Return the content of a picture file. PNG and TIFF keep grey, RGB and alpha of 8 and 16 bits and
    palette indices to the bit. Raises UsageError for pixels that kind cannot hold, SinkError if encoding
    fails."""
    encoder, name = _ENCODERS[extension.lower()], _stored_format(picture, extension)
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


def _stored_format(picture: av.VideoFrame, extension: str) -> str:
    """The pixel format for `picture` in such a file; raises UsageError where it would lose what matters."""
    encoder = _ENCODERS[extension.lower()]
    if picture.format.has_palette and encoder in _LOSSY:
        raise UsageError(f"{extension!r} would blur class ids; use .png, .bmp or .tiff for labels")
    name = best_format(picture.format.name, encoder, pixel_formats(encoder), exact=True)
    if name is None:
        raise UsageError(f"{extension!r} cannot hold transparency; use .png, .webp or .tiff")
    return name


def _lost_range(picture: av.VideoFrame, extension: str) -> list[str]:
    """What such a file loses of high dynamic range, as notes; raises UsageError like `_stored_format`."""
    name = _stored_format(picture, extension)
    return lost_range(picture, name, repr(extension), _ENCODERS[extension.lower()])


def _encoded(frame: Frame, path: Path, aspect: Fraction) -> bytes:
    """What cannot be stored in the middle of a run concerns this sink only, so it is a SinkError."""
    try:
        return encode_picture(frame.picture, path.suffix, aspect)
    except UsageError as error:
        raise SinkError(f"cannot write {str(path)!r}: {error}") from error


def _write(path: Path, frame: Frame, aspect: Fraction, destination: Destination) -> None:
    content = _encoded(frame, path, aspect)
    _make_folder(path.parent)
    try:
        file = OutputFile(path, overwrite=destination.overwrite, inputs=destination.inputs)
    except UsageError as error:
        raise SinkError(str(error)) from error
    file.write(content)


def _matching(name: re.Pattern[str], folder: Path) -> list[Path]:
    return sorted(each for each in folder.glob("*") if name.fullmatch(each.name))


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"cannot make folder {str(folder)!r}: {reason(error)}") from error
