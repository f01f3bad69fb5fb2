"""Model cards as TOML files: `<name>.toml`, one key for each field of `card.py`, nothing else."""

from __future__ import annotations

import tomllib
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from pathlib import Path
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from streamseg.errors import ModelError, reason
from streamseg.models.card import CardError, ModelCard
from streamseg.models.files import write_atomically
from streamseg.tomltext import toml

T = TypeVar("T")

_EXPECTED = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def read_card(path: Path) -> ModelCard:
    """Read a card. Raises ModelError naming the card, the key, what was found and what was expected."""
    try:
        table = tomllib.loads(path.read_text("utf-8"))
        card = replace(_parsed(ModelCard, table, ""), path=path.resolve().parent)
        if card.name != path.stem:
            raise CardError("name", card.name, f"{path.stem!r}, the file's own name")
    except OSError as error:
        raise ModelError(f"cannot read model card {str(path)!r}: {reason(error)}") from error
    except UnicodeDecodeError as error:
        raise ModelError(f"model card {str(path)!r} is not UTF-8 text; is it a .toml file?") from error
    except ValueError as error:  # TOMLDecodeError, CardError, or a number Python does not even read
        raise ModelError(f"model card {str(path)!r}: {reason(error)}") from error
    return card


def write_card(card: ModelCard, path: Path) -> None:
    """Write a card, whole or not at all; keys at their defaults are left out. Raises ModelError."""
    tables, lines = [], []
    for field in _keys(card):
        value = getattr(card, field.name)
        if is_dataclass(value):
            tables.append(_table(f"[{field.name}]", value))
        elif field.name == "states":
            tables += [_table("[[states]]", state) for state in value]
        else:
            lines.append(_line(field, value))
    text = "\n".join(["".join(lines), *tables])
    write_atomically(path, text.encode())


def _keys(spec: Any) -> list[Field[Any]]:
    """Return the fields that a card's file holds: all but the folder, defaults left out."""
    kept = [field for field in fields(spec) if field.name != "path"]
    return [field for field in kept if getattr(spec, field.name) != field.default]


def _table(header: str, spec: Any) -> str:
    return header + "\n" + "".join(_line(field, getattr(spec, field.name)) for field in _keys(spec))


def _line(field: Field[Any], value: object) -> str:
    return f"{field.name} = {toml(value)}\n"


def _parsed(kind: type[T], table: dict[str, Any], prefix: str) -> T:
    """Return a dataclass made of a TOML table. Raises CardError with the whole dotted key."""
    hints = get_type_hints(kind)
    known = {field.name: field for field in fields(kind) if field.name != "path"}  # type: ignore[arg-type]  # a dataclass
    for key in table.keys() - known.keys():
        raise CardError(prefix + key, table[key], "one of the keys " + ", ".join(known))
    for key, field in known.items():
        if key not in table and field.default is MISSING:
            raise CardError(prefix + key, None, f"this key, which every card has: {_described(hints[key])}")
    values = {key: _value(hints[key], found, prefix + key) for key, found in table.items()}
    try:
        return kind(**values)
    except CardError as error:
        raise CardError(prefix + error.key, error.found, error.expected) from error


def _value(hint: Any, found: Any, key: str) -> Any:
    """Return a TOML value as the type a field wants."""
    if is_dataclass(hint):
        if not isinstance(found, dict):
            raise CardError(key, found, f"a table [{key}]")
        return _parsed(hint, found, key + ".")  # type: ignore[arg-type]  # seen above
    if get_origin(hint) is tuple:
        if not isinstance(found, list):
            raise CardError(key, found, _described(hint))
        item = get_args(hint)[0]
        return tuple(_value(item, value, f"{key}[{number}]") for number, value in enumerate(found))
    wanted = _plain(hint)
    if wanted is float and type(found) is int:
        return _as_float(found, key)
    if type(found) is not wanted:
        raise CardError(key, found, _described(hint))
    return found


def _as_float(found: int, key: str) -> float:
    try:
        return float(found)
    except OverflowError as error:
        raise CardError(key, f"{len(str(found))} digits", "a finite number") from error


def _plain(hint: Any) -> type:
    """Return the Python type of a scalar hint: str for a choice of texts, T for T | None."""
    if get_origin(hint) is Literal:
        return str
    options = [option for option in get_args(hint) if option is not NoneType]
    plain: type = options[0] if options else hint
    return plain


def _described(hint: Any) -> str:
    if is_dataclass(hint):
        return "a table"
    if get_origin(hint) is tuple:
        item = get_args(hint)[0]
        return "a list of tables" if is_dataclass(item) else f"a list, each {_described(item)}"
    return _EXPECTED[_plain(hint)]
