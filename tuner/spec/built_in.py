"""What the five built-in parameters mean, and the values that this meaning allows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tuner.spec.host import Host
from tuner.spec.problems import Problem, show
from tuner.spec.space import BUILT_IN, Parameter, ParameterType


@dataclass(frozen=True)
class BuiltIn:
    """What a built-in parameter may be. `below` is an exclusive upper limit."""

    types: tuple[ParameterType, ...]
    unit: str
    meaning: str
    at_least: float
    below: float = math.inf


BUILT_INS: Mapping[str, BuiltIn] = {
    "concurrency": BuiltIn(("int",), "connections", "connections of the closed loop", 1),
    # 0.01 cores and 6 MiB are the least that a Docker Engine accepts.
    "cpu": BuiltIn(("float", "int"), "cores", "CPU limit of each replica", 0.01),
    "memory": BuiltIn(("int",), "MiB", "memory limit of each replica, without swap", 6),
    "replicas": BuiltIn(("int",), "", "containers that share the load", 1),
    "loss": BuiltIn(("float", "int"), "%", "share of packets lost in each direction", 0, below=100),
}
assert tuple(BUILT_INS) == BUILT_IN


def check(parameter: Parameter, unit: str, host: Host) -> Iterator[Problem]:
    """Problems of a built-in parameter; none for any other. `unit` is the one written."""
    rule = BUILT_INS.get(parameter.name)
    if rule is None:
        return
    if parameter.type not in rule.types:
        yield Problem(("type",), f"expected {rule.types[0]} for {parameter.name}")
        return
    if unit not in {"", rule.unit}:
        yield Problem(("unit",), f"expected {rule.unit!r}, found {show(unit)}")
    low_key, high_key = ("choices",) * 2 if parameter.choices is not None else ("low", "high")
    low, high = _ends(parameter)
    name = parameter.name
    if low < rule.at_least:
        yield Problem((low_key,), f"expected {name} of at least {rule.at_least:g}, found {low:g}")
    if high >= rule.below:
        yield Problem((high_key,), f"expected {name} below {rule.below:g}, found {high:g}")
    if name == "cpu" and high > host.cpus:
        mend = "`high: host.cpus` leaves larger ones out"
        text = f"expected at most the {host.cpus} cores of the host, found {high:g}; {mend}"
        yield Problem((high_key,), text)


def _ends(parameter: Parameter) -> tuple[float, float]:
    ends = parameter.choices or (parameter.low, parameter.high)
    assert ends[0] is not None
    assert ends[-1] is not None
    return float(ends[0]), float(ends[-1])
