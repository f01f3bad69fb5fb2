"""Where plans lie, and whether one may be used: only with its sidecar, and only if that is true here.

Loading a plan runs code that is in it. So one without a sidecar, or with other bytes than its sidecar names,
is never handed out but built anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from streamseg.errors import ModelError, pip_extra, pip_install, reason
from streamseg.gpu.driver import probe
from streamseg.models.card import ModelCard
from streamseg.models.files import cache_folder, embedded_folder, write_atomically
from streamseg.plans.int8 import Calibration, Watch
from streamseg.plans.onnx_types import prepared
from streamseg.plans.order import Facts, Order, word
from streamseg.plans.outdated import remove_outdated, sidecar_of, timings_of
from streamseg.plans.package import installed
from streamseg.plans.plan import Plan, PlanSpec, Profile, TensorSpec

Say = Callable[[str], None]


def plans_folder() -> Path:
    """Return the folder of plans: engines/plans of a checkout, in the user's cache where that cannot be."""
    engines = embedded_folder()
    checkout = (engines.parent / ".git").exists() and os.access(engines, os.W_OK)
    return engines / "plans" if checkout else cache_folder() / "plans"


def ensure(
    card: ModelCard,
    spec: PlanSpec | None = None,
    *,
    calibration: Calibration | None = None,
    anew: str = "",
    folder: Path | None = None,
    say: Say = lambda _line: None,
    watch: Watch = lambda _phase, _share: None,
) -> Plan:
    """Return a plan that fits this machine, built first unless there is one.

    `calibration`: for int8; None takes the one kept last. `anew`: why to build although there may be a plan
    that fits, such as "it does not load". `folder`: of plans, `plans_folder()` by default. `say` is told in
    a line why a plan is built, `watch` how far it is. Processes that want the same plan build it once. Plans
    it takes the place of go. Raises ModelError.
    """
    spec, folder = spec or PlanSpec(), folder or plans_folder()
    order = _order(card, spec, folder, calibration)
    path = folder / order.file_name
    if not anew and (plan := _found(order, folder)):
        return plan
    _require_gpu(order)
    with _alone(folder, say):
        plan, why = (None, anew) if anew else find(path, order)
        if plan is not None:
            return plan
        say(f"building a plan for {card.name!r} ({spec.precision}, {order.target}): {why}")
        _build(path, order, watch)
        remove_outdated(path, order)
    plan, why = find(path, order)
    if plan is None:
        raise ModelError(f"plan {path.name!r} was built but cannot be used: {why}")
    return plan


def kept(card: ModelCard, spec: PlanSpec | None = None, *, folder: Path | None = None) -> Plan | None:
    """Return the plan that fits this machine, if there is one.

    Raises ModelError: TensorRT is missing, or int8 was never calibrated.
    """
    folder = folder or plans_folder()
    return _found(_order(card, spec or PlanSpec(), folder), folder)


def _order(card: ModelCard, spec: PlanSpec, folder: Path, calibration: Calibration | None = None) -> Order:
    gpu = probe().gpu
    if spec.precision != "int8":
        calibration = None
    elif calibration is None:
        calibration = kept_calibration(card, folder)
    package = installed(gpu)
    package.require(spec.precision)
    return Order(card, spec, package, gpu, calibration)


def _found(order: Order, folder: Path) -> Plan | None:
    """Return a plan for this GPU, or one for any: what was built where there was none runs here too."""
    carried = order.gpu is not None and order.package.carries(order.gpu)
    for one in [order, replace(order, gpu=None)] if carried else [order]:
        plan, _ = find(folder / one.file_name, one)
        if plan is not None:
            return plan
    return None


def find(path: Path, order: Order) -> tuple[Plan | None, str]:
    """Return the plan that was ordered, or None and why there is none."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None, _nearest(path.parent, order)
    except OSError as error:
        return None, f"plan {path.name!r} cannot be read: {reason(error)}"
    try:
        sidecar = json.loads(sidecar_of(path).read_bytes())
        inputs, outputs = (tuple(_tensor(one) for one in sidecar[key]) for key in ("inputs", "outputs"))
        profiles = {name: Profile(*map(tuple, shapes)) for name, shapes in sidecar["profiles"].items()}
    except FileNotFoundError:
        return None, f"plan {path.name!r} has no sidecar, so nobody knows whose it is"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return None, f"the sidecar of plan {path.name!r} cannot be read: {reason(error)}"
    if difference := _difference(sidecar, {**order.wanted, **order.surroundings}):
        return None, difference
    if hashlib.sha256(data).hexdigest() != sidecar.get("sha256"):
        return None, f"plan {path.name!r} is not the file its sidecar describes"
    return Plan(path, data, inputs, outputs, profiles, sidecar), ""


def _tensor(table: dict[str, Any]) -> TensorSpec:
    return TensorSpec(str(table["name"]), str(table["dtype"]), tuple(table["shape"]))


def _difference(sidecar: Facts, facts: Facts) -> str:
    """Say what of a sidecar is not so here."""
    for key, here in facts.items():
        if (there := sidecar.get(key)) != here:
            return f"the last one was built with {key} {_short(there)}, here it is {_short(here)}"
    return ""


def _short(fact: object) -> str:
    """A fact as it is said: of a sha256 twelve digits tell enough."""
    return repr(fact[:12] if isinstance(fact, str) and re.fullmatch(r"[0-9a-f]{64}", fact) else fact)


def _nearest(folder: Path, order: Order) -> str:
    """Say what has changed since the same was built last."""
    for path in sorted(folder.glob(f"{order.stem}*.json"), key=_written, reverse=True):
        try:
            sidecar = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(sidecar, dict) and not _difference(sidecar, order.wanted):
            return _difference(sidecar, order.surroundings) or "it is gone"
    return "there is none yet"


def _written(path: Path) -> float:
    """When a file was written; another process may have removed it."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _require_gpu(order: Order) -> None:
    if order.package.needs_gpu and order.gpu is None:
        raise ModelError(
            f"{order.package.name} builds plans only on the GPU they are for, here is none "
            f"({probe().problem}); TensorRT-RTX builds them anywhere: {pip_extra('tensorrt-rtx')}"
        )


def _alone(folder: Path, say: Say) -> AbstractContextManager[object]:
    """Return a context in which no other process builds plans here: two would spoil each other's timings.

    Raises ModelError.
    """
    try:
        from filelock import FileLock, Timeout
    except ImportError as error:
        raise ModelError(
            f"building plans needs the package 'filelock'; install it: {pip_install('filelock')}"
        ) from error
    lock = FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return lock.acquire(timeout=0)
        except Timeout:
            say("another process is building a plan; waiting for it")
            return lock.acquire()
    except OSError as error:
        raise ModelError(f"cannot write plans into {str(folder)!r}: {reason(error)}") from error


def _build(path: Path, order: Order, watch: Watch) -> None:
    """Build a plan and write it with its sidecar, which comes last: until then it does not count."""
    from streamseg.plans.builder import build

    package, card = order.package, order.card
    network = prepared(card, order.spec, order.calibration)
    timings = timings_of(path.parent, order)
    timing = timings.read_bytes() if timings.is_file() else b""
    built = build(package, network, order.spec, gpu=order.gpu, name=card.name, timing=timing, watch=watch)
    sidecar = {
        **order.wanted,
        **order.surroundings,
        "sha256": hashlib.sha256(built.data).hexdigest(),
        "inputs": [asdict(tensor) for tensor in built.inputs],
        "outputs": [asdict(tensor) for tensor in built.outputs],
        "profiles": {
            name: [profile.low, profile.usual, profile.high] for name, profile in network.profiles.items()
        },
    }
    sidecar_of(path).unlink(missing_ok=True)
    write_atomically(path, built.data)
    write_atomically(sidecar_of(path), json.dumps(sidecar, indent=1).encode())
    if built.timing:
        write_atomically(timings, built.timing)


def kept_calibration(card: ModelCard, folder: Path) -> Calibration:
    """Return the calibration last kept for a card. Raises ModelError where there is none."""
    try:
        kept = Calibration.from_json(_calibration_file(card, folder).read_bytes())
    except (OSError, ValueError, KeyError, TypeError):
        kept = None
    if kept is None or kept.network != card.sha256:
        raise ModelError(
            f"int8 needs a clip to calibrate {card.name!r} on: "
            f"streamseg build {card.name} --precision int8 --calibrate CLIP"
        )
    return kept


def keep_calibration(card: ModelCard, calibration: Calibration, folder: Path | None = None) -> Path:
    """Keep a calibration for later plans; return its file. Raises ModelError."""
    path = _calibration_file(card, folder or plans_folder())
    write_atomically(path, calibration.to_json())
    return path


def _calibration_file(card: ModelCard, folder: Path) -> Path:
    return folder / f"{word(card.name)}-{card.sha256[:12]}.calibration"
