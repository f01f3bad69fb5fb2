"""What a network expects and what its output means. The file format is in `cardfile.py`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from streamseg.errors import ModelError

Colour: TypeAlias = Literal["rgb", "bgr", "grey"]
Layout: TypeAlias = Literal["nchw", "nhwc"]
Fit: TypeAlias = Literal["stretch", "letterbox"]
Kind: TypeAlias = Literal["probability", "logits", "labels"]


class CardError(ModelError):
    """One key of a card holds what it must not; `cardfile.py` adds which card it was."""

    def __init__(self, key: str, found: object, expected: str) -> None:
        self.key, self.found, self.expected = key, found, expected
        super().__init__(f"key {key!r}: found {found!r}, expected {expected}")


def _require(fine: bool, key: str, found: object, expected: str) -> None:
    if not fine:
        raise CardError(key, found, expected)


_LARGEST = 3.4e38
"""A float32 holds no more, and a network is given nothing else."""


def _require_finite(key: str, values: tuple[float, ...]) -> None:
    for value in values:
        _require(abs(value) <= _LARGEST, key, value, "a finite number")


def _require_choice(key: str, found: str, choices: object) -> None:
    allowed = get_args(choices)
    _require(found in allowed, key, found, "one of " + ", ".join(map(repr, allowed)))


@dataclass(frozen=True, kw_only=True, slots=True)
class InputSpec:
    """The picture a network takes: float32, batch 1, value = (code * scale - mean) / std, code in 0..255."""

    name: str
    width: int
    height: int
    colour: Colour = "rgb"
    layout: Layout = "nchw"
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    """One value for all channels or one for each, in the order of `colour`."""
    std: tuple[float, ...] = (1.0,)
    """As `mean`."""
    fit: Fit = "stretch"
    """How a frame of another shape is fitted: stretched, or scaled evenly and padded (letterbox)."""

    def __post_init__(self) -> None:
        _require(bool(self.name), "name", self.name, "the name of the network's input")
        for key, pixels in (("width", self.width), ("height", self.height)):
            _require(0 < pixels <= 16384, key, pixels, "1 to 16384 pixels")
        _require_choice("colour", self.colour, Colour)
        _require_choice("layout", self.layout, Layout)
        _require_choice("fit", self.fit, Fit)
        _require_finite("scale", (self.scale,))
        _require(self.scale > 0, "scale", self.scale, "a number above 0")
        for key, values in (("mean", self.mean), ("std", self.std)):
            _require_finite(key, values)
            wanted = f"1 or {self.channels} numbers" if self.channels > 1 else "1 number"
            _require(len(values) in {1, self.channels}, key, list(values), wanted)
        _require(all(value > 0 for value in self.std), "std", list(self.std), "numbers above 0")
        largest = (255 * self.scale + max(map(abs, self.mean))) / min(self.std)
        _require(largest <= _LARGEST, "std", list(self.std), "numbers that leave the input finite")

    @property
    def channels(self) -> int:
        """3, or 1 for grey."""
        return 1 if self.colour == "grey" else 3

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The input tensor's shape, batch included."""
        if self.layout == "nchw":
            return 1, self.channels, self.height, self.width
        return 1, self.height, self.width, self.channels


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputSpec:
    """The one output streamseg reads, batch 1, at any resolution; a network's other outputs are ignored.

    `probability`: 0..1, one channel (the second of two classes) or one for each class.
    `logits`: the same before a sigmoid (one channel) or a softmax over the classes.
    `labels`: whole-numbered class ids, no channel axis or one channel.
    """

    name: str
    kind: Kind
    layout: Layout = "nchw"
    align_corners: bool = False
    """The outermost cells sit on the picture's corner pixels (as TensorFlow names it); else cells tile it."""
    alpha_offset: float = 0.0
    alpha_gain: float = 1.0
    """alpha = clip((p + alpha_offset) * alpha_gain, 0, 1), p the summed probability of the chosen classes."""
    alpha_reach: int = 0
    """Cells of the network's grid, from what is opaque, beyond which a matte fades out, within half as many
    more; 0: nowhere. Label maps keep what it clears."""

    def __post_init__(self) -> None:
        _require(bool(self.name), "name", self.name, "the name of the network's output")
        _require_choice("kind", self.kind, Kind)
        _require_choice("layout", self.layout, Layout)
        _require_finite("alpha_offset", (self.alpha_offset,))
        _require_finite("alpha_gain", (self.alpha_gain,))
        _require(self.alpha_gain > 0, "alpha_gain", self.alpha_gain, "a number above 0")
        _require(0 <= self.alpha_reach <= 100, "alpha_reach", self.alpha_reach, "0 to 100 cells")


@dataclass(frozen=True, kw_only=True, slots=True)
class StateSpec:
    """A float32 tensor a recurrent network hands to its own next run; zeros at the first."""

    input: str
    output: str
    shape: tuple[int, ...]
    """Batch included."""

    def __post_init__(self) -> None:
        _require(bool(self.input), "input", self.input, "the name of a network's input")
        _require(bool(self.output), "output", self.output, "the name of a network's output")
        sound = bool(self.shape) and all(size > 0 for size in self.shape)
        _require(sound, "shape", list(self.shape), "whole numbers above 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelCard:
    """A network: where its weights are, what they may be used for, what goes in and what comes out."""

    name: str
    title: str
    licence: str
    """An SPDX expression."""
    source: str
    """Where the weights come from and, if streamseg cannot fetch them, how to obtain them."""
    weights: str
    """File name: .onnx, or .tflite, which is converted on first use."""
    sha256: str
    """Of the weights file."""
    input: InputSpec
    output: OutputSpec
    classes: tuple[str, ...]
    """In the order of the ids; a one-channel network has ("background", "person") or the like."""
    foreground: tuple[str, ...]
    """The classes a matte is made of unless others are chosen."""
    states: tuple[StateSpec, ...] = ()
    url: str | None = None
    """Where the weights can be fetched."""
    description: str = ""
    smaller: str | None = None
    """The model that finds the same classes in wide pictures with less work, for runs short of time."""
    path: Path | None = field(default=None, compare=False)
    """Folder of the card; not a key of the file."""

    def __post_init__(self) -> None:
        self._require_identity()
        self._require_classes()

    def _require_identity(self) -> None:
        plain = re.fullmatch(r"[^/\\:]+", self.name)
        _require(plain is not None, "name", self.name, "a name without '/', '\\' and ':'")
        file = re.fullmatch(r"[^/\\:]+\.(onnx|tflite)", self.weights, re.IGNORECASE)
        _require(file is not None, "weights", self.weights, "an .onnx or .tflite file name, without folders")
        hexadecimal = re.fullmatch(r"[0-9a-f]{64}", self.sha256)
        _require(hexadecimal is not None, "sha256", self.sha256, "64 lower-case hexadecimal digits")
        fetchable = self.url is None or self.url.startswith(("https://", "http://"))
        _require(fetchable, "url", self.url, "an address starting with https://")

    def _require_classes(self) -> None:
        _require(2 <= len(self.classes) <= 256, "classes", list(self.classes), "2 to 256 names")
        _require(
            len(set(self.classes)) == len(self.classes), "classes", list(self.classes), "different names"
        )
        known = bool(self.foreground) and set(self.foreground) <= set(self.classes)
        _require(known, "foreground", list(self.foreground), "some of " + ", ".join(map(repr, self.classes)))

    def verified_weights(self) -> Path:
        """Return the ONNX file of the weights, its sha256 checked; fetch it first where there is only a url.

        Raises ModelError: not found, not fetchable, or not the file the card describes.
        """
        from streamseg.models.weights import verified

        return verified(self)
