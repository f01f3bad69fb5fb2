"""The preview: newest frames for whoever watches, as fast as each can."""

from __future__ import annotations

import asyncio
import http.client
import socket
from contextlib import ExitStack
from fractions import Fraction
from http.client import HTTPResponse

import numpy as np
import pytest
from av.video.frame import PictureType

from streamseg.frame import Frame
from streamseg.web.preview import Preview
from streamseg.web.webrtc import _track, reachable
from tests.clips import picture
from tests.paneling import (
    Panel,
    frames_out,
    parts,
    rgb,
    running,
    until,
)


def test_mjpeg_shows_moving_pictures(panel: Panel) -> None:
    """Whole JPEGs, one after the other; none waits for the next to be complete."""
    panel.change(effect="replace", invert=True)
    with panel.stream("/preview.mjpg") as response:
        shown = [jpeg for jpeg, _ in zip(parts(response), range(10), strict=False)]
    assert {rgb(jpeg).shape for jpeg in shown} == {(240, 320, 3)}
    assert len(set(shown)) > 5


def test_a_viewer_who_reads_nothing_holds_up_nobody() -> None:
    """Frames go on and others see them; who reads again finds a few old ones, not all that were missed."""
    with running("test:1280x720@60,600s", effect="replace", invert=True) as panel:
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            connection.settimeout(20)
            connection.connect(("127.0.0.1", panel.port))
            connection.sendall(f"GET /preview.mjpg HTTP/1.1\r\nHost: 127.0.0.1:{panel.port}\r\n\r\n".encode())
            with HTTPResponse(connection) as slow:
                slow.begin()
                seen = parts(slow)
                next(seen)
                missed = frames_out(panel) + 150
                until(lambda: frames_out(panel) > missed)
                with panel.stream("/preview.mjpg") as other:
                    assert len([1 for _ in zip(parts(other), range(5), strict=False)]) == 5
                panel.control.paused = True
                old = [next(seen)]
                while (shown := next(seen)) != old[-1]:
                    old.append(shown)
                assert len(old) < 75
        panel.control.paused = False


@pytest.mark.parametrize(
    "pixel_format", ["yuv420p", "gray", "rgb24", "yuv420p10le", "nv12", "rgba", "yuv444p"]
)
def test_any_pixel_format_is_shown_in_its_colours(pixel_format: str) -> None:
    """What browsers see is what was painted."""
    preview = Preview(Fraction(1))
    shown = picture(160, 120, 0, pixel_format)
    wanted = shown.to_ndarray(format="rgb24").astype(int)
    assert np.abs(rgb(preview.jpeg(Frame(shown, 0.0))).astype(int) - wanted).mean() < 8


@pytest.mark.parametrize(
    ("size", "aspect", "shown"),
    [
        ((1920, 1080), Fraction(1), (1280, 720)),
        ((1080, 1920), Fraction(1), (720, 1280)),
        ((720, 576), Fraction(16, 15), (768, 576)),
        ((101, 33), Fraction(1), (100, 32)),
        ((1, 1), Fraction(1), (2, 2)),
    ],
)
def test_the_preview_is_as_large_as_a_page_needs(
    size: tuple[int, int], aspect: Fraction, shown: tuple[int, int]
) -> None:
    """At most 1280 pixels a side, even for video encoders, its pixels square."""
    preview = Preview(aspect)
    frame = Frame(picture(*size), 0.0)
    assert preview.size(frame) == shown
    assert rgb(preview.jpeg(frame)).shape[1::-1] == shown


def test_an_offer_makes_us_talk_to_few_and_look_up_nobody() -> None:
    """Of the addresses in an offer only numbers count, and only so many; all else stays as it is."""
    hosts = ["secret.example", "0af1.local", *(f"10.0.0.{number}" for number in range(100)), "fe80::1"]
    lines = [f"a=candidate:1 1 udp 99 {host} 9 typ host" for host in hosts]
    offer = "\r\n".join(["v=0", "m=video 9 UDP/TLS/RTP/SAVPF 96", *lines, "a=rtpmap:96 VP8/90000", ""])
    kept = reachable(offer)
    assert kept.count("a=candidate:") == 16
    assert ".example" not in kept and ".local" not in kept
    assert kept.startswith("v=0\r\nm=video") and kept.endswith("\r\na=rtpmap:96 VP8/90000\r\n")


def test_no_browser_has_more_streams_than_leave_room_for_panic(panel: Panel) -> None:
    """It keeps six connections to one place; one stream more than four is refused, others are not counted."""

    def asked(program: str) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", panel.port), timeout=20)
        connection.sendall(
            f"GET /preview.mjpg HTTP/1.1\r\nHost: localhost\r\nUser-Agent: {program}\r\n\r\n".encode()
        )
        return connection

    with ExitStack() as watching:
        programs = ["fox"] * 5 + ["cat"]
        answers = [watching.enter_context(asked(program)).recv(16) for program in programs]
    assert [answer[9:12] for answer in answers] == [b"200"] * 4 + [b"503"] + [b"200"]
    until(lambda: asked_again(panel))


def asked_again(panel: Panel) -> bool:
    """Whether there is room for the first program once more."""
    connection = http.client.HTTPConnection("127.0.0.1", panel.port, timeout=20)
    connection.request("GET", "/preview.mjpg", headers={"User-Agent": "fox"})
    status = connection.getresponse().status
    connection.close()
    return status == 200


def test_a_viewers_clock_is_not_the_runs() -> None:
    """What goes out by WebRTC has times of its own, also where its pixels are those of the frame."""
    frame = Frame(picture(160, 120, 0), 0.0)
    frame.native.pts, frame.native.time_base = 7, Fraction(1, 30)
    shown = Preview(Fraction(1)).yuv(frame)
    shown.pts, shown.time_base = 90_000, Fraction(1, 90_000)
    assert (frame.native.pts, frame.time) == (7, Fraction(7, 30))


def test_panic_begins_the_picture_anew() -> None:
    """A video encoder sends differences: without a whole picture, outlines of the last one would stay."""
    pytest.importorskip("aiortc")
    preview = Preview(Fraction(1))
    hidden = [False, False, True, True, False]

    async def sent() -> list[bool]:
        track, whole = _track(preview), []
        for each in hidden:
            preview.frame = Frame(picture(64, 48, 0), 0.0, hidden=each)
            whole.append((await track.recv()).pict_type == PictureType.I)
        return whole

    assert asyncio.run(sent()) == [False, False, True, False, True]
