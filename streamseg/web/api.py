"""What the panel does, as JSON over HTTP: docs/panel.md. The page uses nothing else."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import cast, get_args

from aiohttp import web

import streamseg
from streamseg.control import SWITCHES, Control
from streamseg.effects import EFFECTS, TAKES, Fit
from streamseg.errors import StreamsegError, UsageError, redacted
from streamseg.models import ModelCard, available_models, find_model
from streamseg.models.weights import at_hand
from streamseg.web.backgrounds import NONE, Backgrounds
from streamseg.web.decoding import decoded
from streamseg.web.guard import failure, json_object
from streamseg.web.preview import Preview
from streamseg.web.webrtc import available

LARGEST_UPLOAD = 20 * 1024**2
"""Bytes of an uploaded picture."""

_UPLOAD_SECONDS = 60

_QUOTED = re.compile(r"(['\"])(?:[A-Za-z]:\\[^'\"\n]*\\|[^'\"\n]*/)([^'\"/\\\n]+(?=['\"]))")
_BARE = re.compile(r"(?<![\w:/\\*@.'\"])(?:~?/|[A-Za-z]:\\)(?:[^\s'\"]*[/\\])?(?=[^\s'\"/\\])")
"""A file's folders, where its path stands in quotes and where it does not."""


class Api:
    """Reads and changes a run. All handlers run on the event loop; what takes long goes to a thread."""

    def __init__(self, preview: Preview, backgrounds: Backgrounds, control: Control | None) -> None:
        self._preview = preview
        self._backgrounds = backgrounds
        self._given = control
        self._changing, self._uploading = asyncio.Lock(), asyncio.Lock()
        self._webrtc = available()
        self.closing = False
        """Nothing long shall be waited for any more."""
        self._own_model = None if control is None else control.settings.model
        """What the run began with: a name, or a path nobody else may name."""

    def routes(self) -> list[web.RouteDef]:
        """What is asked where."""
        return [
            web.get("/api/state", self._get_state),
            web.patch("/api/settings", self._patch_settings),
            web.get("/api/choices", self._get_choices),
            web.get("/api/figures", self._get_figures),
            web.put("/api/backgrounds/{name}", self._put_background),
            *(web.post(f"/api/{word}", self._switch(name)) for word, name in SWITCHES.items()),
        ]

    @property
    def _control(self) -> Control:
        if self._given is None:
            raise web.HTTPConflict(reason="this run takes no changes")
        return self._given

    @property
    def _begun(self) -> Control:
        if not self._control.begun:
            raise web.HTTPServiceUnavailable(reason="the network is being loaded; try again in a moment")
        return self._control

    def state(self) -> dict[str, object]:
        """What can be changed, as it is now, and how it goes."""
        frame, control = self._preview.frame, self._given
        state: dict[str, object] = {
            "version": streamseg.__version__,
            "picture": None if frame is None else dict(zip(("width", "height"), frame.size, strict=True)),
            "webrtc": self._webrtc,
            "settings": None,
        }
        if control is not None:
            state |= {name: getattr(control, name) for name in SWITCHES.values()}
            state["settings"] = self._settings(control)
            state["loading"] = not control.begun
            state["figures"] = self._figures(control) if control.begun else None
        return state | {"backgrounds": self._backgrounds.names()}

    def _settings(self, control: Control) -> dict[str, object]:
        """Settings as browsers see them: backgrounds and networks have names, no paths."""
        settings = control.settings.to_json()
        background, model = settings["background"], settings["model"]
        if isinstance(background, str):
            settings["background"] = self._backgrounds.name(background)
        settings["model"] = _name(str(model))
        return settings

    def _figures(self, control: Control) -> dict[str, object]:
        """How the run goes; what failed is told without the places of files."""
        figures = control.figures()
        failures = cast(list[str], figures["failures"])
        return figures | {"failures": [self._without_paths(failure) for failure in failures]}

    async def _get_state(self, _request: web.Request) -> web.Response:
        return web.json_response(self.state())

    async def _get_figures(self, _request: web.Request) -> web.Response:
        return web.json_response(self._figures(self._begun))

    async def _patch_settings(self, request: web.Request) -> web.Response:
        fields = await json_object(request)
        return await self._changed(lambda: self._safe(fields))

    async def _changed(self, fields: Callable[[], dict[str, object]]) -> web.Response:
        """Change settings, one request after the other, and answer with the state."""
        control = self._begun
        async with self._changing:
            try:
                safe = await asyncio.to_thread(fields)
            except StreamsegError as error:  # about what was asked for
                return failure(400, redacted(str(error)))
            try:
                await asyncio.to_thread(control.change, safe)
            except StreamsegError as error:
                return failure(400, self._without_paths(error))
        return web.json_response(self.state())

    def _safe(self, fields: dict[str, object]) -> dict[str, object]:
        """The same fields, names turned into paths. Raises UsageError for what a browser may not ask for: a
        file by its path."""
        safe = dict(fields)
        if "background" in fields:
            safe["background"] = self._safe_background(fields["background"])
        if "model" in fields:
            safe["model"] = self._safe_model(fields["model"])
        return safe

    def _safe_background(self, name: object) -> str | None:
        if name is None or name == NONE:
            return None
        if not isinstance(name, str):
            raise UsageError(f"background {name!r} is neither a colour nor the name of an uploaded picture")
        return self._backgrounds.path(name)

    def _safe_model(self, name: object) -> str:
        if self._own_model is not None and name == _name(self._own_model):
            return self._own_model
        installed = [card.name for card in _installed()]
        if name not in installed:
            raise UsageError(f"no model {name!r} is installed; there are: {', '.join(installed)}")
        return str(name)

    def _without_paths(self, said: object) -> str:
        text = redacted(str(said))
        for name in self._backgrounds.names():
            text = text.replace(self._backgrounds.path(name), name)
        return without_folders(text)

    async def _get_choices(self, _request: web.Request) -> web.Response:
        models = await asyncio.to_thread(self._models)
        return web.json_response(
            {
                "effects": [{"name": name, "takes": sorted(TAKES.get(name, ()))} for name in EFFECTS],
                "background_fits": get_args(Fit),
                "models": models,
                "crops": ["auto", "off"],
                "refinements": ["off", "guided"],
            }
        )

    def _models(self) -> list[dict[str, object]]:
        cards = {card.name: card for card in _installed()}
        if self._own_model is not None:
            with suppress(StreamsegError):  # its files have gone since
                cards[_name(self._own_model)] = find_model(self._own_model)
        return [
            {"name": name, "title": card.title, "classes": card.classes, "foreground": card.foreground}
            for name, card in cards.items()
        ]

    def _switch(self, name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Return the handler that turns something on or off, at once."""

        async def switch(request: web.Request) -> web.Response:
            fields = await json_object(request)
            if not isinstance(fields.get("on"), bool) or len(fields) > 1:
                return failure(400, f'{request.path}: send {{"on": true}} or {{"on": false}}')
            setattr(self._control, name, fields["on"])
            return web.json_response(self.state())

        return switch

    async def _put_background(self, request: web.Request) -> web.Response:
        control, name = self._control, request.match_info["name"]
        async with self._uploading:
            content = await _body(request)
            try:
                jpeg = await asyncio.to_thread(decoded, content, lambda: self.closing)
                before = control.settings.background
                shown = before is not None and self._backgrounds.name(before)
                name = self._backgrounds.add(name, jpeg, before)
            except StreamsegError as error:
                return failure(400, f"cannot use {name!r} as background: {error}")
        if shown == name:  # the picture behind the figure has been replaced
            await self._changed(lambda: {"background": self._backgrounds.path(name)})
        return web.json_response({"name": name, "backgrounds": self._backgrounds.names()}, status=201)


def without_folders(text: str) -> str:
    """Return a message with files by their names alone: whoever sees the panel need not know where they lie.
    Addresses of streams stay."""
    quoted = _QUOTED.sub(lambda found: found[0] if "://" in found[0] else f"{found[1]}{found[2]}", text)
    return _BARE.sub("", quoted)


def _name(model: str) -> str:
    """Return what browsers call a network: a name is one already, of a path the last part."""
    return model.replace("\\", "/").rpartition("/")[2]


def _installed() -> list[ModelCard]:
    """Return the networks that can be used without fetching anything."""
    return [card for card in available_models() if at_hand(card)]


async def _body(request: web.Request) -> bytes:
    """Return what was uploaded; raises web.HTTPException when it is too much."""
    too_large = web.HTTPRequestEntityTooLarge(LARGEST_UPLOAD, request.content_length or 0)
    if (request.content_length or 0) > LARGEST_UPLOAD:
        raise too_large
    content = bytearray()
    try:
        async with asyncio.timeout(_UPLOAD_SECONDS):
            async for chunk in request.content.iter_chunked(1 << 16):
                content += chunk
                if len(content) > LARGEST_UPLOAD:
                    raise too_large
    except TimeoutError as error:
        raise web.HTTPRequestTimeout(reason=f"nothing whole came in {_UPLOAD_SECONDS} s") from error
    return bytes(content)
