"""Single windows of an X display: found by name, followed, hidden, closed. The windows are real ones."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import pytest

from streamseg.errors import SourceError, UsageError
from streamseg.frame import Frame
from streamseg.sources import open_source, window
from streamseg.sources.uris import is_live_uri
from streamseg.sources.windows import Named, matching
from tests.commandline import FAST, process
from tests.x11 import Xvfb

Xlib = pytest.importorskip("Xlib", reason="needs the package python-xlib")

from Xlib import X  # noqa: E402
from Xlib import display as xlib  # noqa: E402
from Xlib.error import ConnectionClosedError  # noqa: E402

GREEN, RED = 0x20C040, 0xD02010


class Client:
    """A program with windows of one colour each."""

    def __init__(self, display: str) -> None:
        self._display = xlib.Display(display)
        self._screen = self._display.screen()

    def open(
        self,
        title: str,
        colour: int,
        place: tuple[int, int, int, int] = (10, 20, 100, 80),
        *,
        kind: str = "Painter",
        border: int = 0,
    ) -> object:
        """Show a window at (x, y) of size (w, h), a white line along its left edge."""
        made = self._screen.root.create_window(
            *place, border, self._screen.root_depth, background_pixel=colour, override_redirect=True
        )
        made.set_wm_name(title)
        made.set_wm_class(kind.lower(), kind)
        made.map()
        self.sync()
        return made

    def sync(self) -> None:
        """Wait until all that was asked has been done."""
        self._display.sync()

    def close(self) -> None:
        """End the program: its windows go."""
        with suppress(ConnectionClosedError):
            self._display.close()


@pytest.fixture
def client(display: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A program on the usual display."""
    monkeypatch.setenv("DISPLAY", display)
    program = Client(display)
    yield program
    program.close()


def colour_of(frame: Frame) -> int:
    """The one colour of a frame, 0xRRGGBB."""
    pixels = frame.picture.to_ndarray(format="rgb24").reshape(-1, 3)
    assert (pixels == pixels[0]).all()
    red, green, blue = map(int, pixels[0])
    return red << 16 | green << 8 | blue


def test_a_covered_window_is_captured_whole(client: Client) -> None:
    """What lies over the window is not seen: its own pixels are, without its border."""
    client.open("wanted", GREEN, (10, 20, 100, 80), border=3)
    client.open("in front", RED, (50, 50, 200, 100))
    with open_source("screen:window=wanted", fps=50) as source:
        assert source.live
        assert source.video.rate == 50
        first, second = (frame for frame, _ in zip(source, range(2), strict=False))
    assert first.size == (100, 80)
    assert first.picture.format.name == "bgr0"
    assert colour_of(first) == colour_of(second) == GREEN
    assert first.time == 0 < second.time


def test_moves_and_sizes_are_followed(client: Client) -> None:
    """A window that is moved stays in the picture, one that changes its size changes the frames'."""
    wanted = client.open("wanted", GREEN)
    with open_source("screen:window=wanted", fps=200) as source:
        frames = iter(source)
        assert next(frames).size == (100, 80)
        wanted.configure(x=150, y=100)
        client.sync()
        assert colour_of(next(frames)) == GREEN
        for size in ((131, 57), (40, 30), (300, 200)):
            wanted.configure(width=size[0], height=size[1])
            client.sync()
            frame = next(frames)
            assert frame.size == size
            assert colour_of(frame) == GREEN


def test_nothing_around_a_round_window_is_seen(client: Client) -> None:
    """Outside a window that is no rectangle all is black, whatever lies there."""
    from Xlib.ext import shape

    client.open("behind", RED, (0, 0, 320, 240))
    wanted = client.open("wanted", GREEN)
    wanted.shape_rectangles(shape.SO.Set, shape.SK.Bounding, X.Unsorted, 0, 0, [(20, 10, 50, 40)])
    client.sync()
    with open_source("screen:window=wanted") as source:
        pixels = next(iter(source)).picture.to_ndarray(format="rgb24")
    expected = np.zeros((80, 100, 3), np.uint8)
    expected[10:50, 20:70] = 0x20, 0xC0, 0x40
    assert (pixels == expected).all()


def test_a_minimised_window_is_absent(client: Client) -> None:
    """While a window is not shown frames say that there is nothing, and show nothing; then it is back."""
    wanted = client.open("wanted", GREEN)
    with open_source("screen:window=wanted", fps=200) as source:
        frames = iter(source)
        assert not next(frames).absent
        wanted.unmap()
        client.sync()
        gone = next(frames)
        assert gone.absent
        assert gone.size == (100, 80)
        assert colour_of(gone) == 0
        wanted.map()
        client.sync()
        back = next(frames)
        assert not back.absent
        assert colour_of(back) == GREEN


def test_a_window_minimised_while_it_is_read(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the question whether a window is shown and its picture it may be minimised: it is absent."""
    wanted = client.open("wanted", GREEN)
    with open_source("screen:window=wanted", fps=200) as source:
        frames = iter(source)
        next(frames)
        follow = window.WindowSource._follow

        def late(self: window.WindowSource) -> None:
            wanted.unmap()
            client.sync()
            follow(self)

        monkeypatch.setattr(window.WindowSource, "_follow", late)
        wanted.configure(width=50)
        client.sync()
        assert next(frames).absent
        monkeypatch.undo()
        wanted.map()
        client.sync()
        assert colour_of(next(frames)) == GREEN


def test_a_window_closed_while_it_is_opened(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window that goes before its first picture is an error."""
    wanted = client.open("wanted", GREEN)
    find = window.find_window

    def late(*arguments: object) -> Named:
        found = find(*arguments)  # type: ignore[arg-type]
        wanted.destroy()
        client.sync()
        return found

    monkeypatch.setattr(window, "find_window", late)
    with pytest.raises(SourceError, match="cannot capture 'screen:window=wanted': that window has just been"):
        open_source("screen:window=wanted")


def test_a_closed_window_ends_the_source(client: Client) -> None:
    """When the window is closed frames end in good order, and a note says why."""
    wanted = client.open("wanted", GREEN)
    with open_source("screen:window=wanted", fps=200) as source:
        frames = iter(source)
        next(frames)
        next(frames)
        wanted.destroy()
        client.sync()
        assert list(frames) == []
    assert source.warnings == ["'screen:window=wanted': the window was closed after 2 frames"]


def test_a_display_that_goes_away_is_an_error(
    xvfb: Callable[[], Xvfb], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the display is gone that is said in one line."""
    server = xvfb()
    monkeypatch.setenv("DISPLAY", server.display)
    program = Client(server.display)
    program.open("wanted", GREEN)
    with open_source("screen:window=wanted", fps=200) as source:
        frames = iter(source)
        next(frames)
        server.stop()
        with pytest.raises(
            SourceError, match=r"cannot read 'screen:window=wanted': .*; is the display still"
        ):
            list(frames)
    program.close()


@pytest.mark.parametrize("asked", ["Wanted one", "WANTED ONE", "wanted", "Painter", "{id:#x}"])
def test_ways_to_name_a_window(client: Client, asked: str) -> None:
    """A title or a part of it, a class or an id name a window; letter case counts for none."""
    client.open("other", RED, kind="Other")
    wanted = client.open("Wanted one", GREEN)
    with open_source(f"screen:window={asked.format(id=wanted.id)}") as source:
        assert colour_of(next(iter(source))) == GREEN


def test_the_window_managers_list_counts(client: Client) -> None:
    """Where a window manager lists the windows, those are the ones there are, with titles in any script."""
    listed = client.open("x", GREEN, kind="Listed")
    client.open("unlisted", RED, kind="Unlisted")
    display = client._display
    name, utf8 = display.intern_atom("_NET_WM_NAME"), display.intern_atom("UTF8_STRING")
    listed.change_property(name, utf8, 8, "Übersicht – 概要".encode())
    clients = display.intern_atom("_NET_CLIENT_LIST")
    client._screen.root.change_property(clients, display.intern_atom("WINDOW"), 32, [listed.id])
    client.sync()
    try:
        with open_source("screen:window=übersicht") as source:
            assert colour_of(next(iter(source))) == GREEN
        with pytest.raises(SourceError, match="no such window; windows found: 'Übersicht – 概要' "):
            open_source("screen:window=unlisted")
        listed.unmap()
        client.sync()
        with pytest.raises(SourceError, match="that window is minimised; bring it up first"):
            open_source("screen:window=übersicht")
    finally:
        client._screen.root.delete_property(clients)
        client.sync()


def test_a_window_that_is_not_there(client: Client) -> None:
    """A name that fits no window, and no name, are answered with the windows there are."""
    shown = client.open("wanted", GREEN)
    with pytest.raises(
        SourceError, match=f"^cannot capture .*: no such window; windows found: 'wanted' \\({shown.id:#x}\\)$"
    ):
        open_source("screen:window=nothing")
    with pytest.raises(
        UsageError, match="names no window; write screen:window=TITLE; windows found: 'wanted'"
    ):
        open_source("screen:window=")


def test_a_name_that_fits_several(client: Client) -> None:
    """Which of several windows is meant must be said."""
    client.open("wanted 1", GREEN)
    client.open("wanted 2", RED)
    with pytest.raises(SourceError, match=r"it fits 2 windows; name one by id: 'wanted \d' \(0x"):
        open_source("screen:window=wanted")


def test_nearer_names_come_first() -> None:
    """A whole title beats a class, a class a part of a title."""
    part = Named(id=1, title="my term and more", classes=("a", "A"))
    whole = Named(id=2, title="term", classes=("b", "B"))
    kind = Named(id=3, title="c", classes=("term", "Term"))
    assert matching("term", [part, kind, whole]) == [whole]
    assert matching("term", [part, kind]) == [kind]
    assert matching("term", [part]) == [part]
    assert matching("0x3", [part, kind, whole]) == [kind]
    assert matching("none", [part, kind, whole]) == []


# python-xlib leaves the sockets it could not connect to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_a_display_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A display nobody serves is named in the answer."""
    monkeypatch.setenv("DISPLAY", ":9876")
    with pytest.raises(SourceError, match=r"cannot capture 'screen:window=a' \(:9876\): .*; check DISPLAY"):
        open_source("screen:window=a")
    gc.collect()


def test_where_windows_cannot_be_captured(monkeypatch: pytest.MonkeyPatch) -> None:
    """On other systems and without the package one line says what would help."""
    monkeypatch.setitem(sys.modules, "Xlib.display", None)
    with pytest.raises(UsageError, match=r"windows need the package python-xlib; install it: .*pip install"):
        open_source("screen:window=a")
    monkeypatch.setattr(window, "on_x11", lambda: False)
    with pytest.raises(UsageError, match="single windows are captured on Linux only; use screen:"):
        open_source("screen:window=a")


def test_size_of_a_window_is_its_own(client: Client) -> None:
    """No size can be asked of a window."""
    assert is_live_uri("screen:window=a")
    with pytest.raises(UsageError, match="has a size of its own"):
        open_source("screen:window=a", size=(64, 48))


def test_window_through_the_program(client: Client, tmp_path: Path) -> None:
    """The program shows nothing of what covers the window."""
    client.open("wanted", GREEN)
    client.open("in front", RED, (5, 15, 50, 50))
    target = tmp_path / "window.mkv"
    effect = "--effect", "outline", "--outline-width", "0.5", "--codec", "ffv1"
    run = process("run", "screen:window=wanted", "-o", target, "--duration", "0.5", *effect, *FAST)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 0, err
    with av.open(str(target)) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert pictures
    for picture in pictures:
        assert picture.shape == (80, 100, 3)
        assert np.abs(picture[:15, :15].astype(int) - (0x20, 0xC0, 0x40)).max() <= 2
