"""`streamseg bench CLIP`, `streamseg bench --gpu`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from streamseg.cli.progress import say
from streamseg.cli.values import whole
from streamseg.errors import SinkError, UsageError, reason


@click.command("bench", short_help="Measure how fast this machine is.")
@click.argument("clip", required=False)
@click.option(
    "--rounds",
    type=whole(low=1),
    metavar="N",
    show_default="3",
    help="How often each program runs, in turn.",
)
@click.option("--model", default="selfie", metavar="NAME|PATH", help="The network.")
@click.option("--soak", is_flag=True, help="Run ten minutes of 1080p too: does memory stay where it was?")
@click.option("--gpu", is_flag=True, help="Measure the GPU path instead; needs no CLIP.")
@click.option(
    "--json",
    "target",
    metavar="FILE",
    show_default="none",
    help="Write the figures as JSON too; - is stdout.",
)
def command(
    clip: str | None, rounds: int | None, model: str, soak: bool, gpu: bool, target: str | None
) -> None:
    """Measure how fast streamseg is here with CLIP, beside a plain transcode and the usual script."""
    from streamseg import bench

    if gpu and (clip is not None or rounds is not None or soak):
        raise UsageError("--gpu measures pictures of its own; leave CLIP, --rounds and --soak out")
    if gpu:
        result = bench.measure_gpu(model=model, say=say)
    elif clip is None:
        raise UsageError(
            "CLIP is missing; name a video file: streamseg bench talk.mp4, or see streamseg bench --help"
        )
    else:
        result = bench.measure(clip, rounds=3 if rounds is None else rounds, model=model, soak=soak, say=say)
    if target == "-":
        sys.stdout.write(bench.to_json(result))
        return
    bench.print_table(result)
    if target:
        try:
            Path(target).write_text(bench.to_json(result), encoding="utf-8")
        except OSError as error:
            raise SinkError(
                f"cannot write {target!r}: {reason(error)}; name another file with --json"
            ) from error
