"""The windows of an X display, and which of them is meant, through python-xlib."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streamseg.errors import SourceError, UsageError
from streamseg.sources.uris import WINDOW

if TYPE_CHECKING:
    from Xlib.display import Display

_LISTED = 8
"""Windows an error names at most."""

_DEEPEST = 3
"""Levels below the root at which a program's window may lie: window managers put frames around them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A window and what it can be asked for by."""

    id: int
    title: str
    classes: tuple[str, ...]
    """WM_CLASS: the name of the program and of its kind."""

    def __str__(self) -> str:
        return f"{self.title or self.classes[-1]!r} (0x{self.id:x})"


def find_window(uri: str, display: Display) -> Named:
    """Return the window that `screen:window=...` means; raises UsageError where it names none, SourceError
    where there is none or more than one."""
    asked = uri[len(WINDOW) :]
    windows = list(_windows(display))
    titles = ", ".join(map(str, windows[:_LISTED])) or "none"
    if not asked:
        raise UsageError(f"{uri!r} names no window; write {WINDOW}TITLE; windows found: {titles}")
    fitting = matching(asked, windows)
    if not fitting:
        raise SourceError(f"cannot capture {uri!r}: no such window; windows found: {titles}")
    if len(fitting) > 1:
        several = ", ".join(map(str, fitting[:_LISTED]))
        raise SourceError(
            f"cannot capture {uri!r}: it fits {len(fitting)} windows; name one by id: {several}"
        )
    return fitting[0]


def matching(asked: str, windows: Sequence[Named]) -> list[Named]:
    """Return the windows that `asked` means, by the first of these that fits any: id, title, class, part of
    the title; letter case counts for none."""
    wanted = asked.casefold()
    ways: tuple[Callable[[Named], bool], ...] = (
        lambda window: wanted == f"0x{window.id:x}",
        lambda window: wanted == window.title.casefold(),
        lambda window: wanted in map(str.casefold, window.classes),
        lambda window: wanted in window.title.casefold(),
    )
    return next((found for way in ways if (found := list(filter(way, windows)))), [])


def _windows(display: Display) -> Iterator[Named]:
    """The windows of programs: as the window manager lists them, without one those that are shown."""
    from Xlib.error import BadWindow

    root = display.screen().root
    listed = root.get_full_property(display.intern_atom("_NET_CLIENT_LIST"), 0)
    windows = (
        [display.create_resource_object("window", number) for number in listed.value]
        if listed is not None
        else _shown(root)
    )
    for window in windows:
        with suppress(BadWindow):  # closed meanwhile
            title, classes = _title(display, window), window.get_wm_class() or ()
            if title or classes:
                yield Named(id=window.id, title=title, classes=tuple(classes))


def _shown(window: Any, depth: int = 0) -> Iterator[Any]:
    from Xlib import X
    from Xlib.error import BadWindow

    if depth == _DEEPEST:
        return
    with suppress(BadWindow):
        for child in window.query_tree().children:
            if child.get_attributes().map_state == X.IsViewable:
                yield child
                yield from _shown(child, depth + 1)


def _title(display: Display, window: Any) -> str:
    named = window.get_full_property(display.intern_atom("_NET_WM_NAME"), 0)
    title = named.value if named is not None else window.get_wm_name() or ""
    return title.decode(errors="replace") if isinstance(title, bytes) else str(title)
