"""The built-in parameters: what each means, and which values it may have."""

from __future__ import annotations

import math
import typing
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from tuner.spec.host import Host
from tuner.spec.problems import Problem, nearest, short_text
from tuner.spec.space import BUILT_IN, Parameter, ParameterType
from tuner.spec.study import LoadProtocol, NodePlacement


@dataclass(frozen=True)
class BuiltIn:
    """The rule for one built-in parameter.

    A number is at least `at_least` and less than `below`, which is more than any host can have. A
    name is one of `names`. Every search space must have the `required` parameters;
    `missing_parameters` says which losses it needs.
    """

    types: tuple[ParameterType, ...]
    unit: str
    meaning: str
    at_least: float = -math.inf
    below: float = math.inf
    required: bool = False
    names: tuple[str, ...] = ()


NETWORK = ("loss", "loss_in", "loss_out", "delay", "jitter", "bandwidth")
"""The parameters that make a network worse."""

_NUMBER: tuple[ParameterType, ...] = ("float", "int")

BUILT_INS: Mapping[str, BuiltIn] = {
    "concurrency": BuiltIn(
        ("int",),
        "connections",
        "open connections, each with one request in flight",
        1,
        below=100_000,
        required=True,
    ),
    # 0.01 cores and 6 MiB are the least that a Docker Engine accepts.
    "cpu": BuiltIn(_NUMBER, "cores", "CPU limit of each replica", 0.01, required=True),
    "memory": BuiltIn(
        ("int",),
        "MiB",
        "memory limit of each replica, without swap",
        6,
        below=100_000_000,
        required=True,
    ),
    "replicas": BuiltIn(
        ("int",), "", "number of containers that share the load", 1, below=1_000, required=True
    ),
    "loss": BuiltIn(
        _NUMBER, "%", "share of packets that are lost, in each direction", 0, below=100
    ),
    "loss_in": BuiltIn(
        _NUMBER,
        "%",
        "share of packets lost on the way to a replica, instead of `loss`",
        0,
        below=100,
    ),
    "loss_out": BuiltIn(
        _NUMBER,
        "%",
        "share of packets lost on the way from a replica, instead of `loss`",
        0,
        below=100,
    ),
    "delay": BuiltIn(
        _NUMBER, "ms", "added to each packet, in each direction (needs netem)", 0, below=100_000
    ),
    "jitter": BuiltIn(
        _NUMBER, "ms", "standard deviation of `delay` (needs netem)", 0, below=100_000
    ),
    "bandwidth": BuiltIn(
        _NUMBER,
        "Mbit/s",
        "limit of each replica's link, in each direction (needs netem)",
        0.01,
        below=1_000_000,
    ),
    "rate": BuiltIn(
        _NUMBER,
        "requests/s",
        "request rate of an open loop (see `load.arrivals`)",
        0.1,
        below=1_000_000,
    ),
    "protocol": BuiltIn(
        ("categorical",),
        "",
        "protocol of the requests, instead of `load.protocol`",
        names=typing.get_args(LoadProtocol),
    ),
    # Which there are is known to the room of the servers, which packages add to.
    "server": BuiltIn(
        ("categorical",), "", "server of the model in each replica, instead of `serving.server`"
    ),
    "placement": BuiltIn(
        ("categorical",),
        "",
        "placement of the replicas on the nodes of a swarm, instead of `serving.placement`"
        " (`--backend swarm` only)",
        names=typing.get_args(NodePlacement),
    ),
}
assert tuple(BUILT_INS) == BUILT_IN


def check_built_in(parameter: Parameter, unit: str, host: Host) -> Iterator[Problem]:
    """Problems of a built-in parameter, none for any other. `unit` is the unit in the file."""
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
    if parameter.type == "categorical":
        return
    low_key, high_key = ("choices",) * 2 if parameter.choices is not None else ("low", "high")
    low, high = _ends(parameter)
    name = parameter.name
    if low < rule.at_least:
        yield Problem(
            (low_key,), f"expected {name} of at least {rule.at_least:g}, found {low:.12g}"
        )
    if high >= rule.below:
        yield Problem((high_key,), f"expected {name} below {rule.below:.12g}, found {high:.12g}")
    if name == "cpu" and high > host.cpus:
        mend = "`high: host.cpus` leaves larger values out"
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


def missing_parameters(names: Collection[str], *, deployed: bool = True) -> Iterator[Problem]:
    """Problems of a search space whose parameters have exactly these names.

    What is `deployed` needs what is set for a replica and its network. An endpoint needs the load.
    """
    for name, rule in BUILT_INS.items():
        needed = rule.required and (deployed or name == "concurrency")
        if needed and name not in names:
            yield Problem((), f"the built-in parameter {name!r} is missing; {_PINS}")
    directions = {"loss_in", "loss_out"}
    if not deployed:
        yield from (
            Problem((name,), "tune has no hand in the network of an endpoint: leave it out")
            for name in NETWORK
            if name in names
        )
    elif "loss" not in names and not directions.issubset(names):
        text = "the built-in parameter 'loss' is missing (or loss_in and loss_out both)"
        yield Problem((), f"{text}; {_PINS}")
    if "loss" in names and directions.issubset(names):
        yield Problem(("loss",), "has no effect, because loss_in and loss_out replace it")
    if "jitter" in names and "delay" not in names:
        yield Problem(("jitter",), "needs the parameter 'delay', around which it varies")


_PINS = "to keep it fixed, give it `choices` of one value"


def _ends(parameter: Parameter) -> tuple[float, float]:
    ends = parameter.choices or (parameter.low, parameter.high)
    assert ends[0] is not None
    assert ends[-1] is not None
    return float(ends[0]), float(ends[-1])
