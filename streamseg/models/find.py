"""Finding a model by its name, its card's path or its bare network file."""

from __future__ import annotations

from pathlib import Path

from streamseg.errors import ModelError, UsageError
from streamseg.models.card import ModelCard
from streamseg.models.cardfile import read_card
from streamseg.models.files import search_folders


def find_model(name_or_path: str = "selfie") -> ModelCard:
    """Return the card of that name or path (.toml), or one guessed from a bare .onnx or .tflite file.

    Raises UsageError for an unknown name, ModelError for a card or network that cannot be used.
    """
    path = Path(name_or_path)
    suffix = path.suffix.lower()
    if suffix == ".toml":
        return read_card(path)
    if suffix == ".onnx":
        from streamseg.models.guess import guess_card

        return guess_card(path)
    if suffix == ".tflite":
        from streamseg.models.importing import converted

        return converted(path)
    cards = _card_files()
    if name_or_path not in cards:
        known = ", ".join(sorted(cards))
        raise UsageError(
            f"no model {name_or_path!r}; known are: {known}; or give a .toml, .onnx or .tflite file"
        )
    return read_card(cards[name_or_path])


def available_models() -> list[ModelCard]:
    """Return all cards that can be named, embedded ones first, leaving out unreadable ones."""
    cards = []
    for path in _card_files().values():
        try:
            cards.append(read_card(path))
        except ModelError:
            continue  # asking for it by name says what is wrong with it
    return cards


def _card_files() -> dict[str, Path]:
    """Return the card files by model name; where a name occurs twice the first folder's counts."""
    files: dict[str, Path] = {}
    for folder in search_folders():
        for path in sorted(folder.glob("*.toml"), key=lambda path: path.stem):
            files.setdefault(path.stem, path)
    return files
