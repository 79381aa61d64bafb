"""What is not the same in two studies, and the part of their search spaces that is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tuner.measure.record import StudyRecord
from tuner.results.pooled import ASSUMED_BETWEEN
from tuner.spec.space import Configuration, Parameter, SearchSpace, Value, as_text
from tuner.spec.study import ServingSpec

ABSENT = "-"

_ASIDE = ("description", "budget", "search", "seed", "baseline_every", "hosts", "objectives")
"""Of a specification, what changes which configurations are measured, but no measurement."""

_PARAMETER = "parameter "
_SAID = ("description", "unit")
_MEASURED = ("calibration",)
"""Of an environment, what differs each time since it is measured."""

_LOAD = ("load.arrivals", "load.protocol", "load.cpu_placement")
_CLEAN = ("loss", "loss_in", "loss_out", "delay", "jitter")
"""Without such a parameter a network has none of it."""


@dataclass(frozen=True)
class Difference:
    """A key, and what it is in each study as text (`ABSENT` where it is not there).

    `matters` says that it can change what is measured of a configuration.
    """

    key: str
    a: str
    b: str
    matters: bool


def differences(a: StudyRecord, b: StudyRecord) -> tuple[Difference, ...]:
    """Every key of environment and specification that differs, what matters first."""
    keys = dict.fromkeys([*(first := dict(_told(a))), *(second := dict(_told(b)))])
    pairs = [(key, first.get(key, ABSENT), second.get(key, ABSENT)) for key in keys]
    differing = [Difference(*pair, matters=_matters(*pair)) for pair in pairs if pair[1] != pair[2]]
    return tuple(sorted(differing, key=lambda d: not d.matters))


def _matters(key: str, *values: str) -> bool:
    if key.startswith(_PARAMETER):
        # Which of its values were tried changes no measurement.
        return ABSENT in values
    return key.partition(".")[0] not in _ASIDE


def _told(study: StudyRecord) -> Iterator[tuple[str, str]]:
    """Keys in the order of interest: the model, what it runs on and in, then what was asked."""
    yield "backend", ", ".join(sorted({t.backend for t in study.trials})) or ABSENT
    yield "model", study.model
    environment = {
        k: v for k, v in study.environment.items() if k not in {"backend", "model", *_MEASURED}
    }
    first = ("model_checksum", "image", "image_id", "engine", "host")
    yield from _flat({k: environment[k] for k in first if k in environment} | environment)
    specification = dict(study.specification)
    for told_elsewhere in ("name", "search_space"):
        specification.pop(told_elsewhere, None)
    serving = specification.pop("serving", study.serving)
    yield from _flat({"serving": serving, **specification})
    for parameter in study.search_space:
        yield _PARAMETER + parameter.name, _parameter(parameter)


def _flat(of: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for key, value in of.items():
        name = f"{path}.{key}" if path else key
        if isinstance(value, Mapping):
            yield from _flat(value, name)
        elif key not in _SAID and value is not None:
            yield name, _text(value)


def _text(value: Any) -> str:  # noqa: ANN401 -- any JSON
    if isinstance(value, list | tuple):
        if value and all(isinstance(entry, Mapping) for entry in value):
            return "; ".join(" ".join(_text(part) for part in entry.values()) for entry in value)
        return ", ".join(map(_text, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else as_text(value)


def _parameter(parameter: Parameter) -> str:
    if parameter.choices is not None:
        values = ", ".join(_text(value) for value in parameter.choices)
    else:
        step = "" if parameter.step is None else f" by {parameter.step:g}"
        values = f"{parameter.low:g} to {parameter.high:g}{step}"
    when = f", when {parameter.when}" if parameter.when else ""
    return f"{parameter.role} {values}; default {_text(parameter.default)}{when}"


@dataclass(frozen=True)
class Common:
    """The configurations that two studies can both have measured.

    A parameter that only one study has must there be what it always is in the other: no loss or
    delay, the same protocol, flag or variable. It is then left out of the configuration.
    """

    a: StudyRecord
    b: StudyRecord

    def key(self, study: StudyRecord, configuration: Configuration) -> Configuration | None:
        """The part of a configuration of `study` (`a` or `b`) that both know; None if one cannot
        have it.
        """
        if not all(self._in_both(study, name, value) for name, value in configuration.items()):
            return None
        return Configuration.of({n: configuration[n] for n in self._names if n in configuration})

    def scenario_in_both(
        self, study: StudyRecord, configuration: Configuration
    ) -> Configuration | None:
        """The scenario of a configuration of `study`, whatever it decides; None if the other study
        has no such scenario.
        """
        both = all(
            self._in_both(study, name, value)
            for name, value in configuration.items()
            if study.search_space[name].role == "scenario"
        )
        return self.scenario(configuration) if both else None

    def _in_both(self, study: StudyRecord, name: str, value: Value) -> bool:
        """Whether the other study can have this value of a parameter of `study`, too."""
        other = self.b if study is self.a else self.a
        if name in self._names:
            return _allows(other.search_space[name], value)
        return _always(other, study.search_space[name], value)

    @cached_property
    def _names(self) -> tuple[str, ...]:
        names_b = {p.name for p in self.b.search_space}
        return tuple(p.name for p in self.a.search_space if p.name in names_b)

    @cached_property
    def scenario_names(self) -> tuple[str, ...]:
        """Common parameters that the world chooses, in either study."""
        spaces: tuple[SearchSpace, ...] = (self.a.search_space, self.b.search_space)
        return tuple(n for n in self._names if any(s[n].role == "scenario" for s in spaces))

    def scenario(self, key: Configuration) -> Configuration:
        return Configuration.of({n: key[n] for n in self.scenario_names if n in key})

    def rank(self, scenario: Configuration) -> tuple[tuple[int, float, str], ...]:
        """Sorts scenarios: numbers ascending, words by the alphabet, what is inactive first."""
        return tuple(_rank(scenario.get(name)) for name in self.scenario_names)


def _rank(value: Value | None) -> tuple[int, float, str]:
    if value is None:
        return 0, 0.0, ""
    return (2, 0.0, value) if isinstance(value, str) else (1, float(value), "")


def cautions(a: StudyRecord, b: StudyRecord) -> tuple[str, ...]:
    """Sentences on what else may make the studies' values differ, besides the configuration."""
    sentences = []
    backends = [sorted({t.backend for t in study.trials}) for study in (a, b)]
    if backends[0] != backends[1] and all(backends):
        sentences.append(
            f"A was measured by {' and '.join(backends[0])}, B by {' and '.join(backends[1])}:"
            " ratios compare these, too."
        )
    cpus = [study.environment.get("host", {}).get("cpus") for study in (a, b)]
    if (
        cpus[0] != cpus[1]
        and None not in cpus
        and "cpu_percent" in [o.metric for o in a.objectives]
    ):
        sentences.append(
            f"CPU usage is in percent of the whole host, and A's has {cpus[0]} CPUs, B's {cpus[1]}:"
            f" the same work is {cpus[0] / cpus[1]:.3g} times as many percent in B."
        )
    load = [d.key for d in differences(a, b) if d.key in _LOAD]
    if load:
        sentences.append(f"They were not loaded alike ({', '.join(load)}): ratios hold that, too.")
    for label, study in (("A", a), ("B", b)):
        if study.drifts:
            sentences.append(f"The host of {label} drifted: {study.drifts[0].what}.")
        if not study.repeatability and study.trials:
            sentences.append(
                f"{label} measured too few configurations again to know how far its bursts differ:"
                f" {100 * ASSUMED_BETWEEN:.0f} % is assumed."
            )
    return tuple(sentences)


def _always(study: StudyRecord, parameter: Parameter, value: Value) -> bool:
    """Whether a study that lacks the parameter always has `value` in its place."""
    if parameter.name in _CLEAN:
        return value == 0
    if parameter.name == "protocol":
        return bool(study.specification.get("load", {}).get("protocol") == value)
    if parameter.name == "server":
        return bool(study.serving.get("server", ServingSpec.server) == value)
    if parameter.name == "placement":
        return bool(study.serving.get("placement", ServingSpec.placement) == value)
    kind, name = ("flags", parameter.flag) if parameter.flag else ("env", parameter.env)
    return name is not None and bool(study.serving.get(kind, {}).get(name) == as_text(value))


def _allows(parameter: Parameter, value: Value) -> bool:
    if parameter.choices is not None:
        return any(
            c == value and isinstance(c, bool) == isinstance(value, bool) for c in parameter.choices
        )
    assert parameter.low is not None
    assert parameter.high is not None
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and parameter.low <= value <= parameter.high
    )
