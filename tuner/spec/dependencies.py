"""Checks of conditions: whether the parameters of a space may depend on each other as stated."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from tuner.spec.expressions import parse_bound
from tuner.spec.host import Host
from tuner.spec.problems import Problem, listed_values, nearest, short_text
from tuner.spec.space import BUILT_IN, Condition, Parameter, Value, as_text
from tuner.spec.yaml_documents import ParameterDocument

CONDITIONAL = ("loss_in", "loss_out", "delay", "jitter", "bandwidth")
"""The built-in parameters that may have a condition, since a deployment can do without them."""


def condition_problems(
    parameters: Sequence[Parameter],
    documents: Mapping[str, ParameterDocument | None],
    host: Host,
) -> Iterator[Problem]:
    """Problems of the conditions of `parameters`; a key begins with the parameter's name.

    `documents` has every parameter as written, also those that are not in `parameters` because
    they have other problems.
    """
    resolved = {parameter.name: parameter for parameter in parameters}
    for child in parameters:
        if child.when is None:
            continue
        key, parent = (child.name, "when"), child.when.parameter
        if child.name in BUILT_IN and child.name not in CONDITIONAL:
            conditional = ", ".join(CONDITIONAL)
            text = f"every configuration needs {child.name}; of the built-in parameters only"
            yield Problem(key, f"{text} {conditional} may have a condition")
        if parent == child.name:
            yield Problem(key, "expected another parameter than this one itself")
        elif parent not in documents:
            names = [name for name in documents if name != child.name]
            hint = nearest(parent, names) or f"; there are {', '.join(names)}"
            yield Problem(key, f"expected the name of a parameter, found {parent!r}{hint}")
        elif (circle := _circle(child, resolved)) and child.name == _first(circle, documents):
            way = " -> ".join([*circle, child.name])
            yield Problem(key, f"the conditions go in a circle: {way}")
        elif parent in resolved:
            document = documents[parent]
            assert document is not None
            texts = _of_pair(child, child.when, resolved[parent], document, host)
            yield from (Problem(key, text) for text in texts)


def _circle(start: Parameter, parameters: Mapping[str, Parameter]) -> list[str]:
    """The circle of conditions from `start` back to it, as names; empty where there is none."""
    way: list[str] = []
    parameter: Parameter | None = start
    while parameter is not None and parameter.name not in way:
        way.append(parameter.name)
        parameter = parameters.get(parameter.when.parameter) if parameter.when else None
    return way if parameter is start else []


def _first(circle: Sequence[str], order: Collection[str]) -> str:
    return next(name for name in order if name in circle)


def _of_pair(
    child: Parameter, when: Condition, parent: Parameter, document: ParameterDocument, host: Host
) -> Iterator[str]:
    if child.role == "scenario" and parent.role == "decision":
        yield (
            f"a scenario cannot depend on a decision, which {parent.name!r} is: decisions are"
            " compared within a scenario"
        )
    for value in when.values:
        if _never(value, parent, document, host):
            values = parent.values()
            has = (
                f"{parent.low:g} to {parent.high:g}"
                if values is None
                else listed_values([short_text(each) for each in values])
            )
            texts = map(as_text, values or ())
            hint = nearest(value, texts) if isinstance(value, str) else ""
            yield f"{parent.name!r} is never {short_text(value)}; its values are {has}{hint}"


def _never(value: Value, parent: Parameter, document: ParameterDocument, host: Host) -> bool:
    """Whether `parent` has this value on no host. A file is for any host, not only for this one."""
    if parent.type == "categorical":
        choices = parent.choices or ()
        return not any(Condition(parent.name, "==", (value,)).holds(choice) for choice in choices)
    if isinstance(value, (bool, str)):
        return True
    if document.choices is not None:  # also the choices that this host cannot offer
        written = [float(f"{parse_bound(choice, host):.12g}") for choice in document.choices]
        return value not in written
    if isinstance(document.low, str) or isinstance(document.high, str):
        return False
    values = parent.values()
    if values is not None:
        return value not in values
    assert parent.low is not None
    assert parent.high is not None
    return not parent.low <= value <= parent.high
