"""Model cards: finding them, fetching and verifying weights, importing ONNX and TFLite."""

from __future__ import annotations

from streamseg.models.card import InputSpec, ModelCard, OutputSpec, StateSpec
from streamseg.models.cardfile import read_card, write_card
from streamseg.models.find import available_models, find_model
from streamseg.models.importing import import_model

__all__ = [
    "InputSpec",
    "ModelCard",
    "OutputSpec",
    "StateSpec",
    "available_models",
    "find_model",
    "import_model",
    "read_card",
    "write_card",
]
