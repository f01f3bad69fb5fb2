"""Profiles: options of `streamseg run` under a name, as TOML in the user's folder of settings."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from streamseg.effects import TAKES
from streamseg.errors import UsageError, reason
from streamseg.sources.uris import is_network
from streamseg.tomltext import toml

_NEVER = frozenset({"profile", "save_profile", "report", "quiet", "overwrite", "control", "help"})
"""What belongs to one run only."""

_PATHS = frozenset({"source", "background", "model"})
"""What may be a file, and is then to be found from every folder."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def folder() -> Path:
    """Where profiles are; it may not exist yet."""
    import platformdirs

    return platformdirs.user_config_path("streamseg", appauthor=False) / "profiles"


def names() -> list[str]:
    """Names of all profiles."""
    return sorted(path.stem for path in folder().glob("*.toml") if _NAME.fullmatch(path.stem))


def path_of(name: str) -> Path:
    """The file of a profile, which may not exist; raises UsageError for what is no name."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name for a profile; use letters, digits and . _ -, up to 64")
    return folder() / f"{name}.toml"


def text_of(name: str) -> str:
    """What a profile says; raises UsageError."""
    path = path_of(name)
    try:
        return path.read_text("utf-8")
    except FileNotFoundError as error:
        known = ", ".join(names()) or "none yet"
        raise UsageError(
            f"no profile {name!r}; there are: {known}; make one: streamseg run ... --save-profile {name}"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read profile {str(path)!r}: {reason(error)}") from error


def load(ctx: click.Context, name: str) -> None:
    """Let a profile's options stand for those that are not given on the command line; raises UsageError."""
    path = path_of(name)
    try:
        table = tomllib.loads(text_of(name))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"profile {str(path)!r}: {reason(error)}") from error
    options = {str(option.name): option for option in ctx.command.params if option.name not in _NEVER}
    values: dict[str, Any] = {}
    for key, found in table.items():
        option = options.get(key.replace("-", "_"))
        if option is None:
            known = ", ".join(sorted(name.replace("_", "-") for name in options))
            raise UsageError(f"profile {str(path)!r}: no option {key!r}; there are: {known}")
        values[str(option.name)] = _typed(found, multiple=option.multiple)
        try:
            option.type_cast_value(ctx, values[str(option.name)])
        except click.BadParameter as error:
            raise UsageError(f"profile {str(path)!r}: {key}: {error.message.rstrip('.')}") from error
    ctx.default_map = {**(ctx.default_map or {}), **values}


def fitting(ctx: click.Context, values: Mapping[str, Any]) -> dict[str, Any]:
    """The same options without those of a profile that another effect, asked for now, has no use for."""
    taken = TAKES.get(values["effect"], frozenset())
    special = set().union(*TAKES.values())
    left_out = {
        name for name in special - taken if ctx.get_parameter_source(name) is ParameterSource.DEFAULT_MAP
    }
    kept = {name: None if name in left_out else value for name, value in values.items()}
    if "background" in left_out and ctx.get_parameter_source("background_fit") is ParameterSource.DEFAULT_MAP:
        kept["background_fit"] = "crop"
    return kept


def save(ctx: click.Context, name: str) -> Path:
    """Write the options given on the command line, and by another profile, under a name; return the file.

    Only its owner can read it: an address may hold a key. Raises UsageError.
    """
    path = path_of(name)
    given = {
        key: value
        for key, value in ctx.params.items()
        if key not in _NEVER
        and ctx.get_parameter_source(key) in (ParameterSource.COMMANDLINE, ParameterSource.DEFAULT_MAP)
    }
    text = "".join(f"{key.replace('_', '-')} = {toml(_kept(key, value))}\n" for key, value in given.items())
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.touch(mode=0o600)
        beside.write_text(text, "utf-8")
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UsageError(f"cannot write profile {str(path)!r}: {reason(error)}") from error
    return path


def _typed(value: object, *, multiple: bool) -> object:
    """A TOML value as it would have been typed."""
    if isinstance(value, list):
        words = [str(each) for each in value]
        return words if multiple else ",".join(words)
    if multiple:
        return [str(value)]
    return value if isinstance(value, bool) else str(value)


def _kept(key: str, value: Any) -> object:
    """A parsed value as the file holds it."""
    if key == "size":
        return f"{value[0]}x{value[1]}"
    if key in _PATHS and not is_network(value) and Path(value).exists():
        return str(Path(value).resolve())
    return value
