"""The TensorRT runtime, on an emulated card with an emulated TensorRT."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from streamseg.errors import GpuFailure, ModelError
from streamseg.models import find_model
from streamseg.runtimes import load_runtime
from streamseg.runtimes.base import blank
from tests import networks
from tests.emulator.card import Card
from tests.emulator.tensorrt import machine
from tests.planning import portrait, shared
from tests.test_gpu_runs import network

GRAPH = "graph WHOLE_GRAPH_CAPTURE"


def test_without_a_gpu_it_says_so() -> None:
    """No driver: one line with what is missing, and nothing of TensorRT's is started."""
    with pytest.raises(ModelError, match=r"needs an NVIDIA GPU, and .*; use --runtime onnxruntime"):
        load_runtime(find_model("selfie"), name="tensorrt")


@pytest.mark.parametrize("name", ["selfie", "rvm", "deeplab-voc"])
def test_arrays_give_what_onnx_runtime_gives(name: str, request: pytest.FixtureRequest) -> None:
    """Three pictures in turn, states and all: the same scores but for half precision, which moves edges."""
    card = network(name, request)
    output, states = card.output.name, dict(blank(card))
    slow = load_runtime(card, name="onnxruntime")
    with machine(), closing(slow), closing(load_runtime(card, name="tensorrt")) as fast:
        assert fast.name == "tensorrt"
        for picture in portrait(card, 3):
            wanted = slow({card.input.name: picture, **states})
            states = {state.input: wanted[state.output] for state in card.states}
            found = fast({card.input.name: picture})[output]
            assert found.shape == wanted[output].shape
            assert found.dtype == np.float16
            apart = np.abs(found - wanted[output])
            assert np.quantile(apart, 0.998) < 0.05 * max(1, np.abs(wanted[output]).max())
            for key, value in (fast.states() if card.states else {}).items():
                assert np.quantile(np.abs(value - states[key]), 0.998) < 0.05


def test_states_are_carried_and_forgotten(data: Path) -> None:
    """The same picture twice gives another answer; after `remember` the first one again."""
    card = shared(data, "rvm")
    (picture,) = portrait(card)
    with machine() as found, closing(load_runtime(card, name="tensorrt")) as runtime:
        first, second = (runtime({card.input.name: picture})["pha"] for _ in range(2))
        kept = runtime.states()
        runtime.remember(blank(card))
        np.testing.assert_array_equal(runtime({card.input.name: picture})["pha"], first)
        runtime.remember(kept)
        third = runtime({card.input.name: picture})["pha"]
    assert not np.array_equal(first, second)
    assert not np.array_equal(third, first)
    assert not found.card.leaks


def test_a_run_is_an_upload_a_network_a_download_and_one_wait() -> None:
    """Nothing is allocated after the first, and the addresses of a network without states stay."""
    card = find_model("selfie")
    (picture,) = portrait(card)
    with machine() as found, closing(load_runtime(card, name="tensorrt")) as runtime:
        runtime({card.input.name: picture})
        before = len(found.card.calls)
        runtime({card.input.name: picture})
        calls = found.card.calls[before:]
    asked = ["record", "query", "query"]
    assert calls == ["memcpy_htod_async", "execute_async_v3", "memcpy_dtoh_async", *asked]
    assert GRAPH in found.card.calls


def test_a_recurrent_network_is_not_captured(data: Path) -> None:
    """Its states change places with every run."""
    with machine() as found, closing(load_runtime(shared(data, "rvm"), name="tensorrt")):
        pass
    assert not any(call.startswith("graph") for call in found.card.calls)


def test_everything_is_given_back_in_order_on_one_thread() -> None:
    """Context, engine, TensorRT's runtime, memory, and the GPU's own context last."""
    with machine() as found, closing(load_runtime(find_model("selfie"), name="tensorrt")):
        pass
    calls = found.card.calls
    order = [calls.index(each) for each in ("~context", "~engine", "~runtime", "free", "pop", "detach")]
    assert order == sorted(order)
    assert len(found.card.threads) == 1
    assert not found.card.leaks


def test_a_plan_that_does_not_load_is_built_anew_once() -> None:
    """The second one is asked for with the reason; if that does not load either, that is said."""
    with machine() as found:
        found.spoilt = 1
        load_runtime(find_model("selfie"), name="tensorrt").close()
        assert found.asked == ["", "it does not load"]
        found.spoilt = 2
        with pytest.raises(ModelError, match=r"plan 'emulated\.plan' does not load"):
            load_runtime(find_model("selfie"), name="tensorrt")
    assert not found.card.leaks


def test_networks_of_bytes_are_fed_bytes(tmp_path: Path) -> None:
    """A network that takes and gives other types than floats goes through arrays."""
    card = networks.identity(tmp_path, networks.UINT8)
    with machine(precision="fp32"), closing(load_runtime(card, name="tensorrt")) as runtime:
        scores = runtime({"picture": np.full((1, 1, 32, 32), 0.75, np.float32)})["scores"]
    assert (scores == 1).all()


def outcome(card: Card) -> str:
    """Load, run twice and close on a card that may refuse a call."""
    model = find_model("selfie")
    picture = np.zeros(model.input.shape, np.float32)
    with machine(card):
        try:
            runtime = load_runtime(model, name="tensorrt")
        except (GpuFailure, ModelError) as error:
            return str(error)
        with closing(runtime):
            try:
                for _ in range(2):
                    runtime({model.input.name: picture})
            except GpuFailure as error:
                return str(error)
    return ""


def test_a_failure_at_any_call_is_one_line_and_leaks_nothing() -> None:
    """Whichever call of the driver or of TensorRT is refused, once or from then on."""
    clean = Card()
    assert outcome(clean) == ""
    for number, call in enumerate(clean.calls):
        for lost in (False, True):
            card = Card(fails_at=number, lost=lost)
            told = outcome(card)
            assert "\n" not in told
            closing = number >= clean.calls.index("~context") - 1
            assert told or closing or call[0] == "~" or call in {"deserialize_cuda_engine", GRAPH}
            if not lost and not closing:
                assert not card.leaks, f"{card.leaks} left after call {number}, {call}"
