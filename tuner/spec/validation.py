"""Data of a file as a document, or the problems of its shape in words."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tuner.spec.problems import KeyPath, Problem, UnexpectedError, nearest, short_text

DocumentT = TypeVar("DocumentT", bound=BaseModel)

_KINDS = {
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "float_type": "a number",
    "int_type": "a whole number",
    "list_type": "a list",
    "model_type": "a mapping",
    "string_type": "text",
    "finite_number": "a finite number",
    "dataclass_type": "a mapping",
    "tuple_type": "a list",
}
_COMPARISONS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


def validate(kind: type[DocumentT], data: object) -> tuple[DocumentT | None, list[Problem]]:
    """The document that `data` holds, or None and all problems of its shape."""
    try:
        return kind.model_validate(data), []
    except ValidationError as error:
        return None, [_problem(kind, data, detail) for detail in error.errors()]


def _problem(kind: type[BaseModel], data: object, detail: ErrorDetails) -> Problem:
    key = key_in(data, detail["loc"])
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
            return Problem(key, expected_instead(detail))


def expected_instead(detail: ErrorDetails) -> str:
    """What Pydantic expected instead of what it found, in words."""
    context = detail.get("ctx", {})
    value = detail["input"]
    if isinstance(error := context.get("error"), UnexpectedError):
        return error.message
    if detail["type"] == "missing":
        return "the key is missing"
    if detail["type"] == "literal_error":
        words = re.findall(r"'([^']*)'", context["expected"])
        hint = nearest(value, words) if isinstance(value, str) else ""
        return f"expected {context['expected']}, found {short_text(value)}{hint}"
    for name, sign in _COMPARISONS.items():
        if name in context:
            return f"expected a number {sign} {context[name]:.12g}, found {short_text(value)}"
    if detail["type"] in {"too_short", "string_too_short"}:
        return "expected something, found nothing"
    expected = _KINDS.get(detail["type"])
    return f"expected {expected}, found {short_text(value)}" if expected else detail["msg"]


def key_in(data: object, location: tuple[str | int, ...]) -> KeyPath:
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
