"""Backgrounds that come from a browser: what is taken, what is refused, what becomes of it."""

from __future__ import annotations

import http.client
import os
import socket
import struct
import sys
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np
import pytest

from streamseg.handoff import Job
from streamseg.web import api, decoding
from streamseg.web.backgrounds import MOST, Backgrounds, label
from streamseg.web.decoding import decoded
from tests.paneling import (
    BLACK,
    BLUE,
    RED,
    WHITE,
    Panel,
    rgb,
    running,
    shows,
    still,
    until,
)


def png(width: int, height: int, rows: int = 1) -> bytes:
    """A PNG that says it is that large, whatever it holds."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes((3 * width + 1) * rows), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def upload(panel: Panel, name: str, content: bytes) -> Any:
    """PUT a background."""
    return panel.ask("PUT", f"/api/backgrounds/{quote(name, safe='')}", content)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "text": lambda: b"hello",
    "svg": lambda: b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
    "playlist": lambda: b"#EXTM3U\n#EXT-X-VERSION:3\nfile:///etc/passwd\n",
    "html in a jpeg's name": lambda: b"<html><script>alert(1)</script>",
    "cut jpeg": lambda: b"\xff\xd8\xff\xe0" + os.urandom(50),
    "rubbish png": lambda: b"\x89PNG\r\n\x1a\n" + os.urandom(2000),
    "empty webp": lambda: b"RIFF\x04\0\0\0WEBP",
    "bomb": lambda: png(30_000, 30_000),
    "just too large": lambda: png(20_001, 2_000),
    "flat": lambda: png(2_000_000_000, 1, rows=0),
    "gif": lambda: b"GIF89a" + bytes(50),
}


@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
def test_an_uploaded_picture_becomes_the_background(panel: Panel, tmp_path: Path, kind: str) -> None:
    """Uploaded, it can be chosen by its name; uploaded anew, what is shown is the new one at once."""
    name = f"Straße 1.{kind}"
    answer = upload(panel, name, still(tmp_path / f"red.{kind}").read_bytes())
    assert (answer.status, answer.json["name"]) == (201, name)
    assert name in answer.json["backgrounds"]
    state = panel.change(background=name).json
    assert state["settings"]["background"] == name
    shows(panel, BLACK, RED)
    upload(panel, name, still(tmp_path / f"blue.{kind}", colour=(0, 0, 255)).read_bytes())
    shows(panel, BLACK, BLUE)
    assert panel.ask("GET", "/api/state").json["settings"]["background"] == name
    assert panel.change(background="none").json["settings"]["background"] is None
    shows(panel, BLACK, WHITE)


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_uploads_are_refused(panel: Panel, kind: str) -> None:
    """What is no picture, says it is a huge one, or is broken: one line, nothing is kept, the run goes on."""
    before = panel.ask("GET", "/api/state").json["backgrounds"]
    answer = upload(panel, "a.jpg", HOSTILE[kind]())
    assert answer.status == 400
    assert answer.error.startswith("cannot use 'a.jpg' as background: ")
    assert panel.ask("GET", "/api/state").json["backgrounds"] == before


def test_too_large_an_upload_is_refused(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it says how large it is or comes in pieces."""
    monkeypatch.setattr(api, "LARGEST_UPLOAD", 100_000)
    assert upload(panel, "a.jpg", bytes(100_001)).status == 413
    connection = http.client.HTTPConnection("127.0.0.1", panel.port, timeout=10)
    pieces = (bytes(10_000) for _ in range(11))
    connection.request("PUT", "/api/backgrounds/a.jpg", pieces, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


def test_an_upload_that_stalls_is_given_up(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others wait for their turn only so long."""
    monkeypatch.setattr(api, "_UPLOAD_SECONDS", 0.05)
    with socket.create_connection(("127.0.0.1", panel.port), timeout=20) as connection:
        connection.sendall(
            b"PUT /api/backgrounds/a.jpg HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n..."
        )
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 408 ")


def test_the_end_does_not_wait_for_a_decoder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A run that ends meanwhile ends the decoder, too."""
    told = tmp_path / "pid"
    program = (
        f"import os, pathlib, time; pathlib.Path({str(told)!r}).write_text(str(os.getpid())); time.sleep(99)"
    )
    monkeypatch.setattr(decoding, "_COMMAND", (sys.executable, "-c", program))
    monkeypatch.setattr(decoding, "_SECONDS", 90)
    with running() as panel:
        content = still(tmp_path / "a.png").read_bytes()

        def send(_stopping: Callable[[], bool]) -> None:
            with suppress(OSError, http.client.HTTPException):
                upload(panel, "a.png", content)

        sending = Job(send, name="test-upload")
        until(lambda: told.exists() and told.read_text())
    sending.result()
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)


def test_decoding_ends_when_it_takes_too_long(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A decoder that is kept busy is ended."""
    monkeypatch.setattr(decoding, "_SECONDS", 0.01)
    monkeypatch.setattr(decoding, "_COMMAND", (sys.executable, "-c", "import time; time.sleep(60)"))
    with pytest.raises(decoding.UsageError, match="took longer than"):
        decoded(still(tmp_path / "a.png").read_bytes())


def test_large_pictures_are_made_smaller(tmp_path: Path) -> None:
    """No more is kept than a screen shows."""
    content = still(tmp_path / "large.png", size=(5000, 100)).read_bytes()
    assert rgb(decoded(content)).shape == (77, 3840, 3)


def test_photos_are_as_large_as_they_like() -> None:
    """Megabytes, which no pipe holds at once, while the decoder is only just starting."""
    noise = np.random.default_rng(0).integers(0, 255, (1000, 1500, 3), np.uint8)
    content = cv2.imencode(".png", noise)[1].tobytes()
    assert len(content) > 4_000_000
    assert rgb(decoded(content)).shape == (1000, 1500, 3)


def test_turned_pictures_are_turned_back() -> None:
    """A phone's upright picture stands upright: its EXIF orientation is done."""
    pixels = np.zeros((40, 80, 3), np.uint8)
    jpeg = cv2.imencode(".jpg", pixels)[1].tobytes()
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    turned = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]
    assert rgb(decoded(turned)).shape == (80, 40, 3)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("beach.jpg", "beach.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\pictures\\beach.jpg", "beach.jpg"),
        ("a\nb\0c.jpg", "abc.jpg"),
        ("", "picture"),
        ("..", ".."),
        ("white", "white (picture)"),
        ("#fff", "#fff (picture)"),
        ("none", "none (picture)"),
        ("#beach.jpg", "#beach.jpg (picture)"),
        ("x" * 500, "x" * 80),
    ],
)
def test_names_of_uploads_are_made_harmless(given: str, kept: str) -> None:
    """A name is a label: no folder, nothing unprintable, none that means a colour."""
    assert label(given) == kept


def test_the_oldest_uploads_give_way_and_all_are_deleted_at_the_end() -> None:
    """Only so many are kept, the one in use among them; closing leaves no file."""
    backgrounds = Backgrounds()
    first = backgrounds.add("0.jpg", b"first", None)
    path = Path(backgrounds.path(first))
    for number in range(1, MOST + 3):
        backgrounds.add(f"{number}.jpg", b"later", str(path))
    assert len(backgrounds.names()) == MOST + 1
    assert (first in backgrounds.names(), "1.jpg" in backgrounds.names()) == (True, False)
    assert len(list(path.parent.iterdir())) == MOST + 1
    backgrounds.close()
    assert not path.parent.exists()


def test_paths_of_the_command_line_have_names_here(tmp_path: Path) -> None:
    """The background and network the run began with can be chosen again; their folders stay unknown."""
    beach = still(tmp_path / "beach.png", colour=(255, 0, 0))
    engines = Path(__file__).parent.parent / "engines"
    with running(background=str(beach), model=str(engines / "selfie.toml")) as panel:
        shows(panel, BLACK, RED)
        state = panel.ask("GET", "/api/state")
        assert state.json["settings"]["background"] == "beach.png"
        assert state.json["settings"]["model"] == "selfie.toml"
        assert str(tmp_path) not in state.body.decode() and str(engines) not in state.body.decode()
        (own,) = [model for model in panel.ask("GET", "/api/choices").json["models"] if "." in model["name"]]
        assert (own["name"], own["classes"]) == ("selfie.toml", ["background", "person"])
        panel.change(background="white")
        shows(panel, BLACK, WHITE)
        beach.unlink()
        gone = panel.change(background="beach.png")
        assert gone.status == 400 and "beach.png" in gone.error and str(tmp_path) not in gone.error
        assert panel.change(model="selfie-landscape").json["settings"]["model"] == "selfie-landscape"
        assert panel.change(model="selfie.toml").json["settings"]["model"] == "selfie.toml"
