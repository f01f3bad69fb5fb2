"""Help, and the one line each misuse is answered with."""

from __future__ import annotations

import errno
import inspect
import json
import re
import sys
from pathlib import Path

import click
import pytest

import streamseg
from streamseg.bench.suite import Result, Row
from streamseg.cli import COMMANDS, commands
from streamseg.cli.help import WIDTH
from streamseg.cli.options import run_parameters
from streamseg.effects import EFFECTS, Blurred, Outline, effect
from streamseg.models import find_model
from streamseg.segmenter import Segmenter
from streamseg.settings import Settings
from streamseg.sources import open_source
from tests.commandline import PROJECT, Cli


def run_options() -> list[str]:
    """Every option of `run`, with all its names."""
    with click.Context(commands, info_name="streamseg") as context:
        command = commands.get_command(context, "run")
        assert command is not None
        return [
            name
            for option in command.params
            for name in (*option.opts, *option.secondary_opts)
            if "-" in name
        ]


def test_alone_it_explains_itself(cli: Cli) -> None:
    """`streamseg` without arguments prints the help and is content."""
    said = cli()
    assert said.code == 0
    assert said.err == ""
    assert all(f"  {name} " in said.out for name in COMMANDS)


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
def test_every_command_has_help(cli: Cli, command: tuple[str, ...]) -> None:
    """`--help` and `-h` work on every command, and no line is wider than promised."""
    said = cli(*command, "--help")
    assert said.code == 0
    assert said.out.startswith("Usage: ")
    assert max(map(len, said.out.splitlines())) <= WIDTH
    assert cli(*command, "-h") == said


@pytest.mark.parametrize("option", run_options())
def test_help_names_every_option(cli: Cli, option: str) -> None:
    """Each option of `run` stands in its help."""
    assert option in cli("run", "--help").out


@pytest.mark.parametrize("option", run_options())
def test_every_option_is_a_line_with_its_default(cli: Cli, option: str) -> None:
    """Each option stands in one line of the help; what takes a value ends with the default in brackets."""
    lines = cli("run", "--help").out.splitlines()
    line = next(line for line in lines if re.search(rf"^  .*{option}( |$|,)", line) and "  " in line.strip())
    takes_a_value = re.search(r" (-o, )?--[a-z-]+ [A-Z0]", line)
    assert line.endswith("]") or not takes_a_value, line


def test_help_names_every_effect(cli: Cli) -> None:
    """Each effect is explained by a few words in the help."""
    explained = cli("run", "--help").out.split("Effects:")[1].split("Keys")[0].split()
    assert set(EFFECTS) <= set(explained)


def test_help_is_grouped(cli: Cli) -> None:
    """The groups of options stand in the order one thinks of them."""
    said = cli("run", "--help").out
    groups = [
        "Examples",
        "SOURCE",
        "SINK",
        "What to read",
        "What to see",
        "Which network",
        "How to store",
        "Running",
    ]
    positions = [said.index(f"\n{group}") for group in groups]
    assert positions == sorted(positions)


def test_entry_script_is_called_by_its_name(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Called as ./run_stream.py, the help and the errors speak of ./run_stream.py."""
    monkeypatch.setattr("sys.argv", ["./run_stream.py"])
    said = cli("run", "--help").out
    assert "Usage: ./run_stream.py [SOURCE] [-o SINK]... [options]" in said
    assert "./run_stream.py talk.mp4 -o out.mp4" in said
    assert "streamseg run" not in said
    assert "see ./run_stream.py --help" in cli("run", "--nonsense").error


@pytest.mark.parametrize(
    ("started", "name"),
    [
        ("./run_stream.py", "./run_stream.py"),
        (".venv/bin/streamseg", ".venv/bin/streamseg run"),
        ("somewhere/streamseg/__main__.py", f"{Path(sys.executable).name} -m streamseg run"),
        ("a program that calls main", "streamseg run"),
    ],
)
def test_advice_can_be_typed_as_it_stands(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, started: str, name: str
) -> None:
    """A command that an error advises begins as the one that failed did."""
    monkeypatch.setattr("sys.argv", [started])
    monkeypatch.setattr("streamseg.sources.cameras.list_cameras", list)
    monkeypatch.setattr("sys.platform", "linux")
    assert cli("run").error.endswith(f"name what to read: {name} talk.mp4")
    assert f"did you mean: {name} talk.mp4" in cli("talk.mp4").error
    assert cli("run", "--foo").error.endswith(f"see {name} --help")


def test_a_command_given_to_the_entry_script_is_told_how_to_start(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`./run_stream.py doctor` is told what starts the doctor; a file of that name is read."""
    monkeypatch.setattr("sys.argv", ["./run_stream.py"])
    monkeypatch.chdir(tmp_path)
    asked = cli("run", "doctor", "-o", "null:")
    assert asked.code == 2
    assert asked.error.endswith(f"the command of that name: {sys.executable} -m streamseg doctor")
    Path("doctor").write_text("no video")
    assert "the command of that name" not in cli("run", "doctor", "-o", "null:").error


def test_a_program_on_the_path_is_called_by_its_name(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where `streamseg` alone starts this program, advice says so, not where it lies."""
    script = tmp_path / "streamseg"
    script.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.argv", [str(script)])
    assert cli("run", "--foo").error.endswith("see streamseg run --help")


def test_version(cli: Cli) -> None:
    """`--version` prints the package's."""
    assert cli("--version").out == f"streamseg {streamseg.__version__}\n"


MISUSE = {
    "unknown option, a near one suggested": (
        ["run", "--efect", "blur"],
        ["'--efect'", "did you mean --effect?"],
    ),
    "unknown option, none near": (["run", "--foo"], ["unknown option '--foo'; see streamseg run --help"]),
    "unknown option, longer than the one meant": (["run", "--colour", "red"], ["did you mean --color?"]),
    "option without its value": (["run", "test:", "--effect"], ["'--effect' requires an argument"]),
    "two sources": (["run", "a.mp4", "b.mp4"], ["too many arguments: b.mp4", "-o"]),
    "unknown command, a near one suggested": (["rum"], ["'rum'", "did you mean run?"]),
    "source in place of a command": (
        ["talk.mp4", "-o", "a.mp4"],
        ["did you mean: streamseg run talk.mp4 -o a.mp4"],
    ),
    "number that is none": (["run", "test:", "--crf", "good"], ["--crf", "'good'", "from 0 to 63"]),
    "share that is none": (["run", "test:", "--threshold", "high"], ["--threshold", "'high'", "from 0 to 1"]),
    "number out of bounds": (["run", "test:", "--threshold", "7"], ["--threshold", "'7'", "from 0 to 1"]),
    "negative feather": (["run", "test:", "--feather", "-1"], ["--feather", "'-1'", "0 or more"]),
    "no duration": (["run", "test:", "--duration", "0"], ["--duration", "'0'", "above 0"]),
    "duration that never ends": (["run", "test:", "--duration", "inf"], ["--duration", "'inf'", "above 0"]),
    "half a thread": (["run", "test:", "--threads", "0.5"], ["--threads", "'0.5'", "whole number"]),
    "size that is none": (["run", "test:", "--size", "big"], ["--size", "'big'", "1280x720"]),
    "bit rate that is none": (["run", "test:", "--bitrate", "fast"], ["--bitrate", "'fast'", "4M"]),
    "classes that name nothing": (["run", "test:", "--classes", ","], ["--classes", "','", "dog,person"]),
    "unknown fit": (
        ["run", "test:", "--background-fit", "tile"],
        ["--background-fit", "'tile'", "crop", "pad"],
    ),
    "fit of a background that is no picture": (
        ["run", "test:", "--background-fit", "pad"],
        ["background-fit 'pad' would do nothing", "name one with"],
    ),
    "folder as a background": (
        ["run", "test:", "-o", "null:", "--effect", "replace", "--background", "."],
        ["background '.' is several pictures", "name one"],
    ),
    "pattern as a background": (
        ["run", "test:", "-o", "null:", "--effect", "replace", "--background", "*.png"],
        ["background '*.png' is several pictures"],
    ),
    "option that takes no value": (["run", "test:", "--invert=3"], ["'--invert' does not take a value"]),
    "no subcommand of that name": (["models", "shwo"], ["no such command 'shwo'"]),
    "argument left out": (["models", "show"], ["NAME is missing", "see streamseg models show --help"]),
    "unknown effect": (["run", "test:", "--effect", "sparkle"], ["'sparkle'", *EFFECTS]),
    "unknown class": (["run", "test:", "-o", "null:", "--classes", "cat"], ["'cat'", "background", "person"]),
    "unknown model": (["run", "test:", "-o", "null:", "--model", "magic"], ["'magic'", "selfie"]),
    "unknown runtime": (
        ["run", "test:", "-o", "null:", "--runtime", "warp"],
        ["'warp'", "onnxruntime", "null"],
    ),
    "unknown extension": (["run", "test:", "-o", "out.xyz"], ["'.xyz'", "mp4"]),
    "unknown codec": (["run", "test:", "-o", "out.mp4", "--codec", "h999"], ["'h999'"]),
    "clip for the bench is missing": (["bench"], ["CLIP is missing", "see streamseg bench --help"]),
}


@pytest.mark.parametrize(("arguments", "words"), MISUSE.values(), ids=MISUSE)
def test_misuse_is_answered_in_one_line(
    cli: Cli, arguments: list[str], words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was asked and what can be done stand in one line; the exit code is 2; nothing is written."""
    monkeypatch.chdir(tmp_path)
    said = cli(*arguments)
    assert said.code == 2, said
    assert said.out == ""
    assert all(word in said.error for word in words), said.error
    assert list(tmp_path.iterdir()) == []


def test_help_tells_the_real_defaults() -> None:
    """Every default in the help, given to click or only told, is the one the library would use."""
    sources = effect, Segmenter, find_model, open_source, Settings
    real = {
        name: parameter.default
        for source in sources
        for name, parameter in inspect.signature(source).parameters.items()
    }
    real["model"] = real.pop("name_or_path")
    real["effect"] = EFFECTS[0]
    outline, blurred = effect("outline").operations[-1], effect("blur").background
    assert isinstance(outline, Outline)
    assert isinstance(blurred, Blurred)
    real |= {"outline_width": outline.width, "blur_strength": blurred.strength}
    shown = {str(option.name): option for option in run_parameters() if isinstance(option, click.Option)}
    for name, option in shown.items():
        with click.Context(commands) as context:
            default = option.get_default(context)
            record = option.get_help_record(context)
        told = re.search(r" \[(.*)\]$", record[1]) if record else None
        if isinstance(default, str | float):
            assert default == real[name], name
            assert told is None or told[1] == str(default).removesuffix(".0"), name
        elif told and re.match(r"[\d.]+$", told[1]):
            assert float(told[1]) == real[name], name


def test_the_documentation_is_the_help(cli: Cli) -> None:
    """docs/command-line.md shows the help as it is, and so names every option."""
    page = (PROJECT / "docs" / "command-line.md").read_text(encoding="utf-8")
    assert f"```\n{cli('run', '--help').out}```\n" in page


def test_the_documentation_explains_the_report(cli: Cli, tmp_path: Path) -> None:
    """docs/command-line.md has every field of the report."""
    page = (PROJECT / "docs" / "command-line.md").read_text(encoding="utf-8")
    cli.run("test:64x48@10,0.2s", "-o", "null:", "--report", tmp_path / "report.json")
    fields = json.loads((tmp_path / "report.json").read_text())
    assert [field for field in fields if f"`{field}`" not in page] == []


def test_bench_prints_and_writes_what_was_measured(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The figures go to the terminal as tables, and as JSON to a file or to stdout."""
    asked: list[tuple[str, dict[str, object]]] = []
    row = Row("silhouette / plain transcode", 0.9, "", "≥ 0.75")
    result = Result({"cores": "2"}, "clip.mp4", 1, {"silhouette": {"fps": 50.0, "cpu_ms": 20.0}}, {}, [row])

    def measure(clip: str, **options: object) -> Result:
        asked.append((clip, options))
        return result

    monkeypatch.setattr("streamseg.bench.measure", measure)
    said = cli("bench", "clip.mp4", "--rounds", "1", "--soak", "--json", tmp_path / "bench.json")
    assert said.code == 0, said.err
    assert "silhouette / plain transcode" in said.out
    assert asked[0][0] == "clip.mp4"
    assert (asked[0][1]["rounds"], asked[0][1]["soak"], asked[0][1]["model"]) == (1, True, "selfie")
    written = json.loads((tmp_path / "bench.json").read_text())
    assert written["rows"][0]["met"] is True
    assert json.loads(cli("bench", "clip.mp4", "--json", "-").out) == written
    nowhere = cli("bench", "clip.mp4", "--json", tmp_path / "nowhere" / "bench.json")
    assert nowhere.code == 1
    assert nowhere.err.startswith("error: cannot write")


def test_internal_errors_are_one_line_too(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug of ours is called one, with the way to its traceback."""
    monkeypatch.setattr("streamseg.doctor.facts", lambda: {}["boom"])  # type: ignore[index]
    said = cli("doctor")
    assert said.code == 1
    assert (
        said.err == "error: internal error: KeyError: 'boom'; run with STREAMSEG_DEBUG=1 for the traceback\n"
    )
    monkeypatch.setenv("STREAMSEG_DEBUG", "1")
    assert "Traceback" in cli("doctor").err


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (MemoryError(), 1, "out of memory"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (BrokenPipeError(errno.EPIPE, "broken pipe"), 0, ""),
        (
            PermissionError(errno.EACCES, "Permission denied", "/x"),
            1,
            "read or write '/x': permission denied",
        ),
    ],
)
def test_what_happens_to_every_program(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, words: str
) -> None:
    """Too little memory, Ctrl-C outside a run, a closed stdout: a line at most, never a traceback."""

    def facts() -> None:
        raise error

    monkeypatch.setattr("streamseg.doctor.facts", facts)
    said = cli("doctor")
    assert said.code == code
    assert words in said.err
    assert said.err.count("\n") == bool(words)
