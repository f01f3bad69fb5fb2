"""`streamseg models`: what there is, one in full, a new one."""

from __future__ import annotations

import math
from collections.abc import Iterator

import click

from streamseg.models import ModelCard, available_models, find_model, import_model
from streamseg.models.files import embedded_folder, search_folders, sha256, user_folder

_HEADER = "NAME", "LICENCE", "CLASSES", "INPUT", "WHERE", "WEIGHTS"


@click.group("models", invoke_without_command=True, short_help="List the networks.")
@click.pass_context
def command(ctx: click.Context) -> None:
    """List the networks that --model knows, with their licence, classes and input size.

    Your own cards are looked for in your data folder and in the folders of $STREAMSEG_MODELS.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(listing)


@command.command("list")
def listing() -> None:
    """List them: where each is, and whether its weights are the ones its card describes."""
    rows = [_HEADER, *(_row(card) for card in available_models())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _row(card: ModelCard) -> tuple[str, ...]:
    few = len(card.classes) <= 3
    classes = ", ".join(card.classes) if few else f"{len(card.classes)}: {', '.join(card.classes[:3])}, ..."
    where = "built in" if card.path == embedded_folder() else str(card.path)
    return card.name, card.licence, classes, f"{card.input.width}x{card.input.height}", where, _weights(card)


def _weights(card: ModelCard) -> str:
    """Return what is known of the weights without fetching any."""
    for folder in [*([card.path] if card.path else []), *search_folders()]:
        path = folder / card.weights
        if path.is_file():
            return "verified" if sha256(path) == card.sha256 else "NOT the file of the card"
    return "fetched on use" if card.url else "missing"


@command.command("show")
@click.argument("name")
def show(name: str) -> None:
    """Show all a card says. NAME may be a card's path, or an .onnx or .tflite file."""
    for key, value in _facts(find_model(name)):
        print(f"{key:<12} {value}")


def _facts(card: ModelCard) -> Iterator[tuple[str, str]]:
    given, result = card.input, card.output
    yield "name", card.name
    yield "title", card.title
    if card.description:
        yield "for", card.description
    yield "licence", card.licence
    yield "from", card.source
    if card.url:
        yield "address", card.url
    yield "weights", f"{card.weights} ({_weights(card)})"
    yield "sha256", card.sha256
    yield "classes", ", ".join(card.classes)
    yield "foreground", ", ".join(card.foreground)
    yield "input", f"{given.name}: {given.width}x{given.height} {given.colour} {given.layout}, {given.fit}"
    scaled = "code / 255" if math.isclose(given.scale, 1 / 255) else f"code * {given.scale:g}"
    yield "values", f"({scaled} - {_numbers(given.mean)}) / {_numbers(given.std)}"
    yield "output", f"{result.name}: {result.kind} {result.layout}"
    if (result.alpha_offset, result.alpha_gain) != (0.0, 1.0):
        yield "opacity", f"(p {result.alpha_offset:+g}) * {result.alpha_gain:g}, within 0 and 1"
    if result.alpha_reach:
        yield "reach", f"{result.alpha_reach} cells from what is opaque"
    for state in card.states:
        yield "state", f"{state.input} <- {state.output} {'x'.join(map(str, state.shape))}"
    yield "folder", str(card.path) if card.path else "no folder"
    yield "your models", str(user_folder())


def _numbers(values: tuple[float, ...]) -> str:
    texts = [f"{value:g}" for value in values]
    return texts[0] if len(texts) == 1 else f"({', '.join(texts)})"


@command.command("import")
@click.argument("file")
@click.option("--name", metavar="NAME", show_default="the file's", help="What --model will call it.")
@click.option(
    "--folder", metavar="FOLDER", show_default="your model folder", help="Where card and weights go."
)
@click.option("-y", "--overwrite", is_flag=True, help="Replace a card of that name.")
def importing(file: str, name: str | None, folder: str | None, overwrite: bool) -> None:
    """Make a card and verified ONNX weights of FILE, a .tflite or .onnx network.

    What the file does not tell, as licence, class names and value range, is guessed: look the card over.
    """
    card = import_model(file, name=name, folder=folder, overwrite=overwrite)
    path = (card.path or user_folder()) / f"{card.name}.toml"
    print(f"{path}\nuse it with --model {card.name if folder is None else path}")


@command.command("fetch")
@click.argument("name")
def fetch(name: str) -> None:
    """Fetch the weights of a card now rather than on first use, and verify them."""
    print(find_model(name).verified_weights())
