"""A page in the browser, with everything that can be changed: the panel, served by `streamseg.web`."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from streamseg.errors import SinkError, pip_extra
from streamseg.frame import Frame, Tracks, VideoFormat
from streamseg.sinks.base import Destination, Sink
from streamseg.web.address import parse_address

if TYPE_CHECKING:
    from streamseg.control import Control
    from streamseg.web.server import Server


class WebSink(Sink):
    """Shows the newest frame to every browser that watches, and waits for none."""

    kind = "a page in the browser"
    paces = True

    def __init__(self, destination: Destination) -> None:
        """Raises UsageError for what is no address, SinkError where it is taken or aiohttp is missing."""
        self.uri = destination.uri
        self.notes = []
        self.say = destination.say
        """Told where the page is, token included, when it begins to be served."""
        self._address = parse_address(destination.uri)
        self._server: Server | None = None
        try:
            import streamseg.web.server  # noqa: F401  (while nothing has been opened yet)
        except ModuleNotFoundError as error:
            raise SinkError(
                f"cannot serve {self.uri!r}: {error.name!r} is not installed; install it: {pip_extra('web')}"
            ) from error
        self._address.listen().close()

    @property
    def url(self) -> str | None:
        """Where the page is, token included; None while it is not served."""
        return self._server.url if self._server else None

    @property
    def has_token(self) -> bool:
        """Who wants to see the page has to know what `say` is told."""
        return not self._address.loopback

    def ready(self, video: VideoFormat, control: Control | None = None) -> None:
        """Serve the page; without a control it shows, and changes nothing."""
        from streamseg.web.server import Server

        self._server = Server(self._address, control, aspect=Fraction(video.sample_aspect_ratio))
        self.say(f"panel: {self._server.url}")

    def start(self, video: VideoFormat, first: Frame, tracks: Tracks) -> None:  # noqa: ARG002  (silent)
        """Get ready, if it is not yet."""
        if self._server is None:
            self.ready(video)

    def write(self, frame: Frame) -> None:
        """Show a frame; this takes microseconds."""
        assert self._server is not None
        self._server.show(frame)

    def close(self) -> None:
        """End the page."""
        if self._server is not None:
            self._server.close()
            self._server = None
