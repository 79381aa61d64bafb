"""Search spaces with conditions, and what they mean by the definition alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace

from hypothesis import strategies as st

from tuner.spec.space import (
    Condition,
    ConditionOperator,
    Configuration,
    Parameter,
    SearchSpace,
    Value,
)

BATCHING = SearchSpace(
    (
        Parameter("cpu", "float", "decision", 1.0, choices=(0.5, 1.0, 2.0)),
        Parameter(
            "size", "int", "decision", 16, choices=(4, 16, 64), flag="max_batch_size",
            when=Condition("batching", "==", (True,)),
        ),
        Parameter(
            "batching", "categorical", "decision", False, choices=(False, True),
            flag="enable_batching",
        ),
        Parameter(
            "padding", "categorical", "decision", "none", choices=("none", "zeros"), env="PADDING",
            when=Condition("size", "!=", (4,)),
        ),
        Parameter("net", "categorical", "scenario", "wifi", choices=("wifi", "cable")),
    )
)  # fmt: skip
"""3 x 2 x (1 + 1 + 2 x 2) = 36 configurations of a product of 72, a child before its parent."""


@st.composite
def _plain(draw: st.DrawFn, name: str) -> Parameter:
    kind = draw(st.sampled_from(["int", "step", "choices", "words", "switch"]))
    count = draw(st.integers(1, 3))
    if kind == "int":
        return Parameter(name, "int", "decision", 2, low=2, high=1 + count)
    if kind == "step":
        high = round(0.1 + 0.1 * (count - 1), 1)
        return Parameter(name, "float", "decision", high, low=0.1, high=high, step=0.1)
    if kind == "choices":
        return Parameter(name, "float", "decision", 1.0, choices=(1.0, 2.0, 4.0)[:count])
    if kind == "words":
        words = ("a", "b", "c")[:count]
        return Parameter(name, "categorical", "decision", words[-1], choices=words)
    return Parameter(name, "categorical", "decision", False, choices=(False, True))


@st.composite
def spaces(draw: st.DrawFn, most: int = 5) -> SearchSpace:
    """Finite spaces of up to `most` parameters, most of them with conditions, in any order."""
    found: list[Parameter] = []
    for name in "vwxyz"[: draw(st.integers(1, most))]:
        parameter = draw(_plain(name))
        depends = draw(st.integers(0, 3)) > 0
        if found and depends:
            parent = draw(st.sampled_from(found))
            values = parent.values() or ()
            comparison: ConditionOperator = draw(st.sampled_from(["==", "!=", "in"]))
            some = draw(
                st.lists(
                    st.sampled_from(values),
                    min_size=1,
                    max_size=2 if comparison == "in" else 1,
                    unique=True,
                )
            )
            parameter = replace(parameter, when=Condition(parent.name, comparison, tuple(some)))
        found.append(parameter)
    return SearchSpace(tuple(draw(st.permutations(found))))


def active(space: SearchSpace, name: str, values: Mapping[str, Value]) -> bool:
    """Whether `name` is active, by the definition; `values` has every parameter."""
    when = space[name].when
    if when is None:
        return True
    if not active(space, when.parameter, values):
        return False
    value = values[when.parameter]
    holds = {
        "==": value == when.values[0],
        "!=": value != when.values[0],
        "in": value in when.values,
    }
    return holds[when.comparison]


def configurations(space: SearchSpace) -> Iterator[Configuration]:
    """Every point of the product without the values of what is inactive; some come repeatedly."""
    names = [p.name for p in space]
    for point in itertools.product(*(p.values() or () for p in space)):
        values = dict(zip(names, point, strict=True))
        yield Configuration.of({n: values[n] for n in names if active(space, n, values)})
