"""One configuration given by hand, `cpu=1 replicas=2`, as a study of that configuration alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path

import yaml

from tuner.errors import InputError
from tuner.spec import parameters
from tuner.spec.built_in import BUILT_INS
from tuner.spec.host import Host
from tuner.spec.load import load_model, load_study
from tuner.spec.metrics import METRICS
from tuner.spec.places import check_name
from tuner.spec.problems import Problem, dotted, nearest
from tuner.spec.space import BUILT_IN, Configuration, Parameter, SearchSpace, Value
from tuner.spec.study import Budget, LoadSpec, Objective, ServingSpec, StudySpec
from tuner.spec.validation import validate
from tuner.spec.yaml_documents import LoadDocument, ParameterDocument

DEFAULTS: Mapping[str, Value] = {
    "concurrency": 1,
    "cpu": 1.0,
    "memory": 256,
    "replicas": 1,
    "loss": 0.0,
}
"""What holds for a model that is measured outside a study, unless it is set."""

_OBJECTIVES = ("art_ms", "cpu_percent")
_LOAD = tuple(field.name for field in fields(LoadSpec))


def study_of_model(
    model: str, settings: Sequence[str], host: Host, root: Path | None = None
) -> StudySpec:
    """A study of one configuration of `model`: the defaults, changed by `settings`.

    A setting is `name=value`; the name is that of a built-in parameter or of a key of a study's
    `load`. Raises InputError that names each wrong setting.
    """
    check_name(model, "model")
    base = StudySpec(
        name="measure",
        description="",
        path=Path("--set"),
        model=load_model(model, root),
        search_space=SearchSpace(()),
        serving=ServingSpec(),
        load=LoadSpec(),
        objectives=tuple(Objective(name, METRICS[name].better) for name in _OBJECTIVES),
        constraints=(),
        budget=Budget(trials=1),
        seed=0,
    )
    return _set(base, dict(DEFAULTS), settings, host)


def study_of_settings(
    study: str,
    settings: Sequence[str],
    host: Host,
    start: Configuration | None = None,
    root: Path | None = None,
) -> StudySpec:
    """The same with a study's model, serving, load and parameters.

    It begins with `start`, by default the study's baseline. A value need not be one of those that
    the study tries. A parameter that becomes active has its default, unless it is set too.
    """
    base = load_study(study, host, root)
    defaults = {parameter.name: parameter.default for parameter in base.search_space}
    return _set(base, {**defaults, **(start or {})}, settings, host)


def only_configuration(spec: StudySpec) -> Configuration:
    """The only configuration of such a study."""
    return spec.search_space.baseline()


def _set(
    base: StudySpec, values: dict[str, Value], settings: Sequence[str], host: Host
) -> StudySpec:
    own = {p.name: p for p in base.search_space if p.name not in BUILT_IN}
    load: dict[str, Value] = {}
    given: set[str] = set()
    problems: list[Problem] = []
    for setting in settings:
        name, sign, text = setting.partition("=")
        if not sign:
            problems.append(Problem((setting,), "expected name=value"))
        elif name in _LOAD and name not in values:  # a parameter wins over the key of that name
            load[name] = _value(text)
        elif name in BUILT_IN or name in own:
            values[name] = _value(text)
            given.add(name)
        else:
            known = [*BUILT_IN, *own, *_LOAD]
            hint = nearest(name, known) or f"; there are {', '.join(known)}"
            problems.append(Problem((name,), f"unknown{hint}"))
    values, found = _active(base.search_space, values, given)
    problems += found
    if {"loss_in", "loss_out"} <= values.keys():
        values.pop("loss", None)
    if "rate" in values:
        load.setdefault("arrivals", "poisson" if base.load.arrivals == "closed" else "")
        load = {key: value for key, value in load.items() if value != ""}
    documents: dict[str, ParameterDocument | None] = {}
    pinned: list[Parameter] = []
    for name, value in values.items():
        if name in own:
            alone = replace(own[name], default=value, choices=(value,), low=None, high=None)
            pinned.append(replace(alone, when=None))
        else:
            documents[name], found = _pinned(name, value)
            problems += [problem.below((name,)) for problem in found]
    space, found = parameters.search_space(documents, host)
    spec_load, wrong = _load(base.load, load)
    problems += [*found, *wrong, *_open(spec_load, values)]
    if problems:
        raise InputError(
            "\n".join(dict.fromkeys(f"--set {_key(p)}: {p.text}" for p in problems)),
            "docs/reference/study.md describes every parameter and key of `load`.",
        )
    return replace(base, search_space=SearchSpace((*space, *pinned)), load=spec_load)


def _active(
    space: SearchSpace, values: Mapping[str, Value], given: Collection[str]
) -> tuple[dict[str, Value], list[Problem]]:
    """`values` without those of inactive parameters of `space`; none of these may be `given`."""
    inactive = {p.name: p for p in space if p.name not in space.effective(values)}
    problems = [
        Problem((name,), f"has no effect, as {parameter.when} does not hold")
        for name, parameter in inactive.items()
        if name in given
    ]
    return {name: value for name, value in values.items() if name not in inactive}, problems


def _value(text: str) -> Value:
    """The value as a YAML file would hold it: a number, true, false or text."""
    value = yaml.safe_load(text)
    return value if isinstance(value, (bool, int, float, str)) else text


def _pinned(name: str, value: Value) -> tuple[ParameterDocument | None, list[Problem]]:
    """A built-in parameter with this value only."""
    data = {
        "type": BUILT_INS[name].types[0],
        "role": "decision",
        "default": value,
        "choices": [value],
    }
    return validate(ParameterDocument, data)


def _load(base: LoadSpec, changes: Mapping[str, Value]) -> tuple[LoadSpec, list[Problem]]:
    # A longer shortest window asks for a longer longest one, unless that is set too.
    whole = {name: getattr(base, name) for name in _LOAD} | dict(changes)
    if "min_seconds" in changes and "max_seconds" not in changes:
        longest = max(float(whole["max_seconds"]), float(whole["min_seconds"]))
        whole["max_seconds"] = longest
    document, problems = validate(LoadDocument, whole)
    return (LoadSpec(**document.model_dump()) if document else base), problems


def _open(load: LoadSpec, values: Mapping[str, Value]) -> Iterator[Problem]:
    if load.arrivals != "closed" and "rate" not in values:
        yield Problem(("arrivals",), "an open loop needs a rate too, such as rate=100")
    if load.arrivals == "closed" and "rate" in values:
        yield Problem(("rate",), "a closed loop has no rate; set arrivals=poisson or constant")


def _key(problem: Problem) -> str:
    """The setting's own name; the parts of its document are not the user's."""
    return dotted(problem.key[:1])
