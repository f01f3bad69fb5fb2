"""The page in a real browser: moving pictures, on any screen, for those who may see it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from streamseg.web import api, preview, webrtc
from tests.browser import Browser, needs_browser
from tests.browsing import PIXELS, differs, needs_webrtc, opened, pick, pixels, use
from tests.paneling import Panel, running, serving, still, until
from tests.test_web_run import started

pytestmark = needs_browser


@pytest.fixture(scope="module")
def moving() -> Iterator[Panel]:
    """A run of a figure that walks."""
    with running() as panel:
        yield panel


@pytest.mark.parametrize("by", ["mjpeg", pytest.param("webrtc", marks=needs_webrtc)])
def test_the_page_shows_moving_pictures(browser: Browser, moving: Panel, by: str) -> None:
    """By MJPEG and by WebRTC: the figure walks."""
    moving.control.change({"effect": "replace", "invert": True})
    tab = opened(browser, moving, by=by)
    if by == "webrtc":
        tab.until(
            "!document.querySelector('#video').hidden && document.querySelector('#video').videoWidth == 320"
        )
    first = pixels(tab)
    until(lambda: differs(first, pixels(tab)))
    second = pixels(tab)
    until(lambda: differs(second, pixels(tab)))
    assert tab.complaints() == []
    tab.close()


@needs_webrtc
def test_where_webrtc_does_not_come_about_the_page_shows_mjpeg(
    browser: Browser, moving: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more than can watch by WebRTC sees the other kind; who leaves makes room."""
    monkeypatch.setattr(webrtc, "MOST", 1)
    first, second = (opened(browser, moving, by=by) for by in ("webrtc", "mjpeg"))
    first.front()
    first.until("!document.querySelector('#video').hidden")
    second.front()
    pick(second, "#by", "webrtc", "change")
    second.until(f"document.querySelector('#video').hidden && {PIXELS}")
    first.close()
    pick(second, "#by", "webrtc", "change")
    second.until("!document.querySelector('#video').hidden")
    second.close()


_FIRST_STALLS = """(() => {
  const real = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = async function (answer) {
    if (window.stalled) return real.call(this, answer);
    window.stalled = true;
  };
})()"""


@needs_webrtc
def test_a_connection_given_up_for_another_does_not_end_that(browser: Browser, moving: Panel) -> None:
    """Asked for twice in a row, WebRTC stays, also when the first attempt would have come to its end."""
    tab = opened(browser, moving)
    tab.run("window.setTimeout = ((real) => (act, ms) => real(act, ms / 10))(setTimeout)")  # 5 s are long
    tab.run(_FIRST_STALLS)
    pick(tab, "#by", "webrtc", "change")
    tab.until("window.stalled")
    pick(tab, "#by", "webrtc", "change")
    tab.until("!document.querySelector('#video').hidden")
    tab.run("new Promise((resolve) => setTimeout(resolve, 8000))")
    assert not tab.run("document.querySelector('#video').hidden")
    tab.close()


def test_a_page_that_nobody_sees_costs_nothing(browser: Browser, moving: Panel) -> None:
    """Behind another page it takes no preview; in front again it does."""
    tab = opened(browser, moving)
    tab.call("Emulation.setFocusEmulationEnabled", enabled=False)
    other = browser.open("data:text/html,other")
    tab.until("document.hidden")
    tab.until("!document.querySelector('#picture').hasAttribute('src')")
    tab.front()
    tab.until(PIXELS)
    tab.close()
    other.close()


def test_frozen_the_page_stands_still(browser: Browser, moving: Panel) -> None:
    """The button by keyboard: what moved stays, and moves again."""
    moving.control.change({"effect": "replace", "invert": True})
    tab = opened(browser, moving)

    def moves() -> bool:
        before = pixels(tab)
        tab.run("new Promise((resolve) => setTimeout(resolve, 400))")
        return differs(before, pixels(tab))

    until(moves)
    for button in ("#freeze", "#pause"):
        use(tab, button, "Enter")
        until(lambda: not moves())
        use(tab, button, "Enter")
        until(moves)
    tab.close()


def test_figures_are_drawn(browser: Browser, moving: Panel) -> None:
    """Numbers and lines of rate, latency and drops, and a bar for each stage."""
    tab = opened(browser, moving)
    tab.until("document.querySelector('#fps-chart polyline')?.getAttribute('points').split(' ').length > 3")
    assert 0 < float(tab.run("document.querySelector('#fps').textContent")) < 100
    assert tab.run("document.querySelectorAll('#latency-chart polyline').length") == 2
    assert tab.run("document.querySelector('#latency').textContent").endswith(" ms")
    stages = tab.run(
        "[...document.querySelectorAll('#stages li > :first-child')].map((each) => each.textContent)"
    )
    assert {"capture", "segment", "composite", "sink"} <= set(stages)
    tab.close()


@pytest.fixture(scope="module")
def upright() -> Iterator[Panel]:
    """A run as a phone's camera gives it."""
    with running("test:240x320@30,600s") as panel:
        yield panel


@pytest.mark.parametrize("width", [360, 1400])
def test_it_fits_a_phone_and_a_desk(browser: Browser, upright: Panel, width: int) -> None:
    """Nothing sticks out, panic is always in reach, and what is to be touched is large enough."""
    tab = opened(browser, upright, size=(width, 740), touch=width < 500)
    assert tab.run("document.documentElement.scrollWidth") <= width
    for place in (0, 10_000) if width < 500 else (0,):
        tab.run(f"scrollTo(0, {place})")
        seen = tab.run(
            "document.elementFromPoint(...(({x, y}) => [x + 9, y + 9])(panic.getBoundingClientRect())).id"
        )
        assert seen == "panic"
    small = tab.run(
        "[...document.querySelectorAll("
        "'button, select, .tiles span, .check, .drop, .button, [type=range], [type=color]')]"
        ".filter((each) => each.offsetParent && (each.offsetHeight < 40 || each.offsetWidth < 40))"
        ".map((each) => each.outerHTML)"
    )
    assert small == []
    tab.close()


def test_the_token_opens_the_page_and_leaves_the_address(browser: Browser) -> None:
    """Opened once with it, the page works, without it in the address bar; a new page knows it, too."""
    with serving("web:0.0.0.0:0") as panel:
        tab = browser.open(f"{panel.url}?token={panel.token}")
        tab.until("document.querySelector('#link')?.textContent == 'live'")
        assert tab.run("location.href") == panel.url
        assert tab.run("document.cookie") == ""
        tab.call("Page.navigate", url=panel.url)
        tab.until("document.querySelector('#link')?.textContent == 'live'")
        tab.close()
        other = browser.open(panel.url.replace("127.0.0.1", "localhost"))
        assert "needs the token" in other.until("document.body?.innerText")
        other.close()


_ATTACK = """<body><script>
const panel = new URL(location).searchParams.get("panel");
const json = { "Content-Type": "application/json" };
const attempts = [
  () => fetch(panel + "api/state"),
  () => fetch(panel + "api/panic", { method: "POST", body: '{"on": true}', headers: json }),
  () => fetch(panel + "api/panic", { method: "POST", body: '{"on": true}', mode: "no-cors" }),
  () => fetch(panel + "api/settings", { method: "PATCH", body: '{"effect": "overlay"}', headers: json }),
  () => new Promise((resolve, reject) => {
    const image = new Image();
    [image.onload, image.onerror] = [resolve, reject];
    image.src = panel + "preview.jpg";
  }),
];
Promise.all(attempts.map((act) => act().then((got) => got.status ?? "seen", () => "refused")))
  .then((all) => { document.title = all.join(" "); });
</script>"""


def test_pages_of_other_sites_can_neither_look_nor_act(browser: Browser, moving: Panel) -> None:
    """A page from another port, and one from another name, in the same browser: nothing is had or done."""

    class Attacker(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer with the page."""
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(_ATTACK.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    before = moving.control.settings
    with ThreadingHTTPServer(("127.0.0.1", 0), Attacker) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            for host in ("127.0.0.1", "localhost"):
                tab = browser.open(f"http://{host}:{server.server_port}/?panel={moving.url}")
                tried = tab.until("document.title")
                assert tried == "refused refused refused refused refused"
                tab.close()
        finally:
            server.shutdown()
            thread.join()
    assert moving.control.settings == before
    assert not moving.control.panic


def test_the_end_of_the_run_is_said(browser: Browser) -> None:
    """A page whose run has ended says so; ending does not wait for it."""
    with running() as panel:
        tab = opened(browser, panel)
        tab.until("document.querySelector('#link').dataset.state == 'live'")
    tab.until("document.querySelector('#link').textContent == 'no connection'")
    assert "the run has ended" in tab.run("document.querySelector('#notice').textContent")
    assert float(tab.run("getComputedStyle(document.querySelector('#picture')).opacity")) < 0.5
    tab.close()


def test_a_page_whose_run_is_back_goes_on(browser: Browser) -> None:
    """Served again at the same place, the page that was open all the time works again by itself."""
    with serving() as panel:
        tab = browser.open(panel.url)
        tab.until("document.querySelector('#link')?.textContent == 'live'")
    tab.until("document.querySelector('#link').textContent == 'no connection'")
    with serving(f"web:{panel.port}"):
        tab.until("document.querySelector('#link').textContent == 'live'")
        assert tab.run("document.body.className") == ""
    tab.close()


def test_a_page_whose_run_does_not_answer_says_so(browser: Browser) -> None:
    """Stopped dead, connections stand but nothing comes: no old picture passes for a live one."""
    with started("-o", "web:0", "--effect", "replace", "--invert") as (run, told):
        panel = Panel(int(told.rpartition(":")[2].strip("/")))
        tab = opened(browser, panel)
        run.send_signal(signal.SIGSTOP)
        tab.until("document.querySelector('#link').textContent == 'no connection'")
        assert tab.run("document.body.className") == "lost"
        run.send_signal(signal.SIGCONT)
        tab.until("document.querySelector('#link').textContent == 'live'")
        first = pixels(tab)
        until(lambda: differs(first, pixels(tab)))
        tab.close()


def test_what_is_pressed_is_seen_while_a_network_is_being_loaded(
    browser: Browser, moving: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change that takes its time hides nothing: panic, pressed in the window or on another page, shows."""
    loads = threading.Event()
    monkeypatch.setattr(moving.control, "change", lambda values: loads.wait(30))
    tab = opened(browser, moving)
    try:
        pick(tab, "#model", "selfie-landscape", "change")
        tab.until("document.body.classList.contains('busy')")
        moving.control.panic = True
        tab.until("panic.getAttribute('aria-pressed') == 'true'")
        tab.run("panic.click()")
        tab.until("panic.getAttribute('aria-pressed') == 'false'")
        assert not moving.control.panic
    finally:
        moving.control.panic = False
        loads.set()
    tab.until("!document.body.classList.contains('busy')")
    tab.close()


def test_an_upload_that_takes_long_is_told(
    browser: Browser, moving: Panel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On a slow line a photo takes a while; what is going on stands where it was chosen."""
    arrives = threading.Event()
    picture = still(tmp_path / "slow.jpg")

    def slowly(content: bytes, _stopping: Callable[[], bool]) -> bytes:
        assert arrives.wait(30)
        return content

    monkeypatch.setattr(api, "decoded", slowly)
    tab = opened(browser, moving)
    moving.control.change({"effect": "replace"})
    tab.choose_file("#upload", picture)
    tab.until("document.querySelector('#upload-hint').textContent.startsWith('uploading slow.jpg')")
    arrives.set()
    tab.until("document.querySelector('#upload-hint').textContent.startsWith('JPEG, PNG or WebP')")
    tab.until("document.querySelector('#background').value == 'slow.jpg'")
    moving.control.change({"background": None})
    tab.close()


def test_where_no_stream_is_to_be_had_the_page_shows_stills(
    browser: Browser, moving: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With many windows open, further ones get a picture a second, and panic a connection."""
    monkeypatch.setattr(preview, "MOST_STREAMS", 0)
    moving.control.change({"effect": "replace", "invert": True})
    tab = opened(browser, moving)
    first = pixels(tab)
    until(lambda: differs(first, pixels(tab)))
    tab.run("panic.click()")
    until(lambda: moving.control.panic)
    moving.control.panic = False
    tab.close()


def test_no_button_does_nothing(browser: Browser, moving: Panel) -> None:
    """Where a browser cannot fill the screen, as on an iPhone, nothing offers it."""
    tab = opened(browser, moving)
    assert not tab.run("full.hidden")
    none = "Object.defineProperty(Document.prototype, 'fullscreenEnabled', { get: () => false })"
    tab.call("Page.addScriptToEvaluateOnNewDocument", source=none)
    tab.call("Page.reload")
    tab.until(
        "document.querySelector('#full')?.hidden && document.querySelector('#link').textContent == 'live'"
    )
    tab.press("f")
    assert tab.complaints() == []
    tab.close()


_CONTRASTS = """(() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = parts(colour).map((code) => code / 255)
      .map((code) => (code <= 0.03928 ? code / 12.92 : ((code + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (; element; element = element.parentElement) {
      const colour = getComputedStyle(element).backgroundColor;
      if ((parts(colour)[3] ?? 1) === 1) return colour;
    }
  };
  const contrast = (one, other) => {
    const [dark, bright] = [light(one), light(other)].sort((a, b) => a - b);
    return (bright + 0.05) / (dark + 0.05);
  };
  const poor = [];
  let seen = 0;
  for (const each of document.querySelectorAll("body *")) {
    if (!each.offsetParent || each.matches("#notice, :disabled, :disabled *")) continue;
    const style = getComputedStyle(each);
    const writes = [...each.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (writes && contrast(style.color, behind(each)) < 4.5) poor.push(each.outerHTML);
    const edged = each.matches("button, select, .button, .tiles span, .drop, [type=color]");
    if (edged && contrast(style.borderTopColor, behind(each.parentElement)) < 3) poor.push(each.outerHTML);
    seen += writes + edged;
  }
  return [seen, ...poor];
})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_by_day_and_by_night(browser: Browser, upright: Panel, scheme: str) -> None:
    """As WCAG AA wants it: text at 4.5 to 1, edges of what can be pressed at 3 to 1."""
    tab = opened(browser, upright)
    tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    upright.control.panic = True  # what is pressed looks different
    tab.until("panic.getAttribute('aria-pressed') == 'true'")
    tab.run("Promise.all(document.getAnimations().map((each) => each.finished))")
    seen, *poor = tab.run(_CONTRASTS)
    upright.control.panic = False
    assert seen > 50 and poor == []
    tab.close()


def test_everything_has_a_name_to_be_read_out(browser: Browser, upright: Panel) -> None:
    """The accessibility tree names all that can be used, and says what sliders stand at."""
    tab = opened(browser, upright)
    tab.call("Accessibility.enable")
    nodes = [node for node in tab.call("Accessibility.getFullAXTree")["nodes"] if not node["ignored"]]
    used = {"button", "link", "combobox", "checkbox", "radio", "slider", "ColorWell", "group"}
    found = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes]
    found = [(role, name) for role, name in found if role in used]
    assert {role for role, _ in found} == used
    assert [role for role, name in found if not name.strip()] == []
    assert tab.run("threshold.getAttribute('aria-valuetext')") == "soft"
    tab.close()
