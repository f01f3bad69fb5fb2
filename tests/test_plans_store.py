"""Finding plans again: only what fits, only with a sidecar, built once, written whole."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from streamseg.errors import ModelError
from streamseg.gpu.driver import Driver, Gpu
from streamseg.models import ModelCard
from streamseg.plans import Plan, PlanSpec, ensure, plans_folder, store
from streamseg.plans.outdated import kept_bytes
from streamseg.plans.package import Package
from tests import networks
from tests.commandline import PROJECT
from tests.planning import RTX4090, TURING, needs_tensorrt

pytestmark = needs_tensorrt


class Building:
    """Calls `ensure` for one network and collects what it says."""

    def __init__(self, card: ModelCard, folder: Path) -> None:
        self.card, self.folder = card, folder
        self.said: list[str] = []

    def __call__(self, spec: PlanSpec | None = None, **options: object) -> Plan:
        """Its plan."""
        return ensure(self.card, spec, folder=self.folder, say=self.said.append, **options)  # type: ignore[arg-type]

    @property
    def why(self) -> str:
        """Why the last plan was built."""
        return self.said[-1].partition(": ")[2]


@pytest.fixture
def building(tmp_path: Path) -> Building:
    """A small network and a folder of plans that does not exist yet."""
    return Building(networks.bright_two_classes(tmp_path, size=32), tmp_path / "plans")


def on(monkeypatch: pytest.MonkeyPatch, gpu: Gpu) -> None:
    """Pretend that this machine has a GPU: what is built for it is real."""
    monkeypatch.setattr(store, "probe", lambda: Driver(version=gpu.driver, gpus=(gpu,)))


def test_first_use_builds_and_second_finds(building: Building) -> None:
    """The first call builds and says so in a line; the second hands out the same bytes and says nothing."""
    first = building()
    assert building.said == ["building a plan for 'bright' (fp16, any): there is none yet"]
    assert first.data == first.path.read_bytes()
    stamp = first.path.stat().st_mtime_ns
    assert building() == first
    assert len(building.said) == 1
    assert first.path.stat().st_mtime_ns == stamp


def test_the_sidecar_tells_all(building: Building, monkeypatch: pytest.MonkeyPatch) -> None:
    """Package, version, GPU, driver, network, precision, shapes and the plan's hash stand beside it."""
    on(monkeypatch, RTX4090)
    plan = building(PlanSpec(batch=2))
    told = json.loads(plan.path.with_suffix(".json").read_text())
    assert told == plan.sidecar
    wanted = {
        "model": "bright",
        "onnx_sha256": building.card.sha256,
        "package": "tensorrt_rtx",
        "gpu": "A card",
        "compute_capability": [8, 9],
        "driver": [13, 0],
        "precision": "fp16",
        "batch": 2,
        "profiles": {"picture": [[1, 3, 32, 32], [2, 3, 32, 32], [2, 3, 32, 32]]},
    }
    assert {key: told[key] for key in wanted} == wanted
    assert told["version"] in plan.path.name
    assert plan.path.name.startswith("bright-fp16-b2-sm_89-tensorrt_rtx")
    assert plan.profiles["picture"].high == (2, 3, 32, 32)


CHANGES = {
    "model": "other",
    "onnx_sha256": "0" * 64,
    "input": [1, 3, 1, 1],
    "recipe": 0,
    "package": "tensorrt",
    "version": "1.2.3",
    "gpu": "Another card",
    "compute_capability": [7, 5],
    "driver": [12, 4],
    "calibration": "1" * 64,
    "precision": "fp32",
    "batch": 7,
    "sizes": [[1, 1], [1, 1], [1, 1]],
    "workspace_mb": 5,
}


def test_every_field_counts(building: Building) -> None:
    """Whatever a plan depends on, another value in the sidecar is named and the plan built anew."""
    plan = building()
    beside = plan.path.with_suffix(".json")
    known = set(plan.sidecar) - {"sha256", "inputs", "outputs", "profiles"}
    assert known == set(CHANGES)
    for key, value in CHANGES.items():
        beside.write_text(json.dumps({**plan.sidecar, key: value}))
        building()
        said = repr(value[:12] if key in ("onnx_sha256", "calibration") else value)
        assert building.why.startswith(f"the last one was built with {key} {said}, here it is "), key
        assert json.loads(beside.read_text()) == plan.sidecar


@pytest.mark.parametrize(
    ("key", "value"),
    [("name", "Another card"), ("compute_capability", (8, 6))],
)
def test_another_machine_builds_its_own(
    building: Building, monkeypatch: pytest.MonkeyPatch, key: str, value: object
) -> None:
    """A plan of another GPU is left alone, and the difference is the reason for a new one."""
    on(monkeypatch, RTX4090)
    first = building()
    on(monkeypatch, replace(RTX4090, **{key: value}))
    second = building()
    assert "the last one was built with " in building.why
    assert first.path.exists()
    assert first.path != second.path


def test_an_update_takes_the_place_of_the_old_plan(
    building: Building, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an update of driver or TensorRT only the new plan is left, and those of other uses."""
    on(monkeypatch, RTX4090)
    others = [building(PlanSpec(precision="fp32")), building(PlanSpec(batch=2))]
    on(monkeypatch, replace(RTX4090, name="Another card"))
    others.append(building())
    on(monkeypatch, RTX4090)
    old = building()
    (building.folder / "tensorrt_rtx1.0-sm_89.timing").touch()
    on(monkeypatch, replace(RTX4090, driver=(13, 1)))
    new = building()
    assert building.why == "the last one was built with driver [13, 0], here it is [13, 1]"
    assert new.path != old.path
    kept = {plan.path for plan in (*others, new)}
    assert set(building.folder.glob("*.plan")) == kept
    assert set(building.folder.glob("*.json")) == {path.with_suffix(".json") for path in kept}
    assert list(building.folder.glob("*.timing")) == []
    assert kept_bytes(building.folder) == (4, sum(path.stat().st_size for path in kept))


def test_another_version_is_the_reason(building: Building, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an update of TensorRT the line names both versions."""
    old = building()
    package = store.installed(None)
    monkeypatch.setattr(store, "installed", lambda gpu: Package(package.name, "1.99.0", package.module))
    building()
    assert building.why == f"the last one was built with version {package.version!r}, here it is '1.99.0'"
    assert not old.path.exists()


def test_other_weights_are_another_plan(tmp_path: Path, building: Building) -> None:
    """A network of the same name with other weights does not get the plan of the first."""
    building()
    onnx = tmp_path / "bright.onnx"
    onnx.write_bytes(onnx.read_bytes() + b"\x0a\x00")  # an empty field: another file, the same network
    building.card = replace(building.card, sha256=hashlib.sha256(onnx.read_bytes()).hexdigest())
    building()
    assert building.why.startswith("the last one was built with onnx_sha256")


def test_damaged_plan(building: Building) -> None:
    """One flipped bit in a plan, and it is built anew rather than loaded."""
    plan = building()
    damaged = bytearray(plan.data)
    damaged[len(damaged) // 2] ^= 1
    plan.path.write_bytes(damaged)
    assert building().data == plan.data
    assert building.why == f"plan {plan.path.name!r} is not the file its sidecar describes"


@pytest.mark.parametrize("content", [None, b"{", b"[]", b"null", b'{"inputs": 3}', b"\xff"])
def test_no_sidecar_or_a_broken_one(building: Building, content: bytes | None) -> None:
    """A plan from elsewhere, without a sidecar that says what it is, is never handed out."""
    plan = building()
    plan.path.write_bytes(b"whatever somebody put here")
    beside = plan.path.with_suffix(".json")
    if content is None:
        beside.unlink()
    else:
        beside.write_bytes(content)
    assert building().data == plan.data
    assert ("no sidecar" if content is None else "sidecar of plan") in building.why


def test_a_plan_that_does_not_load_is_built_anew(building: Building) -> None:
    """A runtime that could not load a plan gets another, with its reason in the line."""
    building()
    building(anew="it does not load")
    assert building.said[-1] == "building a plan for 'bright' (fp16, any): it does not load"


def test_a_plan_built_without_a_gpu_runs_with_one(
    building: Building, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What RTX built for its usual targets, in an image say, is found by a machine that has a GPU."""
    plan = building()
    on(monkeypatch, RTX4090)
    assert building() == plan
    assert len(building.said) == 1
    on(monkeypatch, TURING)  # compute capability 7.5 is none of those targets
    assert building() != plan


def test_tensorrt_builds_nothing_without_a_gpu(building: Building, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT proper is told apart from RTX before it is even started."""
    monkeypatch.setattr(store, "installed", lambda gpu: Package("tensorrt", "10.13.0", None))
    with pytest.raises(ModelError, match=r"only on the GPU they are for, here is none \(.*\[tensorrt-rtx\]"):
        building()
    assert not building.folder.exists()


def test_a_folder_that_cannot_be_written(building: Building) -> None:
    """One line says which folder and why."""
    building.folder.write_text("no folder")
    with pytest.raises(ModelError, match=r"cannot write plans into '.*plans': "):
        building()


def test_an_interrupted_build_leaves_nothing(building: Building) -> None:
    """After Ctrl-C there is neither plan nor sidecar nor half a file, and the next call builds."""

    def interrupt(phase: str, share: float) -> None:
        if share > 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        building(watch=interrupt)
    assert [path.name for path in building.folder.iterdir() if path.name != ".lock"] == []
    assert building().data


BUILD = """
import sys, time
from pathlib import Path
from streamseg.models import find_model
from streamseg.plans import ensure
folder, meet = Path(sys.argv[1]), Path(sys.argv[2])
import tensorrt_rtx, onnx, filelock
(meet / sys.argv[3]).touch()
while len(list(meet.iterdir())) < 2:
    time.sleep(0.01)
plan = ensure(find_model(sys.argv[4]), folder=folder, say=lambda line: print(line, flush=True))
print(len(plan.data), plan.path)
"""


def test_two_processes_build_once(tmp_path: Path) -> None:
    """Two that start at once end with the same sound plan; one built it, the other waited or found it."""
    (tmp_path / "meet").mkdir()
    calls = [
        subprocess.Popen(
            [sys.executable, "-c", BUILD, str(tmp_path / "plans"), str(tmp_path / "meet"), name, "selfie"],
            stdout=subprocess.PIPE,
            cwd=PROJECT,
            text=True,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
        )
        for name in ("one", "two")
    ]
    said = [call.communicate(timeout=120)[0].splitlines() for call in calls]
    assert [call.returncode for call in calls] == [0, 0]
    assert said[0][-1] == said[1][-1]
    assert sum(line.startswith("building") for lines in said for line in lines) == 1, said
    assert len(list((tmp_path / "plans").glob("*.plan"))) == 1


def test_plans_lie_in_the_checkout_or_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout keeps its plans itself; an installed copy, and one that cannot be written, use the cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    engines = tmp_path / "engines"
    engines.mkdir()
    monkeypatch.setattr(store, "embedded_folder", lambda: engines)
    assert plans_folder() == tmp_path / "cache" / "streamseg" / "plans"
    (tmp_path / ".git").mkdir()
    assert plans_folder() == engines / "plans"
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert plans_folder() == tmp_path / "cache" / "streamseg" / "plans"
