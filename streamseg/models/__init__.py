"""Model cards: finding them, fetching and verifying weights, importing ONNX and TFLite."""

from __future__ import annotations

from streamseg.models.card import InputSpec, ModelCard, OutputSpec, StateSpec

__all__ = ["InputSpec", "ModelCard", "OutputSpec", "StateSpec"]
