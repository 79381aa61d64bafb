"""A template that makes a request of a table's row. Pure."""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tuner.errors import InputError

_HOLE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")
_MEND = """write JSON with the names of columns: '{"instances": [["{age}", "{name!s}"]]}'"""
_MOST_BYTES = 2**20


@dataclass(frozen=True)
class Template:
    """JSON in whose texts `{column}` stands for a cell of the row.

    A text that is nothing but `{column}` becomes the cell with its type, `{column!s}` its text.
    Inside a longer text a cell is text. `{{` is a brace.
    """

    tree: Any
    columns: tuple[str, ...]
    """Those that it names, each once."""

    @classmethod
    def parse(cls, text: str) -> Template:
        """Raises InputError for a text that is no JSON or names no column."""
        where = f"the template {text[:60]!r}"
        columns: dict[str, None] = {}

        def note(hole: str) -> str:
            columns[_column(hole)[0]] = None
            return ""

        try:
            tree = orjson.loads(text)
            _walk(tree, lambda found: _filled(found, note))
        except orjson.JSONDecodeError as error:
            raise InputError(f"{where} is not JSON: {error}", _MEND) from error
        except RecursionError as error:
            raise InputError(f"{where} is nested too deeply", _MEND) from error
        if not columns:
            raise InputError(f"{where} names no column", _MEND)
        return cls(tree, tuple(columns))

    def filled(self, row: Mapping[str, object], where: str) -> Any:  # noqa: ANN401 -- any JSON
        """The template with the cells of a row, which is at `where`. Raises InputError."""

        def cell(hole: str) -> Any:  # noqa: ANN401
            column, as_text = _column(hole)
            value = row[column]
            try:
                return _text(value) if as_text else _json(value)
            except ValueError as error:
                raise InputError(
                    f"{where}, column {column}: {error}", "mend that cell, or leave the row out"
                ) from error

        return _walk(self.tree, lambda text: _filled(text, cell))


def template_text(text: str, home: Path) -> str:
    """The template itself, where `text` is the name of a file with it, in `home`.

    Raises InputError for a file that cannot be read.
    """
    if text.lstrip().startswith(("{", "[", '"')):
        return text
    try:
        with (home / text).open("rb") as file:
            return file.read(_MOST_BYTES).decode()
    except (OSError, ValueError) as error:
        raise InputError(f"template {text!r} is neither JSON nor a file: {error}", _MEND) from error


def _column(hole: str) -> tuple[str, bool]:
    """The name of a column, and whether its text is asked for."""
    name = hole.removesuffix("!s")
    return name, name != hole


def _walk(tree: Any, fill: Callable[[str], Any]) -> Any:  # noqa: ANN401 -- any JSON
    match tree:
        case str():
            return fill(tree)
        case list():
            return [_walk(part, fill) for part in tree]
        case dict():
            return {key: _walk(part, fill) for key, part in tree.items()}
    return tree


def _filled(text: str, cell: Callable[[str], Any]) -> Any:  # noqa: ANN401 -- any JSON
    whole = _HOLE.fullmatch(text)
    if whole is not None and whole[1] is not None:
        return cell(whole[1])

    def part(found: re.Match[str]) -> str:
        return found[0][0] if found[1] is None else _text(cell(found[1]))

    return _HOLE.sub(part, text)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else orjson.dumps(_json(value)).decode()


def _json(value: object) -> Any:  # noqa: ANN401 -- any JSON
    """A cell as JSON has it. Raises ValueError for what JSON cannot say."""
    match value:
        case float() if not math.isfinite(value):
            raise ValueError(f"{value} is no number of JSON")
        case None | bool() | int() | str() | float():
            return value
        case bytes():
            return {"b64": base64.b64encode(value).decode()}
        case decimal.Decimal():
            return float(value)
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case list():
            return [_json(part) for part in value]
        case dict():
            return {str(key): _json(part) for key, part in value.items()}
    raise ValueError(f"a {type(value).__name__} cannot be written as JSON")
