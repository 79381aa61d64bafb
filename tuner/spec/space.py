"""Parameters, the space that they span, and one configuration of it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema


Value = int | float | str | bool
ParameterType = Literal["int", "float", "categorical"]
Role = Literal["decision", "scenario"]
ConditionOperator = Literal["==", "!=", "in"]

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
    "protocol",
    "server",
    "placement",
)
"""Parameters whose meaning `tune` knows. Any other one names the flag or variable that it sets."""


LIVE = ("concurrency", "loss", "loss_in", "loss_out", "delay", "jitter", "bandwidth", "rate")
"""The built-in parameters of load and network, which change without a new deployment."""


@dataclass(frozen=True)
class Condition:
    """A condition on another parameter, such as `batching == true` or `mode in [a, b]`.

    `values` has one value, for `in` one or more.
    """

    parameter: str
    comparison: ConditionOperator
    values: tuple[Value, ...]

    def holds(self, value: Value) -> bool:
        # True == 1 in Python; in a study file they are different values.
        among = any(
            value == other and isinstance(value, bool) == isinstance(other, bool)
            for other in self.values
        )
        return among != (self.comparison == "!=")

    def __str__(self) -> str:
        words = ", ".join(as_text(value) for value in self.values)
        right = f"[{words}]" if self.comparison == "in" else words
        return f"{self.parameter} {self.comparison} {right}"


@dataclass(frozen=True)
class Parameter:
    """One dimension of the search space.

    Either `choices` is set (in the order given; numbers ascending) or `low` and `high` are, both
    included. `role` says who chooses the value in production: the user (`decision`) or the world
    (`scenario`). `flag` and `env` name the server flag (`--name`) or environment variable that
    a parameter outside `BUILT_IN` sets; exactly one of them is set for such a parameter. `when` is
    the condition under which it is active, None for always.
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
    when: Condition | None = None

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
            return None if self.low < self.high else (self.low,)
        # The small allowance keeps a high bound that is a multiple of the step up to rounding.
        count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
        return tuple(round(self.low + i * self.step, 10) for i in range(count))

    def takes(self, value: Value) -> bool:
        """Whether it can have that value."""
        values = self.values()
        if values is not None:
            # True == 1 in Python; in a study file they are different values.
            return any(
                value == v and isinstance(value, bool) == isinstance(v, bool) for v in values
            )
        if isinstance(value, bool | str):
            return False
        assert self.low is not None
        assert self.high is not None
        return self.low <= value <= self.high

    def active_in(self, values: Mapping[str, Value]) -> bool:
        """Whether a configuration with these values of other parameters has this one too."""
        when = self.when
        return when is None or (when.parameter in values and when.holds(values[when.parameter]))


@dataclass(frozen=True)
class Configuration(Mapping[str, Value]):
    """One value for every active parameter, in the order of the search space. Hashable."""

    items_: tuple[tuple[str, Value], ...]

    @classmethod
    def of(cls, values: Mapping[str, Value]) -> Configuration:
        return cls(tuple(values.items()))

    @classmethod
    def __get_pydantic_core_schema__(cls, _: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Plain data holds it as a mapping of names to values."""
        from pydantic_core import core_schema  # noqa: PLC0415 -- only readers of files need it

        values = handler.generate_schema(dict[str, Value])
        return core_schema.no_info_after_validator_function(cls.of, values)

    def only(self, names: Collection[str]) -> Configuration:
        """The part of it that these parameters are."""
        return Configuration(tuple(item for item in self.items_ if item[0] in names))

    # Studies of thousands of trials compare and look up configurations millions of times.
    @cached_property
    def _values(self) -> dict[str, Value]:
        return dict(self.items_)

    @cached_property
    def _hash(self) -> int:
        return hash(frozenset(self.items_))

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def get(self, name: str, default: Any = None, /) -> Any:  # noqa: ANN401 -- as of a mapping
        return self._values.get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Configuration):
            return self.items_ == other.items_ or self._values == other._values
        if not isinstance(other, Mapping):
            return NotImplemented
        return self._values == dict(other)

    def __reduce__(self) -> tuple[type[Configuration], tuple[object, ...]]:
        # A hash of texts holds in this process only.
        return Configuration, (self.items_,)

    def __str__(self) -> str:
        return " ".join(f"{key}={_short(value)}" for key, value in self.items_)


def _short(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def as_text(value: Value) -> str:
    """A value as a command line or an environment holds it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def as_levels(scenario: Mapping[str, Value]) -> str:
    """A scenario as `--when` takes it: `loss=1,concurrency=8`."""
    return ",".join(
        f"{name}={_short(value) if isinstance(value, float) else as_text(value)}"
        for name, value in scenario.items()
    )


@dataclass(frozen=True)
class SearchSpace:
    """The parameters of one study; names are unique.

    A parameter whose condition does not hold, or refers to an inactive parameter, is inactive: a
    configuration has no value for it. Conditions refer to parameters of the space, in no circle.
    """

    parameters: tuple[Parameter, ...]

    def __getitem__(self, name: str) -> Parameter:
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise KeyError(name)

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self.parameters)

    @cached_property
    def parents_first(self) -> tuple[Parameter, ...]:
        """The parameters in order, but each after the one that its condition refers to."""
        placed: dict[str, Parameter] = {}

        def place(parameter: Parameter) -> None:
            if parameter.when is not None:
                place(self[parameter.when.parameter])
            placed.setdefault(parameter.name, parameter)

        for parameter in self:
            place(parameter)
        return tuple(placed.values())

    def with_role(self, role: Role) -> tuple[Parameter, ...]:
        return tuple(p for p in self.parameters if p.role == role)

    def effective(self, values: Mapping[str, Value]) -> Configuration:
        """The configuration that `values` give; those of inactive parameters are left out.

        Raises KeyError where an active parameter has none.
        """
        active: dict[str, Value] = {}
        for parameter in self.parents_first:
            if parameter.active_in(active):
                active[parameter.name] = values[parameter.name]
        return self._in_order(active)

    def filled(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """`values`, and the default of each parameter that is inactive in them.

        A parameter is left out where `values` does not yet tell whether it is active.
        """
        filled: dict[str, Value] = {}
        for p in self.parents_first:
            if p.name in values:
                filled[p.name] = values[p.name]
            elif p.when is not None and p.when.parameter in filled and not p.active_in(values):
                filled[p.name] = p.default
        return filled

    def baseline(self) -> Configuration:
        """The configuration of all defaults: trial 0."""
        return self.effective({p.name: p.default for p in self.parameters})

    def size(self) -> int | None:
        """Number of configurations, or None where a parameter is continuous."""
        # The number of values of a parameter together with the parameters that depend on it.
        counts: dict[str, float] = {}
        for parameter in reversed(self.parents_first):
            values, name = parameter.values(), parameter.name
            below = [p for p in self if p.when is not None and p.when.parameter == name]
            counts[name] = (
                math.inf
                if values is None
                else sum(
                    math.prod(counts[p.name] for p in below if p.when and p.when.holds(value))
                    for value in values
                )
            )
        total = math.prod(counts[p.name] for p in self if p.when is None)
        return None if math.isinf(total) else int(total)

    def grid(self) -> Iterator[Configuration]:
        """Every configuration once, the last of `parents_first` varying fastest.

        Raises ValueError where a parameter is continuous.
        """
        if self.size() is None:
            name = next(p.name for p in self if p.values() is None)
            raise ValueError(f"parameter {name!r} is continuous; it has no grid")
        yield from self._points(self.parents_first, {})

    def _points(
        self, left: tuple[Parameter, ...], chosen: Mapping[str, Value]
    ) -> Iterator[Configuration]:
        if not left:
            yield self._in_order(chosen)
        elif left[0].active_in(chosen):
            for value in left[0].values() or ():
                yield from self._points(left[1:], {**chosen, left[0].name: value})
        else:
            yield from self._points(left[1:], chosen)

    def _in_order(self, values: Mapping[str, Value]) -> Configuration:
        return Configuration.of({p.name: values[p.name] for p in self if p.name in values})

    def scenario_of(self, configuration: Mapping[str, Value]) -> Configuration:
        """The part of a configuration that the world chooses."""
        return self._part("scenario", configuration)

    def decision_of(self, configuration: Mapping[str, Value]) -> Configuration:
        """The part of a configuration that the user chooses."""
        return self._part("decision", configuration)

    def _part(self, role: Role, configuration: Mapping[str, Value]) -> Configuration:
        parameters = self.with_role(role)
        return Configuration.of(
            {p.name: configuration[p.name] for p in parameters if p.name in configuration}
        )

    def deployment_of(self, configuration: Mapping[str, Value]) -> Configuration:
        """The part of a configuration that a deployment is made for."""
        return Configuration.of({n: v for n, v in configuration.items() if n not in LIVE})

    def settings(self, configuration: Mapping[str, Value]) -> tuple[dict[str, str], dict[str, str]]:
        """The server flags, and the environment variables, that a configuration sets."""
        texts = [(p, as_text(configuration[p.name])) for p in self if p.name in configuration]
        return (
            {p.flag: text for p, text in texts if p.flag},
            {p.env: text for p, text in texts if p.env},
        )
