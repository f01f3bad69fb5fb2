"""What the keys of the window do: pause, change the effect, invert, snapshot; q is the window's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from streamseg.cli.progress import say
from streamseg.control import Control
from streamseg.effects import EFFECTS
from streamseg.errors import StreamsegError
from streamseg.sinks import Sink

DIGITS = "1234567890"
"""Keys of the effects, in the order of EFFECTS."""


class Keys:
    """Turns keys into what a running pipeline is asked to do."""

    def __init__(self, control: Control, folder: Path) -> None:
        """Snapshots go to `folder`."""
        self._control = control
        self._folder = folder

    def listen(self, sinks: Sequence[Sink]) -> None:
        """Take the keys of every window among the sinks."""
        for sink in sinks:
            if hasattr(sink, "on_key"):
                sink.on_key = lambda key, window=sink: self.press(key, window)

    def press(self, key: str, window: Sink) -> None:
        """Do what a key asks for. What does not work is told, and the run goes on as it was."""
        try:
            if key == " ":
                self._control.paused = not self._control.paused
            elif key in DIGITS:
                self._control.change({"effect": EFFECTS[DIGITS.index(key)]})
            elif key == "i":
                self._control.change({"invert": not self._control.settings.invert})
            elif key == "s":
                self._snapshot(window)
        except StreamsegError as error:
            say(f"error: {error}")

    def _snapshot(self, window: Sink) -> None:
        from streamseg.sinks.images import snapshot

        shown = getattr(window, "shown", None)
        if shown is not None:
            say(f"snapshot: {snapshot(shown, self._folder)}")
