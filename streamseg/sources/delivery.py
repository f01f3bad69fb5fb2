"""How a container's content comes here, by the clock or at once, and how it ends."""

from __future__ import annotations

from av.container import InputContainer

from streamseg.errors import reason
from streamseg.sources.losses import tolerance
from streamseg.sources.reader import Reader


class Delivery:
    """What can be told of a container when it has just been opened."""

    def __init__(self, container: InputContainer, *, network: bool) -> None:
        self._playlist = network and container.format.name == "hls"
        self.grows = self._playlist and container.duration is None
        """A playlist that is still being written: a broadcast."""
        stored = not network or (not self._playlist and (container.size or 0) > 0)
        self.at_once = stored or self._playlist
        """It comes as fast as it can be read: files and the segments of playlists."""
        self._ends = stored or (self._playlist and not self.grows)

    def complete(self, reader: Reader, declared: float | None) -> bool:
        """Whether what has been read is all there is. `declared`: seconds, where the header says some."""
        if self._ends:
            return reader.failure is None
        return declared is not None and reader.length > declared - tolerance(declared)


def fault_of(failure: Exception | None, read_timeout: float) -> str:
    """How a stream ended that is not complete: words that follow its name."""
    if failure is None:
        return "was closed by the server"
    if isinstance(failure, TimeoutError):
        return f"gave no frame for {read_timeout:.1f} s"
    return f"was lost ({reason(failure)})"
