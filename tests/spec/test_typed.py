"""Plain data is read by the types of a dataclass, or refused with its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest

from tuner.spec.space import Configuration
from tuner.spec.typed import WrongTypeError, holding, typed

EMPTY = Configuration(())


@dataclass(frozen=True)
class Inner:
    value: float
    low: float | None = None


@dataclass(frozen=True)
class Facts:
    cpus: float | None = None


@dataclass(frozen=True)
class Outer:
    kind: Literal["a", "b"]
    count: int
    inner: Mapping[str, Inner]
    names: tuple[str, ...] = ()
    configuration: Configuration = EMPTY
    facts: Annotated[Mapping[str, Any], holding(Facts)] = field(default_factory=dict)


WHOLE: Mapping[str, Any] = {
    "kind": "a",
    "count": 3,
    "inner": {"x": {"value": 1, "low": None}},
    "names": ["n", "m"],
    "configuration": {"cpu": 0.5, "on": True, "mode": "x", "replicas": 2},
    "facts": {"cpus": 2, "other": [1]},
    "of a later version": 1,
}


def test_data_becomes_what_the_annotations_say() -> None:
    read = typed(Outer, WHOLE)
    assert read.inner == {"x": Inner(1.0)}
    assert read.names == ("n", "m")
    assert read.facts == WHOLE["facts"]
    values = dict(read.configuration)
    assert values == WHOLE["configuration"]
    assert [type(v) for v in values.values()] == [float, bool, str, int]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("kind", "c", "at.kind: expected 'a' or 'b', found 'c'"),
        ("count", "3", "at.count: expected a whole number, found '3'"),
        ("count", True, "at.count: expected a whole number, found true"),
        ("count", 2**70, "at: expected plain data (Integer exceeds 64-bit range)"),
        ("inner", [], "at.inner: expected a mapping, found a list"),
        ("inner", {"x": None}, "at.inner.x: expected a mapping, found nothing"),
        ("inner", {"x": {}}, "at.inner.x.value: the key is missing"),
        ("inner", {"x": {"value": [1]}}, "at.inner.x.value: expected a number, found a list"),
        ("names", ["n", 1], "at.names[1]: expected text, found 1"),
        ("names", "n", "at.names: expected a list, found 'n'"),
        ("configuration", {"cpu": None}, "at.configuration.cpu: expected a whole number"),
        ("facts", {"cpus": "two"}, "at.facts.cpus: expected a number, found 'two'"),
    ],
)
def test_data_of_another_type_is_refused_with_its_place(
    key: str, value: object, message: str
) -> None:
    with pytest.raises(WrongTypeError) as refused:
        typed(Outer, {**WHOLE, key: value}, ("at",))
    assert str(refused.value).startswith(message)


def test_numbers_are_finite() -> None:
    with pytest.raises(WrongTypeError, match="value"):
        typed(Inner, {"value": float("nan")})
