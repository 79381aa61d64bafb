"""The verbs in docs/reference/cli.md, from the command line: `python -m tuner.cli.reference`."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Any

import typer
from typer.models import ArgumentInfo, OptionInfo

from tuner.cli.app import app

PAGE = Path("docs/reference/cli.md")

EXAMPLE = "Example: "

_BLOCK = re.compile(r"(<!-- verbs -->\n).*?(<!-- end -->)", re.DOTALL)
_KINDS = {int: "N", float: "X", Path: "PATH"}
_OWN_DEFAULT = re.compile(r" ?\[default: ([^\]]*)\]")


@dataclass(frozen=True)
class Verb:
    """Its whole name, such as `tune models add`, and the function that it calls."""

    name: str
    call: Callable[..., Any]

    @property
    def paragraphs(self) -> list[str]:
        """Its help text."""
        text = inspect.getdoc(self.call) or ""
        return [" ".join(part.split()) for part in text.split("\n\n")]

    @property
    def example(self) -> str | None:
        """The command line that the help ends with."""
        last = self.paragraphs[-1]
        return last.removeprefix(EXAMPLE) if last.startswith(EXAMPLE) else None


def renewed(page: str) -> str:
    """The page with the block `<!-- verbs --> ... <!-- end -->` filled in anew."""
    text = "\n".join(map(_section, verbs()))
    return _BLOCK.sub(lambda match: f"{match[1]}\n{text}\n{match[2]}", page)


def verbs() -> Iterator[Verb]:
    """All of them, in the order of the help."""
    yield from _below("tune", app)


def _below(name: str, group: typer.Typer) -> Iterator[Verb]:
    for command in group.registered_commands:
        assert command.callback is not None
        yield Verb(f"{name} {command.name or command.callback.__name__}", command.callback)
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        yield from _below(f"{name} {inner.name}", inner.typer_instance)


def _section(verb: Verb) -> str:
    paragraphs = [text for text in verb.paragraphs if not text.startswith(EXAMPLE)]
    shown = [f"```sh\n{verb.example}\n```"] if verb.example else []
    rows = list(_rows(verb.call))
    head = ["| option | default | meaning |", "| --- | --- | --- |"] if rows else []
    return "\n\n".join([f"## `{verb.name}`", *paragraphs, *shown, "\n".join([*head, *rows])]) + "\n"


def _rows(call: Callable[..., Any]) -> Iterator[str]:
    """A row of Markdown for each argument and option."""
    hints = typing.get_type_hints(call, include_extras=True)
    for name, parameter in inspect.signature(call).parameters.items():
        annotated = typing.get_args(hints[name])
        info = next((a for a in annotated if isinstance(a, ArgumentInfo | OptionInfo)), None)
        if info is None:
            continue
        found = _OWN_DEFAULT.search(info.help or "")
        meaning = _OWN_DEFAULT.sub("", info.help or "")
        default = found[1] if found else _default(parameter.default)
        called = _name(name, annotated[0], info)
        if isinstance(info, ArgumentInfo) and default != "required" and "[" not in called:
            called = f"[{called}]"
        cells = (f"`{called}`", default, meaning)
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _name(name: str, kind: Any, info: ArgumentInfo | OptionInfo) -> str:  # noqa: ANN401 -- a type
    if isinstance(info, ArgumentInfo):
        return info.metavar or name.upper()
    # Within Annotated the first of the names stands where a default would.
    declared = map(str, (info.default, *(info.param_decls or ())))
    given = [text for text in declared if text.startswith("-")]
    names = ", ".join(given or [f"--{name.rstrip('_').replace('_', '-')}"])
    return names if kind is bool else f"{names} {info.metavar or _kind(kind)}"


def _kind(kind: Any) -> str:  # noqa: ANN401
    """The placeholder for a value of that type, such as `TEXT`."""
    parts = [part for part in typing.get_args(kind) if part is not NoneType]
    if parts:
        return _kind(parts[0])
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(str(member.value) for member in kind)
    return _KINDS.get(kind, "TEXT")


def _default(value: Any) -> str:  # noqa: ANN401
    if value is inspect.Parameter.empty:
        return "required"
    if value is None or value is False or value == "":
        return "-"
    plain = value.value if isinstance(value, Enum) else value
    return f"`{plain:g}`" if isinstance(plain, float) else f"`{plain}`"


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
