"""The page: one file to the browser, made of four here."""

from __future__ import annotations

import secrets
from importlib.resources import files

from aiohttp import web

_POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing but what is in the page runs, and it talks to nobody but us."""


_PARTS = ("panel.css", "panel.js", "panel-live.js")
"""What goes into panel.html."""


class Page:
    """The page, read once."""

    def __init__(self) -> None:
        folder = files("streamseg.web")
        text = (folder / "panel.html").read_text(encoding="utf-8")
        for name in _PARTS:
            text = text.replace(f"/* {name} */", (folder / name).read_text(encoding="utf-8"))
        self._text = text

    async def get(self, _request: web.Request) -> web.Response:
        """Answer with the page; its style and script carry a word that is new each time."""
        nonce = secrets.token_urlsafe(16)
        return web.Response(
            text=self._text.replace("{nonce}", nonce),
            content_type="text/html",
            headers={"Content-Security-Policy": _POLICY.format(nonce=nonce)},
        )
