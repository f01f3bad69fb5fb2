"""A plan that is wanted: all it depends on, and the file name that follows from that."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from functools import cached_property

from streamseg.gpu.driver import Gpu
from streamseg.models.card import ModelCard
from streamseg.plans.int8 import Calibration
from streamseg.plans.onnx_types import RECIPE
from streamseg.plans.package import Package
from streamseg.plans.plan import PlanSpec

Facts = dict[str, object]


@dataclass(frozen=True)
class Order:
    """A plan that is wanted."""

    card: ModelCard
    spec: PlanSpec
    package: Package
    gpu: Gpu | None
    """None: for the package's own targets."""
    calibration: Calibration | None = None
    """Of an int8 plan."""

    @cached_property
    def wanted(self) -> Facts:
        """What was asked for, as a sidecar says it."""
        card = {"model": self.card.name, "input": self.card.input.shape}
        return _plain({**card, **asdict(self.spec)})

    @cached_property
    def surroundings(self) -> Facts:
        """What it depends on beside that, as a sidecar says it."""
        gpu = self.gpu
        return _plain(
            {
                "onnx_sha256": self.card.sha256,
                "calibration": self.calibration and hashlib.sha256(self.calibration.to_json()).hexdigest(),
                "package": self.package.name,
                "version": self.package.version,
                "gpu": gpu.name if gpu else "none",
                "compute_capability": gpu.compute_capability if gpu else "the package's own targets",
                "driver": gpu.driver if gpu else "none",
                "recipe": RECIPE,
            }
        )

    @property
    def target(self) -> str:
        """The architecture it is for."""
        return self.gpu.architecture if self.gpu else "any"

    @property
    def stem(self) -> str:
        """How the names of all plans for this begin: `selfie-fp16-b1-`."""
        return f"{word(self.card.name)}-{self.spec.precision}-b{self.spec.batch}-"

    @property
    def file_name(self) -> str:
        """Such as `selfie-fp16-b1-sm_89-tensorrt_rtx1.7.1.116-<12 digits of all of it>.plan`."""
        facts = json.dumps({**self.wanted, **self.surroundings}, sort_keys=True)
        digest = hashlib.sha256(facts.encode()).hexdigest()[:12]
        return f"{self.stem}{self.target}-{self.package.name}{self.package.version}-{digest}.plan"


def word(name: str) -> str:
    """Return a model's name as part of a file's."""
    return re.sub(r"[^\w.]+", "_", name)


def _plain(facts: Facts) -> Facts:
    """Return facts as they will be read back: JSON knows no tuples."""
    plain: Facts = json.loads(json.dumps(facts))
    return plain
