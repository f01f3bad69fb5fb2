"""Starting at once and getting faster: TensorRT is made ready while another runtime works."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from streamseg import plans
from streamseg.errors import ModelError, StreamsegError
from streamseg.gpu import driver, module
from streamseg.handoff import Job
from streamseg.models.card import ModelCard
from streamseg.plans import apart, package
from streamseg.runtimes.base import Runtime


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


def ready(card: ModelCard) -> bool:
    """Whether a card's network can run on the GPU at once."""
    return missing() is None and plans.kept(card) is not None


def upgrade(card: ModelCard) -> Job[Runtime] | None:
    """Begin to make TensorRT ready for a card: build the plan, load it, run it once. None where it cannot be.

    Whoever takes the result closes it.
    """
    if missing():
        return None

    def make(stopping: Callable[[], bool]) -> Runtime:
        from streamseg.runtimes.tensorrt import TensorrtRuntime

        apart.build(card, stopping)
        if stopping():
            raise ModelError("nobody waits for it any more")
        return TensorrtRuntime(card)

    return Job(make, name="upgrade")
