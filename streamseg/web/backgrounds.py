"""Pictures a browser may choose as background, by name: it can name no file."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from streamseg.colour import find_colour
from streamseg.errors import SinkError, UsageError, reason

NONE = "none"
"""What browsers may call no background; no picture is called so."""

MOST = 16
"""Uploaded pictures that are kept; the oldest gives way."""

_LONGEST = 80


class Backgrounds:
    """The uploaded pictures, in a folder that goes when this is closed, and the one the run began with."""

    def __init__(self) -> None:
        self._folder: TemporaryDirectory[str] | None = None
        self._paths: dict[str, str] = {}
        """By name, oldest first."""
        self._uploads = 0

    def names(self) -> list[str]:
        """What there is to choose from."""
        return list(self._paths)

    def path(self, name: str) -> str:
        """Return what a run takes as background: a colour as it is, else a picture's path. Raises
        UsageError."""
        if name in self._paths:
            return self._paths[name]
        if find_colour(name) is not None:  # raises for what only looks like one
            return name
        there = ", ".join(map(repr, self._paths)) or "none"
        raise UsageError(
            f"no background {name!r}: it is no colour, and uploaded were: {there}; upload it first"
        )

    def name(self, path: str) -> str:
        """Return how browsers call a background in use. One from the command line can be chosen from then
        on."""
        if _like_colour(path):
            return path
        for name, known in self._paths.items():
            if known == path:
                return name
        name = self._free(label(Path(path).name))
        self._paths[name] = path
        return name

    def add(self, name: str, jpeg: bytes, in_use: str | None) -> str:
        """Keep a picture and return its name; one of that name is replaced. `in_use` is the path that has to
        stay. Raises SinkError where there is no room."""
        name = label(name)
        path = self._write(jpeg)
        self._paths.pop(name, None)
        self._paths[name] = path
        self._forget(in_use)
        return name

    def close(self) -> None:
        """Delete what was uploaded."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _write(self, jpeg: bytes) -> str:
        try:
            if self._folder is None:
                self._folder = TemporaryDirectory(prefix="streamseg-", ignore_cleanup_errors=True)
            self._uploads += 1
            path = Path(self._folder.name) / f"{self._uploads}.jpg"
            path.write_bytes(jpeg)
        except OSError as error:
            raise SinkError(f"cannot keep the uploaded picture: {reason(error)}") from error
        return str(path)

    def _forget(self, in_use: str | None) -> None:
        """Delete files that no name stands for any more, the oldest names first; never the one in use."""
        assert self._folder is not None
        mine = [name for name, path in self._paths.items() if self._uploaded(path) and path != in_use]
        for name in mine[: max(0, len(mine) - MOST)]:
            del self._paths[name]
        kept = {*self._paths.values(), in_use}
        for file in Path(self._folder.name).iterdir():
            if str(file) not in kept:
                file.unlink(missing_ok=True)

    def _uploaded(self, path: str) -> bool:
        return self._folder is not None and str(Path(path).parent) == self._folder.name

    def _free(self, name: str) -> str:
        number, free = 2, name
        while free in self._paths:
            free, number = f"{name} ({number})", number + 1
        return free


def label(name: str) -> str:
    """Return a name that can be shown: no folders, nothing unprintable, not too long, not a colour's."""
    name = name.replace("\\", "/").rpartition("/")[2]
    name = "".join(letter for letter in name if letter.isprintable()).strip()[:_LONGEST] or "picture"
    return f"{name} (picture)" if _like_colour(name) or name == NONE else name


def _like_colour(text: str) -> bool:
    try:
        return find_colour(text) is not None
    except UsageError:
        return True
