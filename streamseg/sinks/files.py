"""Files are written beside their final name and renamed when done, never over something that must stay."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from streamseg.errors import SinkError, StreamsegError, UsageError, reason
from streamseg.sinks.base import Destination


class Target(Protocol):
    """Where the container's bytes go, and what to do when they are complete or given up."""

    def commit(self) -> None:
        """They are complete."""

    def discard(self) -> None:
        """They are given up."""


class Direct:
    """A pipe or a network address: what is written is gone."""

    def commit(self) -> None:
        """Nothing to rename."""

    def discard(self) -> None:
        """Nothing to remove."""


def check_target(path: Path, *, overwrite: bool, inputs: Sequence[str]) -> None:
    """Raise UsageError if `path` is an input, a folder or, without `overwrite`, any file there is."""
    if not path.exists():
        return
    for source in inputs:
        if os.path.exists(source) and path.samefile(source):  # noqa: PTH110  (inputs may be no paths at all)
            raise UsageError(
                f"{str(path)!r} is the same file as input {source!r}; choose another name for the output"
            )
    if path.is_dir():
        raise UsageError(
            f"{str(path)!r} is a folder; give the output a file name, as in {str(path / 'out.mp4')!r}"
        )
    if path.is_file() and not overwrite:
        raise UsageError(f"{str(path)!r} exists; pass -y to overwrite it")


def check_targets(paths: Sequence[Path], destination: Destination) -> None:
    """Raise UsageError if one of many `paths` is an input or, without `overwrite`, exists."""
    there = [path for path in paths if path.exists()]
    inputs = {_identity(path): path for path in map(Path, destination.inputs) if path.exists()}
    for path in there:
        if _identity(path) in inputs:
            raise UsageError(f"{str(path)!r} is the same file as input; choose another folder for the output")
    if there and not destination.overwrite:
        more = f" and {len(there) - 1} more exist" if len(there) > 1 else " exists"
        what = "them" if len(there) > 1 else "it"
        raise UsageError(f"{str(there[0])!r}{more}; pass -y to overwrite {what}")


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def check_folder(folder: Path, *, create: bool = False) -> None:
    """Raise SinkError unless files can be made in `folder`; with `create` its last level may be missing."""
    if create and not folder.exists():
        folder = folder.parent
    if folder.exists() and not folder.is_dir():
        raise SinkError(f"cannot write into {str(folder)!r}: it is a file, not a folder")
    if not folder.is_dir():
        raise SinkError(f"cannot write into {str(folder)!r}: there is no such folder; create it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SinkError(f"cannot write into {str(folder)!r}: permission denied; choose another folder")


def discard_partials(target: Path) -> None:
    """Remove what this process has begun for `target`, a file or a folder of pictures, and not completed."""
    unfinished = f".*.partial-{os.getpid()}-*"
    for partial in target.rglob(unfinished) if target.is_dir() else target.parent.glob(unfinished):
        with suppress(OSError):
            partial.unlink()


class OutputFile:
    """The final name of a file and the name it has until it is complete. The constructor creates nothing."""

    def __init__(self, name: str | Path, *, overwrite: bool = False, inputs: Sequence[str] = ()) -> None:
        """Raises UsageError or SinkError where the file must not or cannot be written."""
        path = Path(name)
        self._asked = str(name)
        try:
            check_target(path, overwrite=overwrite, inputs=inputs)
            self.path = path.resolve()  # a link stays a link: what it points to is replaced
        except (
            OSError,
            ValueError,
            RuntimeError,
        ) as error:  # too long a name, a zero byte, links in a circle
            if isinstance(error, StreamsegError):
                raise
            raise SinkError(f"cannot write {str(name)!r}: {reason(error)}") from error
        check_folder(self.path.parent if path.is_symlink() else path.parent)
        self.partial = self._device() or self.path.with_name(
            f".{self.path.stem[:40]}.partial-{os.getpid()}-{secrets.token_hex(2)}{self.path.suffix}"
        )

    def _device(self) -> Path | None:
        """A pipe or a device is written to directly: nothing could be renamed over it."""
        return self.path if self.path.exists() and not self.path.is_file() else None

    def commit(self) -> None:
        """Put the complete file under its final name; raises SinkError."""
        if self.partial == self.path:
            return
        try:
            if self.path.exists():  # who could not read what was there shall not read this
                self.partial.chmod(stat.S_IMODE(self.path.stat().st_mode))
            self.partial.replace(self.path)
        except OSError as error:
            self.discard()
            raise SinkError(f"cannot write {self._asked!r}: {reason(error)}") from error

    def discard(self) -> None:
        """Remove what was written so far."""
        if self.partial != self.path:
            with suppress(OSError):
                self.partial.unlink()

    def write(self, content: bytes) -> None:
        """Write the whole file at once; raises SinkError and leaves nothing behind when that fails."""
        try:
            self.partial.write_bytes(content)
        except OSError as error:
            self.discard()
            raise SinkError(f"cannot write {self._asked!r}: {reason(error)}") from error
        self.commit()
