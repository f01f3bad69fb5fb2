"""A real browser: headless Chromium, driven through the pipe of its own debugging protocol."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

needs_browser = pytest.mark.skipif(
    PROGRAM is None, reason="needs Chromium, the browser the panel is shown in"
)

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--mute-audio",
    "--remote-debugging-pipe",
)

_PATIENCE = 30.0


class Browser:
    """Chromium; commands go to its file descriptor 3, answers and events come from 4, each ends with a 0."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._read = b""
        self._number = 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, session: str | None = None, **parameters: object) -> dict[str, Any]:
        """Give a command; return its result."""
        self._number += 1
        command: dict[str, object] = {"id": self._number, "method": method, "params": parameters}
        if session:
            command["sessionId"] = session
        os.write(self._commands, json.dumps(command).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            self.events.append(answer)
        assert "error" not in answer, (method, answer["error"])
        result: dict[str, Any] = answer["result"]
        return result

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._read:
            ready, _, _ = select.select([self._answers], [], [], _PATIENCE)
            assert ready, "Chromium does not answer"
            read = os.read(self._answers, 1 << 20)
            assert read, "Chromium has ended"
            self._read += read
        message, _, self._read = self._read.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer

    def open(self, url: str, *, size: tuple[int, int] = (1280, 900), touch: bool = False) -> Tab:
        """Show a page; (W, H) of the window in CSS pixels."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = Tab(self, session)
        for domain in ("Page", "Runtime", "Log", "DOM"):
            tab.call(f"{domain}.enable")
        tab.front()
        tab.call("Emulation.setFocusEmulationEnabled", enabled=True)
        width, height = size
        tab.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=touch,
        )
        tab.call("Page.navigate", url=url)
        tab.until("location.href != 'about:blank' && document.readyState != 'loading'")
        return tab


class Tab:
    """One page."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Give a command that is for this page."""
        return self._browser.call(method, self._session, **parameters)

    def run(self, script: str) -> Any:
        """Return the value of an expression, or what its promise comes to."""
        found = self._evaluated(script)
        assert "exceptionDetails" not in found, (script, found["exceptionDetails"])
        return found["result"].get("value")

    def _evaluated(self, script: str) -> dict[str, Any]:
        return self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)

    def until(self, script: str) -> Any:
        """Return the first value of an expression that is true; while the page is loading, it may fail."""
        end = time.monotonic() + _PATIENCE
        while not (value := self._evaluated(script)["result"].get("value")):
            assert time.monotonic() < end, (
                f"never true: {script}; seen: {self.run('document.body.innerText')}"
            )
            time.sleep(0.02)
        return value

    def press(self, key: str) -> None:
        """Press and release a key, named as the DOM names it."""
        codes = {"Tab": 9, "Enter": 13, " ": 32, "End": 35, "Home": 36, "ArrowRight": 39, "ArrowDown": 40}
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        shared = {"key": key, "code": key, "windowsVirtualKeyCode": codes.get(key, ord(key[0].upper()))}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **shared)
        self.call("Input.dispatchKeyEvent", type="keyUp", **shared)

    def choose_file(self, selector: str, path: Path) -> None:
        """Choose a file in a file input."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """Write what is seen as PNG."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def front(self) -> None:
        """Bring the page to the front: one behind others is hidden."""
        self.call("Page.bringToFront")

    def close(self) -> None:
        """Close the page."""
        self.call("Page.close")

    def complaints(self) -> list[str]:
        """What the browser complained of since the last call: exceptions, refused resources, broken
        policies."""
        self.run("0")  # what has happened has been told by then
        events, self._browser.events = self._browser.events, []
        return [
            json.dumps(event["params"])
            for event in events
            if event.get("sessionId") == self._session
            and (
                event["method"] == "Runtime.exceptionThrown"
                or (event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] == "error")
            )
        ]


@contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """Start Chromium with a new profile in `folder`; it has ended when the block is left."""
    assert PROGRAM is not None
    commands_out, commands = os.pipe()
    answers, answers_in = os.pipe()

    def arrange() -> None:  # runs in the child
        os.dup2(commands_out, 3)
        os.dup2(answers_in, 4)

    high = [os.dup2(end, end + 20) for end in (commands_out, answers_in)]  # out of the way of 3 and 4
    os.close(commands_out)
    os.close(answers_in)
    commands_out, answers_in = high
    process = subprocess.Popen(
        [PROGRAM, *_FLAGS, f"--user-data-dir={folder}", "about:blank"],
        pass_fds=(3, 4),
        preexec_fn=arrange,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(commands_out)
    os.close(answers_in)
    browser = Browser(commands, answers)
    try:
        yield browser
        browser.call("Browser.close")
    finally:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(commands)
        os.close(answers)
