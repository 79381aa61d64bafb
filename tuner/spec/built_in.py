"""What the built-in parameters mean, and the values that this meaning allows."""

from __future__ import annotations

import math
import typing
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from tuner.spec.host import Host
from tuner.spec.problems import Problem, nearest, short_text
from tuner.spec.space import BUILT_IN, Parameter, ParameterType
from tuner.spec.study import LoadProtocol


@dataclass(frozen=True)
class BuiltIn:
    """What a built-in parameter may be.

    Numbers: `at_least` so much and, exclusively, `below`. Names: some of `names`. A space without a
    `required` one is refused; which losses it needs is said by `missing_parameters`.
    """

    types: tuple[ParameterType, ...]
    unit: str
    meaning: str
    at_least: float = -math.inf
    below: float = math.inf
    required: bool = False
    names: tuple[str, ...] = ()


_NUMBER: tuple[ParameterType, ...] = ("float", "int")

BUILT_INS: Mapping[str, BuiltIn] = {
    "concurrency": BuiltIn(
        ("int",), "connections", "connections, each with one request in flight", 1, required=True
    ),
    # 0.01 cores and 6 MiB are the least that a Docker Engine accepts.
    "cpu": BuiltIn(_NUMBER, "cores", "CPU limit of each replica", 0.01, required=True),
    "memory": BuiltIn(
        ("int",), "MiB", "memory limit of each replica, without swap", 6, required=True
    ),
    "replicas": BuiltIn(("int",), "", "containers that share the load", 1, required=True),
    "loss": BuiltIn(_NUMBER, "%", "share of packets lost in each direction", 0, below=100),
    "loss_in": BuiltIn(
        _NUMBER, "%", "share lost towards the replica, instead of `loss`", 0, below=100
    ),
    "loss_out": BuiltIn(
        _NUMBER, "%", "share lost from the replica, instead of `loss`", 0, below=100
    ),
    "delay": BuiltIn(_NUMBER, "ms", "added to each packet, in each direction (netem)", 0),
    "jitter": BuiltIn(_NUMBER, "ms", "standard deviation of that delay (netem)", 0),
    "bandwidth": BuiltIn(_NUMBER, "Mbit/s", "of each replica's link, each way (netem)", 0.01),
    "rate": BuiltIn(_NUMBER, "requests/s", "of an open loop (`load.arrivals`)", 0.1),
    "protocol": BuiltIn(
        ("categorical",),
        "",
        "in what requests are sent, instead of `load.protocol`",
        names=typing.get_args(LoadProtocol),
    ),
}
assert tuple(BUILT_INS) == BUILT_IN


def check_built_in(parameter: Parameter, unit: str, host: Host) -> Iterator[Problem]:
    """Problems of a built-in parameter; none for any other. `unit` is the one written."""
    rule = BUILT_INS.get(parameter.name)
    if rule is None:
        return
    if parameter.type not in rule.types:
        yield Problem(("type",), f"expected {rule.types[0]} for {parameter.name}")
        return
    if unit not in {"", rule.unit}:
        yield Problem(("unit",), f"expected {rule.unit!r}, found {short_text(unit)}")
    if rule.names:
        yield from _other_names(parameter, rule)
        return
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


def _other_names(parameter: Parameter, rule: BuiltIn) -> Iterator[Problem]:
    for index, choice in enumerate(parameter.choices or ()):
        if choice not in rule.names:
            expected = " or ".join(map(repr, rule.names))
            hint = nearest(choice, rule.names)
            yield Problem(
                ("choices", index), f"expected {expected}, found {short_text(choice)}{hint}"
            )


def missing_parameters(names: Collection[str]) -> Iterator[Problem]:
    """Problems of a search space that has parameters of these names and no others."""
    for name, rule in BUILT_INS.items():
        if rule.required and name not in names:
            yield Problem((), f"the built-in parameter {name!r} is missing; {_PINS}")
    directions = {"loss_in", "loss_out"}
    if "loss" not in names and not directions.issubset(names):
        text = "the built-in parameter 'loss' is missing (or loss_in and loss_out both)"
        yield Problem((), f"{text}; {_PINS}")
    if "loss" in names and directions.issubset(names):
        yield Problem(("loss",), "has no effect, since loss_in and loss_out are both there")
    if "jitter" in names and "delay" not in names:
        yield Problem(("jitter",), "needs the parameter 'delay', around which it varies")


_PINS = "`choices` of one value pins it"


def _ends(parameter: Parameter) -> tuple[float, float]:
    ends = parameter.choices or (parameter.low, parameter.high)
    assert ends[0] is not None
    assert ends[-1] is not None
    return float(ends[0]), float(ends[-1])
