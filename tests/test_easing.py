"""A live run that is over its latency budget is made easier step by step, and recovers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streamseg.easing import STEPS, Easing
from tests.commandline import FAST, Cli


class Run:
    """Frames at 30 a second whose latency depends on how easy the run is."""

    def __init__(self, latencies: list[float], *, missing: tuple[int, ...] = ()) -> None:
        """`latencies`: milliseconds at each level."""
        self.now = 0.0
        self.latencies = latencies
        self.said: list[str] = []
        self.levels: list[int] = []
        self._missing = missing
        self.easing = Easing(50, take=self._take, say=self.said.append, clock=lambda: self.now)

    def _take(self, level: int) -> bool:
        if level in self._missing:
            return False
        self.levels.append(level)
        return True

    def go(self, seconds: float) -> Run:
        """Show frames for so long."""
        for _ in range(round(30 * seconds)):
            self.now += 1 / 30
            self.easing(self.latencies[self.easing.level] / 1000)
        return self


def test_within_the_budget_nothing_is_done() -> None:
    """A run that is in time stays as good as it is, also if single frames are late."""
    run = Run([40, 0, 0, 0]).go(5)
    for _ in range(20):
        run.now += 1 / 30
        run.easing(2.0)
        run.go(0.9)
    assert run.levels == []


def test_steps_are_taken_in_order_and_told() -> None:
    """Each is given a second to show; the next one follows where it was not enough; each is a line."""
    run = Run([90, 80, 70, 30]).go(6)
    assert run.levels == [1, 2, 3]
    assert [line.rpartition(": ")[2] for line in run.said] == list(STEPS)
    assert run.said[0].startswith("latency 90 ms is over the budget of 50 ms")


def test_what_is_not_possible_is_passed_over() -> None:
    """Without a smaller network the second step is the first one, on the way back too."""
    run = Run([90, 90, 20, 0], missing=(1,)).go(3)
    assert run.levels == [2]
    run.latencies = [10, 10, 10, 10]
    run.go(8)
    assert run.levels == [2, 0]
    assert run.easing.level == 0


def test_a_run_with_room_recovers_step_by_step() -> None:
    """Well within the budget for some seconds, it goes back one step at a time, and says so."""
    run = Run([90, 80, 30, 0]).go(4)
    assert run.easing.level == 2
    run.latencies = [20, 20, 20, 20]
    run.go(20)
    assert run.levels == [1, 2, 1, 0]
    assert run.said[-1].endswith(f"no more {STEPS[0]}")


def test_between_budget_and_room_it_stays() -> None:
    """Just within the budget there is no room for a step back: it would be over it again."""
    run = Run([90, 45, 0, 0]).go(120)
    assert run.levels == [1]


def test_steps_back_that_were_too_early_become_rare() -> None:
    """A machine too slow for more is not tried every few seconds: attempts grow rarer, up to one a minute."""
    run = Run([90, 20, 0, 0]).go(300)
    back = run.levels.count(0)
    assert 4 <= back <= 9
    assert run.easing.level == 1 or run.levels[-1] == 0


def test_at_the_last_step_it_goes_on() -> None:
    """Where nothing helps, the run is as easy as it can be, and nothing more is said."""
    run = Run([90, 90, 90, 90]).go(60)
    assert run.levels == [1, 2, 3]
    assert len(run.said) == 3


def test_a_run_that_is_always_late_says_each_step(cli: Cli, tmp_path: Path) -> None:
    """With a budget nobody can keep, all steps are taken; the rate is halved in the end, what is left out
    counts as dropped, and no frame fails."""
    report = tmp_path / "report.json"
    said = cli(
        "run", "test:320x240@60", "--live", "--duration", "6", "--latency-budget", "0.01", "-o", "null:",
        "--report", report, "--runtime", "onnxruntime",
    )  # fmt: skip
    assert said.code == 0
    assert [step for step in STEPS if step in said.err] == list(STEPS)
    told = json.loads(report.read_text())
    assert told["model"] == "selfie, then selfie-landscape"
    assert told["frames_dropped"] > 20
    assert told["frames_in"] == told["frames_out"] + told["frames_dropped"]
    assert told["failures"] == []


@pytest.mark.parametrize("arguments", [("demo:", "--no-live"), ("test:", "--no-live")])
def test_a_budget_for_a_file_is_refused(cli: Cli, arguments: tuple[str, ...]) -> None:
    """What waits is never late."""
    said = cli("run", *arguments, "-o", "null:", "--latency-budget", "40", *FAST)
    assert said.code == 2
    assert "add --live" in said.error
