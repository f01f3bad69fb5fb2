"""Importing .tflite and .onnx networks: weights as ONNX and a card beside them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from streamseg.errors import ModelError, UsageError, pip_install, reason
from streamseg.models.card import ModelCard
from streamseg.models.cardfile import read_card, write_card
from streamseg.models.files import cache_folder, sha256, user_folder, write_atomically
from streamseg.models.guess import guess_card
from streamseg.models.usual import guessed_classes, guessed_range

CONVERTER = 2
"""Goes up when the same .tflite file is converted to other bytes; cached conversions are then made anew."""


def import_model(
    path: str | Path, *, name: str | None = None, folder: str | Path | None = None, overwrite: bool = False
) -> ModelCard:
    """Write the card and the ONNX weights of a .tflite or .onnx file into a folder and return the card.

    name: of the card, the file's by default. folder: where, the user's model folder by default.
    What the file does not tell (licence, class names, normalisation) is guessed: look over the card.
    Raises UsageError (no such kind of file, name taken) and ModelError (cannot be read or converted).
    """
    path, folder = Path(path), Path(folder) if folder is not None else user_folder()
    card, onnx = _read(path)
    name = name or card.name
    card = replace(card, name=name, weights=f"{name}.onnx", path=folder.resolve())
    for target in (folder / f"{name}.toml", folder / card.weights):
        if target.exists() and not overwrite:
            raise UsageError(
                f"cannot import as {name!r}: {str(target)!r} exists; take another name or overwrite"
            )
    write_atomically(folder / card.weights, onnx)
    write_card(card, folder / f"{name}.toml")
    return card


def _read(path: Path) -> tuple[ModelCard, bytes]:
    """Return a card and the ONNX bytes of a network file."""
    suffix = path.suffix.lower()
    if suffix == ".onnx":
        return _read_onnx(path)
    if suffix == ".tflite":
        return _read_tflite(path)
    raise UsageError(f"cannot import {str(path)!r}: expected a .tflite or .onnx file")


def _read_onnx(path: Path) -> tuple[ModelCard, bytes]:
    card = guess_card(path)
    onnx = path.read_bytes()
    if hashlib.sha256(onnx).hexdigest() != card.sha256:
        raise ModelError(f"cannot import {str(path)!r}: it changed while it was read")
    return card, onnx


def _read_tflite(path: Path) -> tuple[ModelCard, bytes]:
    try:
        from streamseg.models.tflite_import import convert

        conversion = convert(path)
    except ModuleNotFoundError as error:
        raise ModelError(
            f"cannot import {str(path)!r}: package {error.name!r} is not installed; "
            f"install it: {pip_install('onnx', 'tflite')}"
        ) from error
    except OSError as error:
        raise ModelError(f"cannot open model {str(path)!r}: {reason(error)}") from error
    classes, foreground = guessed_classes(conversion.channels)
    card = ModelCard(
        name=path.stem,
        title=f"Converted from {path.name}",
        licence="unknown",
        source=f"{path.name}, sha256 {sha256(path)}",
        weights=f"{path.stem}.onnx",
        sha256=hashlib.sha256(conversion.onnx).hexdigest(),
        classes=classes,
        foreground=foreground,
        input=guessed_range(conversion.input, conversion.output),
        output=conversion.output,
    )
    return card, conversion.onnx


def converted(path: Path) -> ModelCard:
    """Return the card of a .tflite file converted into the cache, at once if it was converted before."""
    try:
        digest = sha256(path)
    except OSError as error:
        raise ModelError(f"cannot open model {str(path)!r}: {reason(error)}") from error
    folder = cache_folder() / "converted" / f"{digest}-{CONVERTER}"
    cached = folder / "network.toml"
    if cached.is_file():
        try:
            card = read_card(cached)
            card.verified_weights()
        except ModelError:
            pass  # half written or tampered with: convert it again
        else:
            return replace(card, name=path.stem)
    return replace(import_model(path, name="network", folder=folder, overwrite=True), name=path.stem)
