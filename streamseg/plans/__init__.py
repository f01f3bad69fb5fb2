"""Engine plans: a network as TensorRT wants it, built once for a machine and found again.

`ensure(card)` is all a runtime needs, with the module that `package.installed(gpu)` found to load it.
Building imports TensorRT, onnx and filelock, finding TensorRT alone; only loading a plan needs a GPU.
"""

from __future__ import annotations

from streamseg.plans.int8 import Calibration
from streamseg.plans.plan import Plan, PlanSpec, Precision, Profile, TensorSpec
from streamseg.plans.store import ensure, keep_calibration, kept, plans_folder

__all__ = [
    "Calibration",
    "Plan",
    "PlanSpec",
    "Precision",
    "Profile",
    "TensorSpec",
    "ensure",
    "keep_calibration",
    "kept",
    "plans_folder",
]
