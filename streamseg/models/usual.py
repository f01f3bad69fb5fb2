"""What networks usually mean when their file does not say: class names and the range of their input."""

from __future__ import annotations

from dataclasses import replace

from streamseg.models.card import InputSpec, OutputSpec

PERSON = ("background", "person")

PASCAL_VOC = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "dining table", "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train", "tv",
)  # fmt: skip

CITYSCAPES = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation",
    "terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip
"""The train ids."""

_KNOWN = {1: PERSON, 2: PERSON, 19: CITYSCAPES, 21: PASCAL_VOC}


def guessed_classes(channels: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the likely class names and foreground of a network with this many output channels."""
    if channels in _KNOWN:
        classes = _KNOWN[channels]
        return classes, tuple(name for name in classes if name in {"person", "rider"})
    classes = tuple(f"class{number}" for number in range(channels))
    return classes, classes[1:]


def guessed_range(picture: InputSpec, output: OutputSpec) -> InputSpec:
    """Return the input, taking -1..1 instead of 0..1 if corner cells tell that it is DeepLab's."""
    if output.align_corners and picture.scale == 1 / 255:
        return replace(picture, mean=(0.5,), std=(0.5,))
    return picture
