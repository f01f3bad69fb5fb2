"""Starting at once and getting faster: TensorRT is made ready while another runtime works."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from streamseg import plans
from streamseg.errors import ModelError
from streamseg.gpu import driver
from streamseg.handoff import Job
from streamseg.models.card import ModelCard
from streamseg.plans import apart, package
from streamseg.runtimes.base import Runtime


def usable() -> bool:
    """Whether there is a GPU, with a TensorRT that works and PyCUDA. Nothing of theirs is started."""
    gpu = driver.probe().gpu
    if gpu is None or find_spec("pycuda") is None:
        return False
    try:
        package.installed(gpu)
    except ModelError:
        return False
    return True


def ready(card: ModelCard) -> bool:
    """Whether a card's network can run on the GPU at once."""
    return usable() and plans.kept(card) is not None


def upgrade(card: ModelCard) -> Job[Runtime] | None:
    """Begin to make TensorRT ready for a card: build the plan, load it, run it once. None where it cannot be.

    Whoever takes the result closes it.
    """
    if not usable():
        return None

    def make(stopping: Callable[[], bool]) -> Runtime:
        from streamseg.runtimes.tensorrt import TensorrtRuntime

        apart.build(card, stopping)
        return TensorrtRuntime(card)

    return Job(make, name="upgrade")
