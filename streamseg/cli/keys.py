"""What the keys of the window do to a run. h, f and q are the window's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from streamseg.cli.progress import say
from streamseg.control import SWITCHES, Control
from streamseg.effects import EFFECTS
from streamseg.errors import StreamsegError
from streamseg.models import available_models
from streamseg.models.weights import at_hand
from streamseg.sinks import Sink

T = TypeVar("T")

DIGITS = "1234567890"
"""Keys of the effects, in the order of EFFECTS."""

HELP = (
    (" ".join(DIGITS[:5]), ", ".join(EFFECTS[:5])),
    (" ".join(DIGITS[5:]), ", ".join(EFFECTS[5:])),
    ("i", "invert: swap figure and background"),
    ("+ -", "feather: softer or sharper edges"),
    ("t", "threshold: hard edges or soft ones"),
    ("c", "class: the next one alone, then all as usual"),
    ("m", "model: the next one"),
    ("p", "panic: only the background"),
    ("z", "freeze: the picture stays"),
    ("space", "pause: nothing is passed on"),
    ("s", "snapshot (PNG)"),
)
"""Keys and what they do, for the window to show."""

_SOFTER = 2.0
"""Pixels of feather to a press."""
_HARD = 0.5
"""The threshold a press sets."""


class Keys:
    """Turns keys into what a running pipeline is asked to do."""

    def __init__(self, control: Control, folder: Path) -> None:
        """Snapshots go to `folder`."""
        self._control = control
        self._folder = folder
        self._acts: dict[str, Callable[[], str]] = {
            " ": lambda: self._switch("pause"),
            "p": lambda: self._switch("panic"),
            "z": lambda: self._switch("freeze"),
            "i": self._invert,
            "+": lambda: self._feather(_SOFTER),
            "=": lambda: self._feather(_SOFTER),  # the same key on many keyboards, without shift
            "-": lambda: self._feather(-_SOFTER),
            "t": self._threshold,
            "c": self._next_class,
        }
        """What they do; each returns what there is to tell."""

    def listen(self, sinks: Sequence[Sink]) -> None:
        """Take the keys of every window among the sinks."""
        for sink in sinks:
            if hasattr(sink, "on_key"):
                sink.on_key = lambda key, window=sink: self.press(key, window)
                sink.keys = HELP

    def press(self, key: str, window: Sink) -> None:
        """Do what a key asks for. What does not work is told, and the run goes on as it was."""
        tell: Callable[[str], None] = getattr(window, "tell", lambda _text: None)
        try:
            if key in DIGITS:
                tell(self._set("effect", EFFECTS[DIGITS.index(key)]))
            elif key == "s":
                self._snapshot(window, tell)
            elif key == "m":
                self._next_model(tell)
            elif key in self._acts:
                tell(self._acts[key]())
        except StreamsegError as error:
            self._complain(str(error), tell)

    def _complain(self, why: str, tell: Callable[[str], None]) -> None:
        tell(f"error: {why}")
        say(f"error: {why}")

    def _switch(self, word: str) -> str:
        state = not getattr(self._control, SWITCHES[word])
        setattr(self._control, SWITCHES[word], state)
        return f"{word} {'on' if state else 'off'}"

    def _set(self, name: str, value: object) -> str:
        self._control.change({name: value})
        return f"{name} {value}"

    def _invert(self) -> str:
        self._control.change({"invert": not self._control.settings.invert})
        return f"invert {'on' if self._control.settings.invert else 'off'}"

    def _feather(self, more: float) -> str:
        return self._set("feather", max(0.0, self._control.settings.feather + more))

    def _threshold(self) -> str:
        hard = self._control.settings.threshold is None
        self._control.change({"threshold": _HARD if hard else None})
        return f"threshold {_HARD if hard else 'off'}"

    def _next_class(self) -> str:
        """Each class of the model but the background alone, then its own choice again."""
        names = [name for name in self._control.segmenters[-1].classes if name != "background"]
        choices: list[tuple[str, ...]] = [(), *((name,) for name in names)]
        chosen = _after(choices, self._control.settings.classes)
        self._control.change({"classes": list(chosen)})
        return f"classes {', '.join(chosen) or 'as usual'}"

    def _next_model(self, tell: Callable[[str], None]) -> None:
        """Of those whose weights are here: a key fetches nothing. It is loaded while the run goes on."""
        names = [card.name for card in available_models() if at_hand(card)]
        name = _after(names, self._control.settings.model)
        tell(f"model {name}")
        self._control.change_soon({"model": name}, lambda why: self._complain(why, tell))

    def _snapshot(self, window: Sink, tell: Callable[[str], None]) -> None:
        from streamseg.sinks.images import snapshot

        shown = getattr(window, "shown", None)
        if shown is not None:
            path = snapshot(shown, self._folder)
            tell(f"snapshot {path.name}")
            say(f"snapshot: {path}")


def _after(choices: Sequence[T], now: T) -> T:
    """The choice after `now`, the first one after the last."""
    place = choices.index(now) if now in choices else -1
    return choices[(place + 1) % len(choices)]
