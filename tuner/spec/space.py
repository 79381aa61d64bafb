"""Parameters, the space that they span, and one configuration of it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

Value = int | float | str | bool
ParameterType = Literal["int", "float", "categorical"]
Role = Literal["decision", "scenario"]

BUILT_IN = (
    "concurrency",
    "cpu",
    "memory",
    "replicas",
    "loss",
    "loss_in",
    "loss_out",
    "delay",
    "jitter",
    "bandwidth",
    "rate",
)
"""Parameters whose meaning `tune` knows; any other one names the flag or variable it sets."""


@dataclass(frozen=True)
class Parameter:
    """One dimension of the search space.

    Either `choices` is set (in the order given; numbers ascending) or `low` and `high` are, both
    included. `role` says who chooses the value in production: the user (`decision`) or the world
    (`scenario`). `flag` and `env` name the server flag (`--name`) or environment variable that
    a parameter outside `BUILT_IN` sets; exactly one of them is set for such a parameter.
    """

    name: str
    type: ParameterType
    role: Role
    default: Value
    choices: tuple[Value, ...] | None = None
    low: float | None = None
    high: float | None = None
    step: float | None = None
    log: bool = False
    unit: str = ""
    description: str = ""
    flag: str | None = None
    env: str | None = None

    @property
    def ordered(self) -> bool:
        """Whether the values are numbers, so that nearer values behave more alike."""
        return self.type != "categorical"

    def values(self) -> tuple[Value, ...] | None:
        """All values in order, or None where they are a continuum."""
        if self.choices is not None:
            return self.choices
        assert self.low is not None
        assert self.high is not None
        if self.type == "int":
            return tuple(range(int(self.low), int(self.high) + 1, int(self.step or 1)))
        if self.step is None:
            return None
        # The small allowance keeps a high bound that is a multiple of the step up to rounding.
        count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
        return tuple(round(self.low + i * self.step, 10) for i in range(count))


@dataclass(frozen=True)
class Configuration(Mapping[str, Value]):
    """One value for every parameter, in the order of the search space. Hashable."""

    items_: tuple[tuple[str, Value], ...]

    @classmethod
    def of(cls, values: Mapping[str, Value]) -> Configuration:
        return cls(tuple(values.items()))

    def __getitem__(self, name: str) -> Value:
        for key, value in self.items_:
            if key == name:
                return value
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (key for key, _ in self.items_)

    def __len__(self) -> int:
        return len(self.items_)

    def __hash__(self) -> int:
        return hash(frozenset(self.items_))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        return dict(self) == dict(other)

    def __str__(self) -> str:
        return " ".join(f"{key}={_short(value)}" for key, value in self.items_)


def _short(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class SearchSpace:
    """The parameters of one study; names are unique."""

    parameters: tuple[Parameter, ...]

    def __getitem__(self, name: str) -> Parameter:
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise KeyError(name)

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self.parameters)

    def with_role(self, role: Role) -> tuple[Parameter, ...]:
        return tuple(p for p in self.parameters if p.role == role)

    def baseline(self) -> Configuration:
        """The configuration of all defaults: trial 0."""
        return Configuration.of({p.name: p.default for p in self.parameters})

    def size(self) -> int | None:
        """Number of configurations, or None where a parameter is continuous."""
        sizes = [p.values() for p in self.parameters]
        return None if any(v is None for v in sizes) else math.prod(len(v or ()) for v in sizes)

    def grid(self) -> Iterator[Configuration]:
        """Every configuration, the last parameter varying fastest.

        Raises ValueError where a parameter is continuous.
        """
        names = [p.name for p in self.parameters]
        axes = []
        for p in self.parameters:
            values = p.values()
            if values is None:
                raise ValueError(f"parameter {p.name!r} is continuous; it has no grid")
            axes.append(values)
        for point in itertools.product(*axes):
            yield Configuration.of(dict(zip(names, point, strict=True)))

    def scenario_of(self, configuration: Mapping[str, Value]) -> Configuration:
        """The part of a configuration that the world chooses."""
        return Configuration.of({p.name: configuration[p.name] for p in self.with_role("scenario")})
