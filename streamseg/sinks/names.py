"""The names of the pictures in a folder, known before the first one is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from streamseg.errors import UsageError


def as_png(name: str) -> PurePosixPath:
    """Return where picture `name` goes: a PNG inside the folder, whatever dots or roots the name has."""
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("..", "/")]
    return PurePosixPath(*parts).with_suffix(".png")


def targets(inputs: Sequence[str], first: str, folder: str) -> list[PurePosixPath]:
    """Return the PNG of every picture of `inputs`; `first` is the name of one of them.

    Raises UsageError if two would be the same file, on file systems that know no case too.
    """
    found: dict[str, str] = {}
    for name in _names(inputs, first):
        path = str(as_png(name))
        other = found.setdefault(path.casefold(), name)
        if other != name:
            raise UsageError(f"{other!r} and {name!r} would both become {path!r} in {folder!r}; rename one")
    return [as_png(name) for name in found.values()]


def _names(inputs: Sequence[str], first: str) -> list[str]:
    """The name of every input, relative to the folder that `first` is relative to."""
    files = [Path(each).absolute() for each in inputs]
    for file in files:
        root = Path(file.as_posix().removesuffix(first))
        if root != file and all(each.is_relative_to(root) for each in files):
            return [each.relative_to(root).as_posix() for each in files]
    return [first]
