"""`streamseg build [MODEL]`: a TensorRT plan, now rather than on first use."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from streamseg.cli.progress import say
from streamseg.cli.values import size, whole
from streamseg.errors import UsageError
from streamseg.gpu.driver import probe

if TYPE_CHECKING:
    from streamseg.models import ModelCard
    from streamseg.plans import Plan, Precision
    from streamseg.plans.plan import Size


def sizes(text: str) -> tuple[Size, Size, Size]:
    """Parse `512x288`, or `256x144,512x288,1024x576` (smallest, usual, largest)."""
    found = [size(part) for part in text.split(",")]
    if len(found) not in (1, 3):
        raise click.BadParameter(
            f"{text!r} is no size and no range; write 512x288 or 256x144,512x288,1024x576"
        )
    low, usual, high = found if len(found) == 3 else found * 3
    return low, usual, high


@click.command("build", short_help="Build a TensorRT plan of a network.")
@click.argument("model", default="selfie")
@click.option(
    "--precision", type=click.Choice(["fp32", "fp16", "int8"]), default="fp16", help="What layers compute in."
)
@click.option("--calibrate", metavar="CLIP", help="For int8: a clip like those to come.")
@click.option("--batch", type=whole(low=1), metavar="N", default=1, help="1 to N pictures at once.")
@click.option(
    "--size",
    "ranged",
    type=sizes,
    metavar="WxH[,WxH,WxH]",
    show_default="the card's",
    help="Input, or smallest, usual and largest, of a network that leaves it open.",
)
@click.option(
    "--workspace",
    type=whole(low=1),
    metavar="MB",
    show_default="all there is",
    help="GPU memory a layer may use.",
)
@click.option("--force", is_flag=True, help="Build even if there is a plan that fits.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
def command(
    model: str,
    precision: Precision,
    calibrate: str | None,
    batch: int,
    ranged: tuple[Size, Size, Size] | None,
    workspace: int | None,
    force: bool,
    quiet: bool,
) -> None:
    """Build a TensorRT plan of MODEL, a name or a path, for this machine's GPU, and print where it is.

    A run builds what it needs by itself: half precision or that of run --precision, one picture at once, the
    card's size. This does so beforehand; int8 has to be calibrated here. Plans with --batch or --size are for
    programs of your own. Without a GPU only TensorRT-RTX builds plans: for its usual targets, to be run on a
    machine that has one.
    """
    from streamseg.models import find_model
    from streamseg.plans import PlanSpec, ensure

    if calibrate and precision != "int8":
        raise UsageError(f"a clip to calibrate on is for --precision int8, not {precision}")
    spec = PlanSpec(precision=precision, batch=batch, sizes=ranged, workspace_mb=workspace)
    card, tell = find_model(model), (lambda _line: None) if quiet else say
    with _progress(quiet) as watch:
        if calibrate:
            _calibrate(card, calibrate, watch, tell)
        plan = ensure(card, spec, anew="asked for" if force else "", say=tell, watch=watch)
    tell(_described(plan))
    print(plan.path)


def _calibrate(
    card: ModelCard, clip: str, watch: Callable[[str, float], None], tell: Callable[[str], None]
) -> None:
    from streamseg.plans import keep_calibration
    from streamseg.plans.calibrating import calibrate

    found = calibrate(card, clip, watch=watch)
    keep_calibration(card, found)
    tell(
        f"{len(found.ranges)} of {found.convolutions} convolutions compute in 8 bits: "
        f"masks keep an IoU of {found.iou:.3f} over {found.frames} frames"
    )


def _described(plan: Plan) -> str:
    """Say in a line what a plan is for."""
    facts = plan.sidecar
    gpu = facts["gpu"]
    if gpu == "none":
        gpu = f"the usual targets of {facts['package']} (there is no GPU here: {probe().problem})"
    pictures = f"up to {facts['batch']} pictures" if facts["batch"] != 1 else "one picture"
    size = f"{len(plan.data) / 1e6:.1f} MB"
    return (
        f"{facts['model']}, {facts['precision']}, {pictures} at a time, {size}; for {gpu}, {facts['version']}"
    )


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[str, float], None]]:
    """Yield what to call with a phase and its share: it draws a bar on a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda _phase, _share: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = BarColumn(bar_width=30), TimeElapsedColumn(), TextColumn("{task.description}", markup=False)
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=1.0)
        yield lambda phase, share: bar.update(task, description=phase, completed=share)
