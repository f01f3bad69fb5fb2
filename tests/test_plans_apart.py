"""A plan built in a process of its own, by TensorRT-RTX itself."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from streamseg.errors import ModelError
from streamseg.models import find_model
from streamseg.plans import PlanSpec, apart, kept
from tests import networks
from tests.planning import needs_tensorrt

pytestmark = needs_tensorrt


def test_a_plan_is_built_in_another_process(tmp_path: Path) -> None:
    """It is there afterwards, and the second time nothing is built."""
    card = networks.brightness(tmp_path)
    folder, spec = tmp_path / "plans", PlanSpec(precision="fp32")
    apart.build(card, lambda: False, spec=spec, folder=folder)
    assert kept(card, folder=folder) is None
    plan = kept(card, spec, folder=folder)
    assert plan is not None
    written = plan.path.stat().st_mtime_ns
    apart.build(card, lambda: False, spec=spec, folder=folder)
    assert plan.path.stat().st_mtime_ns == written
    apart.build(card, lambda: False, spec=spec, anew="it does not load", folder=folder)
    assert plan.path.stat().st_mtime_ns > written


def test_a_build_in_another_process_says_what_is_wrong(tmp_path: Path) -> None:
    """One line, as it would be here; a build that is not wanted any more is ended."""
    card = networks.card(tmp_path, "lost.onnx")
    with pytest.raises(ModelError, match="lost"):
        apart.build(card, lambda: False, folder=tmp_path / "plans")
    with pytest.raises(ModelError, match="was stopped"):
        apart.build(find_model("selfie"), lambda: True, folder=tmp_path / "plans")
    assert kept(find_model("selfie"), folder=tmp_path / "plans") is None


def test_a_builder_ends_with_the_run_it_builds_for(tmp_path: Path) -> None:
    """Left alone by the process that ordered the plan, it builds no further and keeps nothing."""
    order = pickle.dumps((find_model("selfie"), None, "", tmp_path, 0))
    command = [sys.executable, "-m", "streamseg.plans.apart"]
    done = subprocess.run(command, input=order, capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr.decode().strip().endswith("the run this plan was for has ended")
    assert list(tmp_path.glob("*.json")) == []
