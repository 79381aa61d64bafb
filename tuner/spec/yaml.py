"""YAML to plain data with the line of every key, and plain data to a document."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tuner.errors import InputError
from tuner.spec.problems import (
    KeyPath,
    Problem,
    UnexpectedError,
    dotted,
    nearest,
    short_text,
)

DocumentT = TypeVar("DocumentT", bound=BaseModel)

MOST_PROBLEMS = 10
# A study file has some hundred values. The limits stop a file whose aliases refer to each other.
MOST_ENTRIES = 20_000
DEEPEST = 40


@dataclass(frozen=True)
class YamlFile:
    """The data of one file, made of dict, list and scalars only.

    `lines` maps each key path to the line, from 1, where that key or list item stands.
    """

    path: Path
    data: Any
    lines: Mapping[KeyPath, int]

    def line(self, key: KeyPath) -> int:
        """The line of `key`, or of the nearest part around it that the file has."""
        while key and key not in self.lines:
            key = key[:-1]
        return self.lines.get(key, 1)

    def refuse(self, problems: Iterable[Problem]) -> NoReturn:
        """Raise one InputError with a line for each problem, in the order of the file."""
        ordered = sorted({(p.line or self.line(p.key), dotted(p.key), p.text) for p in problems})
        where = _readable(self.path)
        lines = [
            f"{where}:{line}: {key}: {text}" if key else f"{where}:{line}: {text}"
            for line, key, text in ordered[:MOST_PROBLEMS]
        ]
        if len(ordered) > MOST_PROBLEMS:
            lines.append(f"... and {len(ordered) - MOST_PROBLEMS} more")
        raise InputError(
            "\n".join(lines), "See docs/reference/study.md, which describes every key."
        )


def read_yaml(path: Path) -> YamlFile:
    """Read one file.

    Raises InputError where it cannot be read, is not YAML or has a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{_readable(path)}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{_readable(path)}: expected UTF-8 text ({error.reason})") from error
    return parse_yaml(text, path)


def parse_yaml(text: str, path: Path) -> YamlFile:
    """As `read_yaml`, from a text. Messages name `path`."""
    walk = _Walk(path)
    try:
        walk.loader = _Loader(text)
        node = walk.loader.get_single_node()
        data = None if node is None else walk.value(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise InputError(f"{_readable(path)}:{line}: not valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{_readable(path)}:1: not valid YAML: {reason}") from error
    except RecursionError as error:
        raise InputError(f"{_readable(path)}:1: nested too deeply") from error
    file = YamlFile(path, data, walk.lines)
    if walk.problems:
        file.refuse(walk.problems)
    return file


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads `1e-3` as the number that it is in YAML 1.2."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


@dataclass
class _Walk:
    """Turns YAML nodes into data and notes the lines of all keys and the repeated keys."""

    path: Path
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    loader: _Loader = field(init=False)

    def value(self, node: yaml.Node, key: KeyPath) -> Any:  # noqa: ANN401 - YAML holds any data
        line = node.start_mark.line + 1
        self.lines.setdefault(key, line)
        if len(self.lines) > MOST_ENTRIES or len(key) > DEEPEST:
            raise InputError(f"{_readable(self.path)}:{line}: too large or nested too deeply")
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, key)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*key, i)) for i, item in enumerate(node.value)]
        return self.scalar(node, key)

    def mapping(self, node: yaml.MappingNode, key: KeyPath) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for name_node, value_node in node.value:
            line = name_node.start_mark.line + 1
            name = name_node.value
            # `yes:` and `1:` are read as text too, since all keys of a study are text.
            if not isinstance(name_node, yaml.ScalarNode) or name_node.tag.endswith(":merge"):
                self.problems.append(Problem(key, "expected a plain word as key", line))
                continue
            here = (*key, name)
            if name in data:
                first = self.lines[here]
                text = f"the key is there twice, first in line {first}"
                self.problems.append(Problem(here, text, line))
                continue
            self.lines[here] = line
            data[name] = self.value(value_node, here)
        return data

    def scalar(self, node: yaml.Node, key: KeyPath) -> Any:  # noqa: ANN401 - YAML holds any data
        try:
            return self.loader.construct_object(node)
        except ValueError as error:  # such as 2024-99-99, which looks like a date
            line = node.start_mark.line + 1
            self.problems.append(Problem(key, f"expected a plain value ({error})", line))
            return None


def _readable(path: Path) -> str:
    """The path, relative to the working directory if it lies inside."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


_KINDS = {
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "float_type": "a number",
    "int_type": "a whole number",
    "list_type": "a list",
    "model_type": "a mapping",
    "string_type": "text",
    "finite_number": "a finite number",
}
_COMPARISONS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


def validate(kind: type[DocumentT], data: object) -> tuple[DocumentT | None, list[Problem]]:
    """The document that `data` holds, or None and all problems of its shape."""
    try:
        return kind.model_validate(data), []
    except ValidationError as error:
        return None, [_problem(kind, data, detail) for detail in error.errors()]


def _problem(kind: type[BaseModel], data: object, detail: ErrorDetails) -> Problem:
    key = _key_in(data, detail["loc"])
    match detail["type"]:
        case "missing":
            name = str(detail["loc"][-1])
            meaning = " ".join((_fields(kind, key)[name].description or "").split())
            return Problem(key, f"key {name!r} is missing: {meaning}")
        case "extra_forbidden":
            keys = _fields(kind, key[:-1])
            hint = nearest(key[-1], keys) or f"; the keys are {', '.join(keys)}"
            return Problem(key, f"unknown key{hint}")
        case _:
            return Problem(key, _text(detail))


def _text(detail: ErrorDetails) -> str:
    context = detail.get("ctx", {})
    value = detail["input"]
    if isinstance(error := context.get("error"), UnexpectedError):
        return error.message
    if detail["type"] == "literal_error":
        words = re.findall(r"'([^']*)'", context["expected"])
        hint = nearest(value, words) if isinstance(value, str) else ""
        return f"expected {context['expected']}, found {short_text(value)}{hint}"
    for name, sign in _COMPARISONS.items():
        if name in context:
            return f"expected a number {sign} {context[name]:g}, found {short_text(value)}"
    if detail["type"] in {"too_short", "string_too_short"}:
        return "expected something, found nothing"
    expected = _KINDS.get(detail["type"])
    return f"expected {expected}, found {short_text(value)}" if expected else detail["msg"]


def _key_in(data: object, location: tuple[str | int, ...]) -> KeyPath:
    """The parts of Pydantic's location that are keys of `data`; tags of unions are not."""
    key: KeyPath = ()
    for part in location:
        inside = part in data if isinstance(data, Mapping) else isinstance(part, int)
        if inside and isinstance(data, (Mapping, list)):
            data = data[part]  # type: ignore[index] # a list has int parts only
            key = (*key, part)
    return key


def _fields(kind: type[BaseModel], key: KeyPath) -> dict[str, Any]:
    """The fields of the document at `key`, by name."""
    models: set[type[BaseModel]] = {kind}
    for part in key:
        inner = {
            model
            for outer in models
            if part in outer.model_fields
            for model in _models_in(outer.model_fields[str(part)].annotation)
        }
        # An index or the name of a parameter leads to the same kind of document.
        models = inner or models
    return {name: info for model in models for name, info in model.model_fields.items()}


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models_in(argument)
