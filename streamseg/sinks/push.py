"""Streams by HTTP: MPEG-TS as the body of one request, or HLS, each segment a request of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager

import av
from av.container import OutputContainer

from streamseg.errors import reason
from streamseg.sinks.base import Destination
from streamseg.sinks.connections import NO_WAITING, Connection
from streamseg.sinks.containers import KEYFRAME_SECONDS
from streamseg.sinks.hls import HLS, LIVE_PLAYLIST
from streamseg.sinks.upload import Upload

_EMPTY_PLAYLIST = f"#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:{KEYFRAME_SECONDS}\n".encode()


class Push(Connection):
    """MPEG-TS as the body of one HTTP PUT."""

    def __init__(self, destination: Destination) -> None:
        super().__init__(destination)
        self._target = self._upload = Upload(destination.uri, timeout=destination.timeout)

    def close(self) -> None:
        """Send the rest and wait until the server says it has everything."""
        with self._failures():
            super().close()

    def _muxer(self, options: dict[str, str]) -> OutputContainer:
        self._upload.open()
        self._check_wanted()
        return av.open(self._upload, "w", self._spec.format, container_options={**options, **NO_WAITING})

    @contextmanager
    def _failures(self) -> Iterator[None]:
        with super()._failures():
            yield
            if self._upload.lost is not None:
                raise ConnectionError(self._upload.lost)


class HlsPush(Connection):
    """A live playlist and its segments, each put by HTTP; those that leave the playlist are deleted."""

    container = HLS

    def __init__(self, destination: Destination) -> None:
        super().__init__(destination)
        self.lost: str | None = None
        self._stored = 0
        """Segments and playlists the server has."""

    @property
    def made(self) -> bool:
        """A segment has been taken."""
        return self._stored > 0

    def came(self) -> None:
        """The server has a part."""
        self._stored += 1

    def abort(self) -> None:
        """Give up: the playlist stays as it is."""
        self.lost = self.lost or "given up"
        super().abort()

    def _muxer(self, options: dict[str, str]) -> OutputContainer:
        if not self.again:  # the first segment is two seconds away: too late to be refused at once
            with closing(self._part(self._address, 0, {})) as playlist:
                playlist.write(_EMPTY_PLAYLIST)
            self._stored = 0
        self._check_wanted()
        asked = {**options, **LIVE_PLAYLIST, **NO_WAITING, "method": "PUT"}
        return av.open(self._address, "w", "hls", container_options=asked, io_open=self._part)

    def _part(self, url: str, _flags: int, asked: Mapping[str, str]) -> _Part:
        upload = Upload(url, timeout=self._timeout, method=asked.get("method", "PUT"), ask=False)
        return _Part(upload, self)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        with super()._failures():
            yield
            if self.lost is not None:
                raise ConnectionError(self.lost)


class _Part:
    """A segment, a playlist or a deletion, as FFmpeg's `hls` muxer writes it. Raises nothing: PyAV would keep
    that until some other call fails."""

    def __init__(self, upload: Upload, stream: HlsPush) -> None:
        self._upload, self._stream = upload, stream
        self._attempt(upload.open)

    def write(self, content: bytes) -> int:
        """Send a piece."""
        return self._upload.write(content)

    def close(self) -> None:
        """Wait until the server has it; a segment that could not be deleted harms nobody."""
        self._attempt(self._finish)

    def _finish(self) -> None:
        self._upload.commit()
        self._stream.came()

    def _attempt(self, step: Callable[[], None]) -> None:
        if self._stream.lost is not None:
            self._upload.discard()
            return
        try:
            step()
        except OSError as error:
            if not self._upload.deletes:
                self._stream.lost = reason(error)
