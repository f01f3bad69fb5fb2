"""What the tests of the page share: opening it, using it, looking at what it shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.browser import Browser, Tab
from tests.paneling import Panel

try:
    from aioice.ice import get_host_addresses
except ImportError:
    _WEBRTC = "needs aiortc"
else:
    _WEBRTC = "" if get_host_addresses(True, True) else "needs a network: WebRTC does not use loopback"


needs_webrtc = pytest.mark.skipif(bool(_WEBRTC), reason=_WEBRTC)


PIXELS = """(() => {
  const [video, picture] = [document.querySelector("#video"), document.querySelector("#picture")];
  const shown = video.hidden ? picture : video;
  if (!(shown.naturalWidth || shown.videoWidth)) return null;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [64, 48];
  const context = canvas.getContext("2d");
  context.drawImage(shown, 0, 0, 64, 48);
  return Array.from(context.getImageData(0, 0, 64, 48).data);
})()"""


def opened(browser: Browser, panel: Panel, *, by: str = "mjpeg", **options: Any) -> Tab:
    """The page, ready to be used, its preview by MJPEG or WebRTC."""
    tab = browser.open(panel.url, **options)
    tab.until(
        "document.querySelectorAll('#effects input').length == 10 && document.querySelector('#model').value"
    )
    tab.run(f"document.querySelector('#by').value = '{by}'")
    tab.run("document.querySelector('#by').dispatchEvent(new Event('change'))")
    tab.until(PIXELS)
    return tab


def pixels(tab: Tab) -> NDArray[np.int_]:
    """(48, 64, 3) RGB of the preview as the page shows it."""
    return np.array(tab.until(PIXELS)).reshape(48, 64, 4)[..., :3]


def differs(one: NDArray[np.int_], other: NDArray[np.int_]) -> bool:
    """Whether two previews show something else."""
    return bool(np.abs(one - other).max() > 24)


def settled(tab: Tab, panel: Panel) -> NDArray[np.int_]:
    """The preview once it shows the settings in use: twice the same."""
    before = pixels(tab)
    while True:
        seen = panel.control.figures()["frames_out"]
        tab.run("new Promise((resolve) => setTimeout(resolve, 150))")
        now = pixels(tab)
        if not differs(before, now) and seen == panel.control.figures()["frames_out"]:
            return now
        before = now


def use(tab: Tab, selector: str, *keys: str) -> None:
    """Bring the focus to a control and press keys, as somebody without a mouse does."""
    tab.until(f"(document.querySelector('{selector}').focus(), document.activeElement.matches('{selector}'))")
    for key in keys:
        tab.press(key)


def pick(tab: Tab, selector: str, value: str, event: str = "input") -> None:
    """Choose a value where the browser would show a picker of the system's."""
    tab.run(
        f"(() => {{ const input = document.querySelector('{selector}'); input.value = '{value}';"
        f" input.dispatchEvent(new Event('{event}')); }})()"
    )
