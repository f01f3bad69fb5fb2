"""Who is let in, and who is not."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from streamseg.web import guard, lobby
from tests.paneling import Panel, parts, running, serving, until


@pytest.fixture
def here() -> Iterator[Panel]:
    """A panel for this machine."""
    with serving() as panel:
        yield panel


@pytest.fixture
def there() -> Iterator[Panel]:
    """A panel for other machines, too."""
    with serving("web:0.0.0.0:0") as panel:
        yield panel


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST:9", "127.0.0.1:1"])
def test_names_of_this_machine_are_answered(here: Panel, host: str) -> None:
    """Whatever the port: it may be a tunnel's."""
    assert here.ask("GET", "/api/state", headers={"Host": host}).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "192.168.1.5",
        "[",
        "",
        "a:b:c",
        "evil@127.0.0.1",
        "127.0.0.1@evil.example",
        "localhost/evil",
        "localhost:1:2",
        "[::1%25eth0]",
        "0.0.0.0",
    ],
)
def test_names_pointed_here_are_not(here: Panel, host: str) -> None:
    """DNS rebinding: somebody else's name that leads to 127.0.0.1 gets nothing; nor do other machines'."""
    answer = here.ask("GET", "/api/state", headers={"Host": host})
    assert answer.status in (400, 421)
    assert b"settings" not in answer.body


def test_names_pointed_here_are_not_answered_with_a_token_either(there: Panel) -> None:
    """Addresses are ours, names are not."""
    known = {"Authorization": f"Bearer {there.token}"}
    assert there.ask("GET", "/api/state", headers={**known, "Host": "192.168.1.5:80"}).status == 200
    assert there.ask("GET", "/api/state", headers={**known, "Host": "evil.example"}).status == 421


JSON = {"Content-Type": "application/json"}

PATHS = [
    ("GET", "/api/state"),
    ("GET", "/api/choices"),
    ("GET", "/preview.jpg"),
    ("GET", "/preview.mjpg"),
    ("PATCH", "/api/settings"),
    ("PUT", "/api/backgrounds/a.jpg"),
    ("POST", "/api/panic"),
    ("POST", "/api/webrtc"),
    ("GET", "/nothing"),
]


@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    ],
)
def test_pages_of_other_sites_are_refused(
    here: Panel, method: str, path: str, headers: dict[str, str]
) -> None:
    """Whatever a page of another site, or of another port, makes a browser ask for: nothing."""
    body = {} if method != "GET" else None
    answer = here.ask(method, path, body, headers)
    assert (answer.status, answer.error) == (403, "refused: the request comes from another site's page")


def test_who_says_neither_where_it_wants_to_nor_where_it_comes_from_clearly_is_refused(here: Panel) -> None:
    """No Host at all, as HTTP/1.0 allows; two Origins, one of them ours."""
    ours = "Origin: http://localhost\r\nOrigin: http://evil.example\r\n"
    assert b" 421 " in said(here, b"GET /api/state HTTP/1.0\r\n\r\n")
    assert b" 403 " in said(here, f"GET /api/state HTTP/1.1\r\nHost: localhost\r\n{ours}\r\n".encode())


def said(panel: Panel, sent: bytes) -> bytes:
    """The first that comes back on a connection of its own; nothing if it is closed."""
    with socket.create_connection(("127.0.0.1", panel.port), timeout=20) as connection:
        connection.sendall(sent)
        try:
            return connection.recv(1 << 16)
        except ConnectionError:
            return b""


def test_who_does_not_come_to_the_point_is_parted_with(here: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence, half a request, one whose body never comes: an end after a while, or an answer."""
    monkeypatch.setattr(lobby, "PATIENCE", 0.2)
    monkeypatch.setattr(guard, "_BODY_SECONDS", 0.2)
    head = b"POST /api/panic HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    assert said(here, b"") == b""
    assert said(here, head) == b""
    assert b" 408 " in said(here, head + b"Content-Length: 9\r\n\r\n{")


def test_who_watches_need_not_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A preview goes on for longer than anybody may be silent."""
    monkeypatch.setattr(lobby, "PATIENCE", 0.2)
    with running() as panel, panel.stream("/preview.mjpg") as watched:
        pictures = parts(watched)
        next(pictures)
        assert said(panel, b"") == b""
        for _ in range(5):
            next(pictures)


def test_connections_are_bounded(here: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has waited longest makes room; where all are being answered, nobody else gets in."""
    monkeypatch.setattr(lobby, "MOST", 4)
    idle = [socket.create_connection(("127.0.0.1", here.port), timeout=20) for _ in range(20)]
    try:
        assert here.ask("GET", "/api/state").status == 200
        for connection in idle[:16]:
            with suppress(ConnectionError):
                assert connection.recv(1) == b""
        with ExitStack() as watching:
            for _ in range(4):
                watching.enter_context(here.stream("/preview.mjpg"))
            assert said(here, b"GET /api/state HTTP/1.1\r\nHost: localhost\r\n\r\n") == b""
        until(lambda: said(here, b"GET /api/state HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    finally:
        for connection in idle:
            connection.close()


def test_our_own_page_is_let_in(here: Panel) -> None:
    """Its Origin is the address it was served from; a link from elsewhere opens the page and no more."""
    own = {"Origin": f"http://127.0.0.1:{here.port}", "Sec-Fetch-Site": "same-origin"}
    assert here.ask("GET", "/api/state", headers=own).status == 200
    follows = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert here.ask("GET", "/", headers=follows).status == 200
    assert here.ask("GET", "/", headers={"Sec-Fetch-Site": "cross-site"}).status == 403


@pytest.mark.parametrize(("method", "path"), [*PATHS, ("GET", "/")])
def test_from_elsewhere_nothing_is_to_be_had_without_the_token(there: Panel, method: str, path: str) -> None:
    """Neither without, nor with a wrong one, wherever it stands; the refusal says what to do."""
    body = {} if method != "GET" else None
    for wrong in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {there.token}"},
        {"Cookie": f"streamseg-{there.port}=wrong"},
        {"Authorization": "Bearer \u00e9"},
    ):
        answer = there.ask(method, path, body, wrong)
        assert (answer.status, answer.error[:28]) == (401, "this panel needs the token: ")
    assert there.ask("GET", "/api/state?token=" + str(there.token)).status == 401
    assert there.ask("GET", "/?token=wrong").status == 401


def test_the_token_opens(there: Panel) -> None:
    """A program sends it as bearer; a browser opens it once and has it as a cookie no script can read, and
    no longer in its address."""
    assert there.ask("GET", "/api/state", headers={"Authorization": f"bearer {there.token}"}).status == 200
    moved = there.ask("GET", f"/?token={there.token}")
    assert (moved.status, moved.headers["Location"]) == (303, "/")
    cookie = moved.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    page = there.ask("GET", "/", headers={"Cookie": cookie.partition(";")[0]})
    assert page.status == 200
    assert (there.token or "").encode() not in page.body


def test_every_answer_forbids_what_the_panel_does_not_need(here: Panel) -> None:
    """Pages, refusals and what is not there: no guessed types, no frames, no caches, no versions."""
    for path, status in (("/", 200), ("/api/state", 200), ("/nothing", 404), ("/preview.jpg", 503)):
        answer = here.ask("GET", path)
        assert answer.status == status
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Server"] == "streamseg"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_the_pages_policy_is_new_each_time(here: Panel) -> None:
    """Only script and style of this very answer run: no handler attributes, nothing fetched."""
    first, second = (here.ask("GET", "/") for _ in range(2))
    policies = {answer.headers["Content-Security-Policy"] for answer in (first, second)}
    assert len(policies) == 2
    text = first.body.decode()
    nonce = first.headers["Content-Security-Policy"].partition("script-src 'nonce-")[2].partition("'")[0]
    assert text.count(f'nonce="{nonce}"') == 2 and "{nonce}" not in text
    assert "unsafe" not in first.headers["Content-Security-Policy"]
    assert (
        " style=" not in text
        and " onclick=" not in text
        and "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    )


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("PATCH", "/api/settings", b"{}", {"Content-Type": "text/plain"}, 415),
        (
            "PATCH",
            "/api/settings",
            b"effect=blur",
            {"Content-Type": "application/x-www-form-urlencoded"},
            415,
        ),
        ("PATCH", "/api/settings", b"{", {"Content-Type": "application/json"}, 400),
        ("PATCH", "/api/settings", b"\xff\xfe", {"Content-Type": "application/json"}, 400),
        ("PATCH", "/api/settings", b"{}", {"Content-Type": "application/json; charset=nonsense"}, 400),
        ("PATCH", "/api/settings", b"[" * 8_000, {"Content-Type": "application/json"}, 400),
        ("PATCH", "/api/settings", b"[]", {"Content-Type": "application/json"}, 400),
        ("PATCH", "/api/settings", b" " * 100_000, {"Content-Type": "application/json"}, 413),
        ("POST", "/api/state", b"{}", {"Content-Type": "application/json"}, 405),
        ("GET", "/../../etc/passwd", None, {}, 404),
        (
            "PATCH",
            "/api/settings",
            b"x",
            {**JSON, "Content-Encoding": "deflate"},
            415,
        ),
        ("GET", "/panel.js", None, {}, 404),
        ("OPTIONS", "/api/settings", None, {}, 405),
        ("POST", "/api/webrtc", b"{}", {"Content-Type": "application/json"}, 400),
        (
            "POST",
            "/api/webrtc",
            b'{"type": "offer", "sdp": "rubbish"}',
            {"Content-Type": "application/json"},
            400,
        ),
    ],
)
def test_nonsense_is_answered_in_one_line(
    here: Panel, method: str, path: str, body: bytes | None, headers: dict[str, str], status: int
) -> None:
    """Wrong types, broken JSON, too much of it, methods and paths that are not there."""
    answer = here.ask(method, path, body, headers)
    assert (answer.status, bool(answer.error)) == (status, True)


@pytest.mark.parametrize(
    "sent", [b"\0" * 100, b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n"]
)
def test_what_is_no_http_harms_nobody(here: Panel, sent: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    """It is answered or hung up on, nothing is printed, and the next one is served."""
    with socket.create_connection(("127.0.0.1", here.port), timeout=10) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        try:
            while connection.recv(1 << 16):
                pass
        except ConnectionError:
            pass
    assert here.ask("GET", "/api/state").status == 200
    assert capfd.readouterr() == ("", "")


def test_a_panel_without_a_run_changes_nothing(here: Panel) -> None:
    """What shows only, as in a program that gives no control, says so."""
    assert here.ask("GET", "/api/state").json["settings"] is None
    for method, path in (("PATCH", "/api/settings"), ("POST", "/api/panic")):
        answer = here.ask(method, path, {"on": True})
        assert (answer.status, answer.error.partition(": ")[2]) == (409, "this run takes no changes")
    assert json.loads(here.ask("GET", "/api/choices").body)["effects"]


def test_the_head_of_a_stream_has_an_end(here: Panel) -> None:
    """Nobody waits for the rest of what has no rest."""
    assert here.ask("HEAD", "/preview.mjpg").status == 405
    assert here.ask("HEAD", "/api/state").status == 200
