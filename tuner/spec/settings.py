"""One configuration from settings such as `cpu=1 replicas=2`, as a study of one configuration."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path

from tuner.errors import InputError
from tuner.spec import parameters
from tuner.spec.built_in import BUILT_INS
from tuner.spec.host import Host
from tuner.spec.load import endpoint_model, load_model
from tuner.spec.metrics import METRICS
from tuner.spec.parameters import EXPECTED_SIZE, LARGEST_VALUE
from tuner.spec.problems import Problem, dotted, nearest, short_text
from tuner.spec.space import BUILT_IN, Configuration, Parameter, SearchSpace, Value
from tuner.spec.study import (
    Budget,
    EndpointSpec,
    LoadSpec,
    Objective,
    SearchSpec,
    ServingSpec,
    StudySpec,
)
from tuner.spec.study_files import check_name
from tuner.spec.validation import validate
from tuner.spec.yaml import parse_yaml
from tuner.spec.yaml_documents import LoadDocument, ParameterDocument

DEFAULTS: Mapping[str, Value] = {
    "concurrency": 1,
    "cpu": 1.0,
    "memory": 256,
    "replicas": 1,
    "loss": 0.0,
}
"""The configuration of a model that is measured outside a study, where no setting changes it."""

ANEW = SearchSpec(stay=False)
"""What is measured by hand is deployed anew each time."""

_OBJECTIVES = ("art_ms", "cpu_percent")
_LOAD = tuple(field.name for field in fields(LoadSpec))


def study_of_model(
    model: str, settings: Sequence[str], host: Host, root: Path | None = None
) -> StudySpec:
    """A study of one configuration of `model`: `DEFAULTS`, changed by `settings`.

    A setting is `name=value`. The name is a built-in parameter or a key of a study's `load`.
    Raises InputError that names each wrong setting.
    """
    check_name(model, "model")
    served = load_model(model, root)
    base = StudySpec(
        name="measure",
        description="",
        path=Path("--set"),
        model=served,
        search_space=SearchSpace(()),
        serving=ServingSpec.of(served),
        load=LoadSpec(),
        objectives=tuple(Objective(name, METRICS[name].better) for name in _OBJECTIVES),
        constraints=(),
        budget=Budget(trials=1),
        seed=0,
        search=ANEW,
    )
    return _set(base, dict(DEFAULTS), settings, host)


def study_of_endpoint(endpoint: EndpointSpec, load: LoadSpec) -> StudySpec:
    """A study of the endpoint under one connection, to be changed by `with_settings`."""
    concurrency = Parameter("concurrency", "int", "scenario", 1, choices=(1,))
    return StudySpec(
        name="measure",
        description="",
        path=Path("--url"),
        model=endpoint_model(endpoint.url),
        search_space=SearchSpace((concurrency,)),
        serving=ServingSpec(),
        load=load,
        objectives=(Objective("art_ms", METRICS["art_ms"].better),),
        constraints=(),
        budget=Budget(trials=1),
        seed=0,
        search=ANEW,
        endpoint=endpoint,
    )


def with_settings(
    base: StudySpec, settings: Sequence[str], host: Host, start: Configuration | None = None
) -> StudySpec:
    """A study of one configuration with the model, serving, load and parameters of `base`.

    The settings change `start`, by default the study's baseline. A value need not be among the
    study's own. A parameter that becomes active has its default, unless a setting gives it a value.
    """
    defaults = {parameter.name: parameter.default for parameter in base.search_space}
    return _set(replace(base, search=ANEW), {**defaults, **(start or {})}, settings, host)


def only_configuration(spec: StudySpec) -> Configuration:
    """The configuration of a study that has only one."""
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
            problems += _other_kind(own.get(name), values[name])
        else:
            names = [*BUILT_IN, *own, *_LOAD]
            hint = nearest(name, names) or f"; the settings are {', '.join(names)}"
            problems.append(Problem((name,), f"unknown setting{hint}"))
    values, inactive = _active(base.search_space, values, given)
    problems += inactive
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
            documents[name], malformed = _pinned(name, value)
            problems += [problem.below((name,)) for problem in malformed]
    deployed = base.endpoint is None
    space, space_problems = parameters.search_space(documents, host, deployed=deployed)
    spec_load, load_problems = _load(base.load, load)
    problems += [*space_problems, *load_problems, *_loop_problems(spec_load, values)]
    if problems:
        raise InputError(
            "\n".join(dict.fromkeys(f"--set {_key(p)}: {p.text}" for p in problems)),
            "See docs/reference/study.md, which describes every parameter and every key of `load`.",
        )
    return replace(base, search_space=SearchSpace((*space, *pinned)), load=spec_load)


def _active(
    space: SearchSpace, values: Mapping[str, Value], given: Collection[str]
) -> tuple[dict[str, Value], list[Problem]]:
    """`values` of the active parameters of `space`, and a problem for each inactive one in
    `given`.
    """
    inactive = {p.name: p for p in space if p.name not in space.effective(values)}
    problems = [
        Problem((name,), f"has no effect, because {parameter.when} does not hold")
        for name, parameter in inactive.items()
        if name in given
    ]
    return {name: value for name, value in values.items() if name not in inactive}, problems


def _value(text: str) -> Value:
    """The value as YAML reads it: a number, true, false or text."""
    try:
        value = parse_yaml(text, Path("--set")).data
    except InputError:
        return text
    return value if isinstance(value, (bool, int, float, str)) else text


def _other_kind(parameter: Parameter | None, value: Value) -> Iterator[Problem]:
    """A problem where `value` is no number and the study's own parameter is one."""
    if parameter is None or parameter.type == "categorical":
        return
    is_number = not isinstance(value, bool) and isinstance(value, (int, float))
    if parameter.type == "int" and not (is_number and float(value).is_integer()):
        yield Problem((parameter.name,), f"expected a whole number, found {short_text(value)}")
    elif not (is_number and abs(float(value)) <= LARGEST_VALUE):
        yield Problem((parameter.name,), f"expected {EXPECTED_SIZE}, found {short_text(value)}")


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
    # The longest window is at least as long as the shortest one, unless it is set too.
    whole = {name: getattr(base, name) for name in _LOAD} | dict(changes)
    shortest = changes.get("min_seconds")
    if isinstance(shortest, (int, float)) and "max_seconds" not in changes:
        whole["max_seconds"] = max(float(whole["max_seconds"]), float(shortest))
    document, problems = validate(LoadDocument, whole)
    return (LoadSpec(**document.model_dump()) if document else base), problems


def _loop_problems(load: LoadSpec, values: Mapping[str, Value]) -> Iterator[Problem]:
    if load.arrivals in {"constant", "poisson"} and "rate" not in values:
        yield Problem(("arrivals",), "an open loop needs a rate, such as rate=100")
    if load.arrivals == "closed" and "rate" in values:
        yield Problem(("rate",), "a closed loop has no rate; set arrivals=poisson or constant")


def _key(problem: Problem) -> str:
    """The name of the setting, without the parts of the document that it became."""
    return dotted(problem.key[:1])
