"""Commands on standard input change a run in progress, each answered in a line of JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from streamseg.cli.listening import answer
from streamseg.control import Control
from streamseg.settings import Settings
from tests.clips import read_frames
from tests.commandline import FAST, PROJECT, Cli, process

LONG = "test:160x120@30,3600s"


def conversation(*lines: str, sinks: tuple[str, ...] = ("-o", "null:")) -> list[dict[str, Any]]:
    """Say `lines` to a live run, each after the answer to the one before; return the answers."""
    run = process("run", LONG, "--live", *sinks, "--control", "--quiet", *FAST, stdin=subprocess.PIPE)
    assert run.stdin is not None
    assert run.stdout is not None
    with run:
        answers = [_asked(run, line) for line in lines]
        run.communicate(timeout=30)
    assert run.returncode == 0
    return answers


def _asked(run: subprocess.Popen[bytes], line: str) -> dict[str, Any]:
    assert run.stdin is not None
    assert run.stdout is not None
    run.stdin.write(line.encode() + b"\n")
    run.stdin.flush()
    answer: dict[str, Any] = json.loads(run.stdout.readline())
    return answer


def test_settings_switches_figures_and_the_end() -> None:
    """Words or JSON change settings; what was changed is told when asked for; `stop` ends the run."""
    answers = conversation(
        "effect=replace background='#102030' feather=3 classes=person",
        '{"invert": true, "threshold": 0.5}',
        "settings",
        "panic on",
        "freeze on",
        "pause off",
        "figures",
        "stop",
    )
    assert all(answer["ok"] for answer in answers)
    assert answers[2] | {"effect": "replace", "background": "#102030", "feather": 3.0} == answers[2]
    assert answers[2] | {"invert": True, "threshold": 0.5, "classes": ["person"]} == answers[2]
    assert answers[6]["frames_in"] >= 0


def test_commands_that_come_before_the_run_wait_for_it() -> None:
    """All at once, as from a pipe: each is obeyed and answered in its turn."""
    arguments = "run", LONG, "--live", "-o", "null:", "--control", "--quiet", *FAST
    with process(*arguments, stdin=subprocess.PIPE) as run:
        out, err = run.communicate(b"effect=blur\nfigures\nsettings\nstop\n", timeout=60)
    answers = [json.loads(line) for line in out.splitlines()]
    assert [answer["ok"] for answer in answers] == [True] * 4, answers
    assert answers[2]["effect"] == "blur"
    assert (run.returncode, err) == (0, b"")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("dance", "no command 'dance'; there are: name=value"),
        ("panic maybe", "no command 'panic maybe'"),
        ("effect=dance", "no effect 'dance'"),
        ("{not json", "as JSON"),
        ("colour=red", "no setting 'colour'"),
        ("effect='open", "no closing quotation"),
        ("feather=soft", "it wants a number"),
    ],
)
def test_what_makes_no_sense_is_answered_and_changes_nothing(line: str, told: str) -> None:
    """`ok` is false, `error` says why, and the run goes on."""
    refused, settings, _ = conversation(line, "settings", "stop")
    assert not refused["ok"]
    assert told in refused["error"]
    assert settings["effect"] == "silhouette"


@pytest.mark.parametrize(("before", "told"), [('{"effect":', "as JSON"), ("effect=", "not begun")])
def test_json_deeper_than_python_can_read_is_no_json(before: str, told: str) -> None:
    """It is answered as all else is: here, that it is not understood, and that no run can take the text."""
    refused = answer(Control(Settings()), before + "[" * 4000)
    assert refused["ok"] is False
    assert told in str(refused["error"])


def test_the_end_of_the_commands_is_not_the_end_of_the_run(tmp_path: Path) -> None:
    """A file is written to its end although nobody says anything any more."""
    target = tmp_path / "out.mp4"
    arguments = "run", "test:64x48@10,1s", "-o", target, "--control", "--quiet", *FAST
    with process(*arguments, stdin=subprocess.DEVNULL) as run:
        out, err = run.communicate(timeout=60)
    assert (run.returncode, out, err) == (0, b"", b"")
    assert len(read_frames(target)) == 10


def test_a_closed_standard_input_says_nothing(tmp_path: Path) -> None:
    """With `<&-` the first file opened, a source perhaps, would get its number and be read as commands."""
    source = tmp_path / "source"
    source.write_text("stop")
    program = (
        "import os, sys\n"
        "from streamseg import cli\n"
        "cli.outcome = lambda paths: [os.open(paths[0], os.O_RDONLY), len(os.read(0, 9))][1]\n"
        "cli.main(sys.argv[1:])"
    )
    command = ["sh", "-c", 'exec "$@" <&-', "sh", sys.executable, "-c", program, source]
    run = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONPATH": str(PROJECT)})
    assert (run.returncode, run.stderr) == (0, b"")


def test_answers_keep_out_of_a_video_on_stdout() -> None:
    """With `-o -` they go to stderr."""
    with process(
        "run", "test:64x48@10,1s", "-o", "-", "--control", "--quiet", *FAST, stdin=subprocess.PIPE
    ) as run:
        out, err = run.communicate(b"dance\n", timeout=60)
    assert out.startswith(b"YUV4MPEG2")
    assert b'"ok"' not in out
    assert json.loads(err)["ok"] is False


def test_a_reader_of_answers_who_leaves_is_no_harm() -> None:
    """The run goes on to its end."""
    with process(
        "run",
        "test:64x48@10,2s",
        "--live",
        "-o",
        "null:",
        "--control",
        "--quiet",
        *FAST,
        stdin=subprocess.PIPE,
    ) as run:
        assert run.stdout is not None
        assert run.stdin is not None
        run.stdout.close()
        run.stdin.write(b"settings\nsettings\n")
        run.stdin.close()
        assert run.wait(timeout=60) == 0


def test_commands_and_a_video_cannot_share_standard_input(cli: Cli) -> None:
    """One of them must come from elsewhere."""
    said = cli("run", "-", "-o", "null:", "--control")
    assert said.code == 2
    assert "--control reads commands from standard input" in said.error
