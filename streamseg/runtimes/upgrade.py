"""Starting at once and getting faster: TensorRT is made ready while another runtime works."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from streamseg import plans
from streamseg.errors import ModelError, StreamsegError
from streamseg.gpu import driver, module
from streamseg.handoff import Job
from streamseg.models.card import ModelCard
from streamseg.plans import PlanSpec, Precision, apart, package
from streamseg.runtimes.base import Runtime

if TYPE_CHECKING:
    from streamseg.runtimes.tensorrt import TensorrtRuntime


def missing() -> str | None:
    """What keeps networks from running on a GPU here, in a line; None where nothing does.

    Nothing of a GPU package's is started.
    """
    found = driver.probe()
    if found.gpu is None:
        return f"needs an NVIDIA GPU, and {found.problem}; see: streamseg doctor"
    if find_spec("pycuda") is None:
        return "needs PyCUDA; install it: pip install pycuda"
    try:
        package.installed(found.gpu)
        module.require()
    except StreamsegError as error:
        return str(error)
    return None


def upgrade(card: ModelCard, precision: Precision = "fp16") -> Job[Runtime] | None:
    """Begin to make TensorRT ready for a card: build the plan, load it, run it once. None where it cannot be.

    A plan that is there but does not load is built anew. Whoever takes the result closes it; one that has
    been stopped is there within the time it takes to load a plan.
    """
    if missing():
        return None
    spec = PlanSpec(precision=precision)

    def make(stopping: Callable[[], bool]) -> Runtime:
        from streamseg.gpu.engine import PlanRefused

        try:
            if runtime := _loaded(card, spec):
                return runtime
            anew = ""
        except PlanRefused:
            anew = "it does not load"
        apart.build(card, stopping, spec=spec, anew=anew)
        if stopping():
            raise ModelError("nobody waits for it any more")
        if runtime := _loaded(card, spec):
            return runtime
        raise ModelError("the plan that was built is gone")

    return Job(make, name="upgrade")


def _loaded(card: ModelCard, spec: PlanSpec) -> TensorrtRuntime | None:
    """Load the plan that is kept, if there is one; raises PlanRefused where it does not load."""
    from streamseg.runtimes.tensorrt import TensorrtRuntime

    plan = plans.kept(card, spec)
    return TensorrtRuntime(card, precision=spec.precision, plan=plan) if plan else None
