"""`python -m tuner.spec.study_tables` writes the tables of docs/reference/study.md."""

from __future__ import annotations

import json
import math
import re
import typing
from collections.abc import Iterable
from pathlib import Path
from types import UnionType
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tuner.spec.built_in import BUILT_INS, BuiltIn
from tuner.spec.metrics import BUILT_IN_METRICS
from tuner.spec.yaml_documents import (
    AnswerDocument,
    BudgetDocument,
    EndpointDocument,
    HttpAnswerDocument,
    HttpDocument,
    HttpRequestDocument,
    LoadDocument,
    ModelDocument,
    ObjectiveDocument,
    ParameterDocument,
    PricesDocument,
    SearchSpaceDocument,
    ServingDocument,
    StudyDocument,
    UsageDocument,
)

STUDY_PAGE = Path("docs/reference/study.md")

_DOCUMENTS: dict[str, type[BaseModel]] = {
    "study": StudyDocument,
    "serving": ServingDocument,
    "load": LoadDocument,
    "objective": ObjectiveDocument,
    "endpoint": EndpointDocument,
    "usage": UsageDocument,
    "prices": PricesDocument,
    "answer": AnswerDocument,
    "budget": BudgetDocument,
    "search space": SearchSpaceDocument,
    "parameter": ParameterDocument,
    "model": ModelDocument,
    "http": HttpDocument,
    "http request": HttpRequestDocument,
    "http answer": HttpAnswerDocument,
}
_BETTER = {"minimize": "less", "maximize": "more"}
_TYPES = {bool: "true or false", int: "whole number", float: "number", str: "text"}
_BLOCK = re.compile(r"(<!-- table: ([a-z -]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def renewed_study_page(page: str) -> str:
    """`page` with every block `<!-- table: NAME --> ... <!-- end -->` written anew."""
    return _BLOCK.sub(lambda match: f"{match[1]}\n{reference_table(match[2])}\n{match[3]}", page)


def reference_table(name: str) -> str:
    """One Markdown table: of a document's keys, the built-in parameters or the metrics."""
    if name == "metrics":
        return _markdown(
            ("metric", "unit", "better is", "meaning"),
            (
                (f"`{m.name}`", m.unit or "-", _BETTER[m.better], m.description)
                for m in BUILT_IN_METRICS.values()
            ),
        )
    if name == "built-in parameters":
        return _markdown(
            ("parameter", "type", "unit", "values", "meaning"),
            (
                (f"`{key}`", " or ".join(b.types), b.unit or "-", _limits(b), b.meaning)
                for key, b in BUILT_INS.items()
            ),
        )
    return _markdown(
        ("key", "type", "default", "meaning"),
        (
            (f"`{info.alias or key}`", _type(info.annotation), _default(info), _meaning(info))
            for key, info in _DOCUMENTS[name].model_fields.items()
        ),
    )


def _limits(rule: BuiltIn) -> str:
    if rule.names:
        return ", ".join(f"`{name}`" for name in rule.names)
    return f"{rule.at_least:g} or more" + (f", below {rule.below:g}" * math.isfinite(rule.below))


def _type(annotation: Any) -> str:  # noqa: ANN401 - annotations have no common type
    """The kind of value that an annotation allows, in words."""
    arguments = typing.get_args(annotation)
    match typing.get_origin(annotation):
        case typing.Annotated:
            words = _type(arguments[0])
        case typing.Literal:
            words = ", ".join(f"`{word}`" for word in arguments)
        case origin if origin in {typing.Union, UnionType}:
            words = _either([_type(part) for part in arguments if part is not type(None)])
        case origin if origin is list:
            words = f"list ({_type(arguments[0])})"
        case origin if origin is dict:
            words = f"mapping (name to {_type(arguments[1])})"
        case _:
            words = _TYPES.get(annotation, "mapping")
    return words


def _either(words: list[str]) -> str:
    """The alternatives in words. A whole number is not named where any number may stand."""
    distinct = [w for w in dict.fromkeys(words) if w != "whole number" or "number" not in words]
    return " or ".join(distinct)


def _meaning(info: FieldInfo) -> str:
    return " ".join((info.description or "").split())


def _default(info: FieldInfo) -> str:
    value = info.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    if value is None or value == "":
        return "-"
    if isinstance(value, BaseModel):
        return "its own defaults"
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"


def _markdown(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    STUDY_PAGE.write_text(
        renewed_study_page(STUDY_PAGE.read_text(encoding="utf-8")), encoding="utf-8"
    )
