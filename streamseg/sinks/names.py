"""The names of the pictures in a folder, known before the first one is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from streamseg.errors import UsageError


def as_png(name: str, *, whole: bool = False) -> PurePosixPath:
    """Return where picture `name` goes: a PNG inside the folder, whatever dots or roots the name has.

    `whole`: `a.jpg` becomes `a.jpg.png` instead of `a.png`.
    """
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("..", "/")]
    path = PurePosixPath(*parts)
    return path.with_name(path.name + ".png") if whole else path.with_suffix(".png")


def targets(inputs: Sequence[str], first: str, folder: str) -> tuple[dict[str, PurePosixPath], list[str]]:
    """Return the PNG of every picture of `inputs` by its name, and the names that are kept whole.

    `first` is the name of one of them. Names that would become one file, on file systems that know no case
    too, are kept whole. Raises UsageError if that does not tell them apart.
    """
    names = dict.fromkeys(_names(inputs, first))
    whole: set[str] = set()
    while True:
        paths = {name: as_png(name, whole=name in whole) for name in names}
        alike = [group for group in _by_path(paths) if len(group) > 1]
        for group in alike:
            if whole.issuperset(group):
                one, other, path = group[0], group[1], str(paths[group[0]])
                raise UsageError(
                    f"{one!r} and {other!r} would both become {path!r} in {folder!r}; rename one"
                )
            whole.update(group)
        if not alike:
            return paths, [name for name in names if name in whole]


def _by_path(paths: dict[str, PurePosixPath]) -> list[list[str]]:
    groups: dict[str, list[str]] = {}
    for name, path in paths.items():
        groups.setdefault(str(path).casefold(), []).append(name)
    return list(groups.values())


def _names(inputs: Sequence[str], first: str) -> list[str]:
    """The name of every input, relative to the folder that `first` is relative to."""
    files = [Path(each).absolute() for each in inputs]
    for file in files:
        root = Path(file.as_posix().removesuffix(first))
        if root != file and all(each.is_relative_to(root) for each in files):
            return [each.relative_to(root).as_posix() for each in files]
    return [first]
