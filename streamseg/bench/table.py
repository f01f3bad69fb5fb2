"""How a bench result is shown: tables for people, JSON for programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from streamseg.bench.suite import Result

if TYPE_CHECKING:
    from rich.console import Console


def to_json(result: Result) -> str:
    """Return the result as JSON; each row carries `met`."""
    content = asdict(result)
    content["rows"] = [{**asdict(row), "met": row.met} for row in result.rows]
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def print_table(result: Result) -> None:
    """Print machine, programs, stages and conclusions to stdout."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print("  ".join(f"{key} {value}" for key, value in result.machine.items()), highlight=False)
    if not result.medians:
        console.print(result.clip, highlight=False)
        _print_rows(console, result)
        return
    console.print(f"{result.clip}, medians of {result.rounds} interleaved rounds", highlight=False)
    programs = Table("program", "frames/s", "CPU ms a frame")
    for program, figures in result.medians.items():
        programs.add_row(program, f"{figures['fps']:.1f}", f"{figures['cpu_ms']:.2f}")
    console.print(programs)
    stages = Table("stage (silhouette)", "p50 ms", "p95 ms")
    for stage, times in result.stages.items():
        stages.add_row(stage, *(f"{times[q]:.2f}" if times[q] is not None else "-" for q in ("p50", "p95")))
    console.print(stages)
    _print_rows(console, result)


def _print_rows(console: Console, result: Result) -> None:
    from rich.table import Table

    rows = Table("figure", "measured", "target", "")
    for row in result.rows:
        value = "-" if row.value is None else f"{row.value:.2f} {row.unit}".rstrip()
        rows.add_row(row.what, value, row.target, {True: "met", False: "missed", None: ""}[row.met])
    console.print(rows)
