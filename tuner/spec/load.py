"""Loads studies, search spaces and models from YAML."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tuner.addresses import address_parts
from tuner.errors import InputError, SetupError
from tuner.spec import study_files, yaml
from tuner.spec.expressions import parse_constraint, parse_duration
from tuner.spec.host import Host
from tuner.spec.http_service import HttpService
from tuner.spec.metrics import METRICS, PERCENTILES
from tuner.spec.parameters import search_space
from tuner.spec.problems import KeyPath, Problem, listed_values, nearest, short_text
from tuner.spec.space import Parameter, SearchSpace, as_text
from tuner.spec.study import (
    AnswerSpec,
    Budget,
    Constraint,
    EndpointSpec,
    LoadSpec,
    ModelSpec,
    Objective,
    Prices,
    SearchSpec,
    ServingSpec,
    StudySpec,
    UsageSpec,
)
from tuner.spec.typed import typed
from tuner.spec.validation import validate
from tuner.spec.yaml_documents import (
    EndpointDocument,
    HttpDocument,
    ModelDocument,
    ParameterDocument,
    Scalar,
    SearchSpaceDocument,
    StudyDocument,
)


def load_study(name_or_path: str, host: Host, root: Path | None = None) -> StudySpec:
    """The study of that name, or in that file, for `host`.

    A name means `<root>/studies/<name>/study.yaml`, otherwise the shipped study. A text with a
    slash or the ending `.yaml` is a path. The search space and the model of such a study are looked
    up beside it first. `root` is the working directory by default. Raises InputError that names all
    problems of the first file that has any.
    """
    root = root or Path.cwd()
    name, path = _study_file(name_or_path, root)
    roots = (root,) if _is_name(name_or_path) else (study_files.home_of(path), root)
    file = yaml.read_yaml(path)
    document, problems = validate(StudyDocument, file.data)
    inline = file.data.get("search_space") if isinstance(file.data, dict) else None
    space = None
    deployed = not (isinstance(file.data, dict) and file.data.get("endpoint"))
    if isinstance(inline, dict):
        at: KeyPath = ("search_space",)
        space, more = search_space(_well_formed(inline, at, problems), host, deployed=deployed)
        problems += [problem.below(at) for problem in more]
    if document is not None:
        problems += _missing_files(document, roots)
    if document is None or problems:
        file.refuse(problems)
    if isinstance(document.search_space, str):
        space = _search_space_in(document.search_space, host, roots, deployed=deployed)
    assert space is not None
    if problems := [
        *_measured_where(document, space),
        *_set_twice(document, space),
        *_image_of_one(document, space),
        *_repeated(document),
        *_rate(document, space),
        *_scenarios(document, space),
        *_not_measured(document),
        *_expected(document, space),
    ]:
        file.refuse(problems)
    model = _model_of(document, roots)
    objectives, constraints = _objectives(document), _constraints(document)
    judged = {*(o.metric for o in objectives), *(c.metric for c in constraints)}
    return StudySpec(
        name=name,
        description=document.description.strip(),
        path=path,
        model=model,
        search_space=space,
        serving=replace(
            ServingSpec.of(model, document.serving.image, document.serving.server),
            flags=_texts(document.serving.flags),
            env=_texts(document.serving.env),
            ready_seconds=document.serving.ready_seconds,
            page_cache=document.serving.page_cache,
            placement=document.serving.placement,
        ),
        load=LoadSpec(**document.load.model_dump()),
        objectives=objectives,
        constraints=constraints,
        budget=Budget(
            trials=document.budget.trials,
            seconds=parse_duration(document.budget.time) if document.budget.time else None,
        ),
        search=SearchSpec(
            **document.search.model_dump(exclude={"scenarios", "stay"}),
            # Start-up is measured of new deployments only.
            stay=document.search.stay and "ready_seconds" not in judged,
            scenarios=tuple(document.search.scenarios),
        ),
        answer=AnswerSpec(document.answer.margin, dict(document.answer.expected)),
        seed=document.seed,
        baseline_every=document.baseline_every,
        hosts=document.hosts,
        prices=Prices(**document.prices.model_dump()) if document.prices else None,
        endpoint=_endpoint(document.endpoint),
    )


def _model_of(document: StudyDocument, roots: Sequence[Path]) -> ModelSpec:
    if document.model is not None:
        return _model_in(document.model, roots)
    assert document.endpoint is not None
    return endpoint_model(document.endpoint.url)


def endpoint_model(url: str) -> ModelSpec:
    """What stands for the model of an endpoint: its address."""
    parts = address_parts(url)
    return ModelSpec((parts and parts.netloc) or url, "", Path(), Path())


def _endpoint(document: EndpointDocument | None) -> EndpointSpec | None:
    if document is None:
        return None
    usage = UsageSpec() if document.usage is None else UsageSpec(**document.usage.model_dump())
    return EndpointSpec(
        **document.model_dump(exclude={"apply", "usage"}),
        apply=tuple(document.apply),
        usage=usage,
    )


def _measured_where(document: StudyDocument, space: SearchSpace) -> list[Problem]:
    """Problems of a study that has neither model nor endpoint, and of what an endpoint lacks."""
    endpoint = document.endpoint
    if endpoint is None:
        text = "key 'model' is missing: the model to serve, or the section `endpoint` instead"
        return [] if document.model else [Problem((), text)]
    problems = []
    if document.model is not None:
        problems.append(Problem(("model",), "expected either a model or an endpoint"))
    if not document.load.requests:
        text = "expected load.requests: the recorded requests to send there"
        problems.append(Problem(("endpoint",), text))
    words = " ".join(endpoint.apply)
    for parameter in space.with_role("decision"):
        if f"{{{parameter.name}}}" not in words and parameter.values() != (parameter.default,):
            text = f"nothing switches the decision {parameter.name!r}: expected"
            text += f" {{{parameter.name}}} in a word of this command"
            problems.append(Problem(("endpoint", "apply"), text))
    return problems


def load_search_space(name: str, host: Host, root: Path | None = None) -> SearchSpace:
    """The search space in the file of that name, for `host`. Raises InputError."""
    return _search_space_in(name, host, (root or Path.cwd(),))


def _search_space_in(
    name: str, host: Host, roots: Sequence[Path], *, deployed: bool = True
) -> SearchSpace:
    file = yaml.read_yaml(study_files.find_file("search space", name, *roots))
    document, problems = validate(SearchSpaceDocument, file.data)
    written = file.data.get("parameters") if isinstance(file.data, dict) else None
    at: KeyPath = ("parameters",)
    space = None
    if isinstance(written, dict):
        space, more = search_space(_well_formed(written, at, problems), host, deployed=deployed)
        problems += [problem.below(at) for problem in more]
    if document is None or space is None or problems:
        file.refuse(problems)
    return space


def load_model(name: str, root: Path | None = None) -> ModelSpec:
    """The model of that name, which need not be built yet. Raises InputError.

    Its builder writes below `root`, also for a shipped model.
    """
    return _model_in(name, (root or Path.cwd(),))


def _model_in(name: str, roots: Sequence[Path]) -> ModelSpec:
    path = study_files.find_file("model", name, *roots)
    document = _model_document(path)
    own = (root for root in roots if path == study_files.path_of("model", name, root))
    root = next(own, roots[-1])
    return ModelSpec(
        name=name,
        description=document.description.strip(),
        directory=path.parent,
        built=root / "models" / name / "built",
        signature=document.signature,
        tolerance=document.tolerance,
        server=document.server or (ModelSpec.server if document.http is None else "http"),
        http=None if document.http is None else _service(document.http),
    )


def _service(document: HttpDocument) -> HttpService:
    """The service of a section `http`, whose form is right."""
    return typed(HttpService, document.model_dump(by_alias=True) | {"env": _texts(document.env)})


def builder_of(model: ModelSpec) -> Path:
    """The script that builds `model`. Raises SetupError where there is none."""
    document = _model_document(model.directory / "model.yaml")
    script = model.directory / document.build
    if not script.is_file():
        mend = f"Write it, or put the model's files below {model.versions} yourself."
        raise SetupError(f"model {model.name!r} has no builder: {script} is missing", mend)
    return script


def list_studies(root: Path | None = None) -> list[str]:
    """Names of the studies below `root` and of the shipped studies, sorted."""
    return study_files.existing("study", root or Path.cwd())


def results_directory(study: StudySpec | str, root: Path | None = None) -> Path:
    """The directory with the results of a study; it need not exist."""
    name = study if isinstance(study, str) else study.name
    return study_files.path_of("study", name, root or Path.cwd()).parent / "results"


def _is_name(name_or_path: str) -> bool:
    return "/" not in name_or_path and not name_or_path.endswith((".yaml", ".yml"))


def _study_file(name_or_path: str, root: Path) -> tuple[str, Path]:
    if _is_name(name_or_path):
        return name_or_path, study_files.find_file("study", name_or_path, root)
    path = root / name_or_path
    if os.path.isdir(path):  # noqa: PTH112 -- Path.is_dir raises for a path that is too long
        path /= "study.yaml"
    name = study_files.real(path).parent.name if path.stem == "study" else path.stem
    if not re.fullmatch(study_files.NAME_PATTERN, name):
        raise InputError(
            f"{name_or_path}: a study in this file would be called {short_text(name)}; "
            f"expected {study_files.name_expected(name)}",
            "Rename the file (or the directory of study.yaml).",
        )
    return name, path


def _well_formed(
    written: Mapping[str, Any], at: KeyPath, problems: list[Problem]
) -> dict[str, ParameterDocument | None]:
    """Each parameter as a document, or None where `problems` has a problem of it."""
    broken = {problem.key[: len(at) + 1] for problem in problems}
    return {
        name: None if (*at, name) in broken else ParameterDocument.model_validate(entry)
        for name, entry in written.items()
    }


def _model_document(path: Path) -> ModelDocument:
    file = yaml.read_yaml(path)
    document, problems = validate(ModelDocument, file.data)
    if document is None:
        file.refuse(problems)
    return document


def _objectives(document: StudyDocument) -> tuple[Objective, ...]:
    objectives = []
    for entry in document.objectives:
        metric = entry if isinstance(entry, str) else entry.metric
        direction = None if isinstance(entry, str) else entry.direction
        objectives.append(Objective(metric, direction or METRICS[metric].better))
    return tuple(objectives)


def _constraints(document: StudyDocument) -> tuple[Constraint, ...]:
    return tuple(parse_constraint(text) for text in document.constraints)


def _repeated(document: StudyDocument) -> list[Problem]:
    """Problems of constraints that bound a metric twice on the same side."""
    sides = [(c.metric, c.operator) for c in _constraints(document)]
    return [
        Problem(("constraints", i), f"expected one constraint of the form '{' '.join(side)} ...'")
        for i, side in enumerate(sides)
        if side in sides[:i]
    ]


def _not_measured(document: StudyDocument) -> list[Problem]:
    """Problems of objectives and constraints whose metric needs a key that is not there."""
    constraints = _constraints(document)
    bounded = any(c.metric in PERCENTILES and c.operator == "<=" for c in constraints)
    needs = {}
    if document.prices is None:
        needs["cost_per_month"] = "the section prices: {core_hour: ..., gib_hour: ...}"
    if document.load.latency_bound_ms is None and not bounded:
        needs["goodput_rps"] = "the key load.latency_bound_ms, or a constraint such as p95_ms <= 80"
    metrics = {
        "objectives": [o.metric for o in _objectives(document)],
        "constraints": [c.metric for c in constraints],
    }
    return [
        Problem((key, i), f"{name} needs {needs[name]}")
        for key, names in metrics.items()
        for i, name in enumerate(names)
        if name in needs
    ]


def _scenarios(document: StudyDocument, space: SearchSpace) -> list[Problem]:
    """Problems of `search.scenarios` that name no scenario parameter."""
    names = [p.name for p in space.with_role("scenario")]
    choices = " or ".join(repr(name) for name in names) or "none: no parameter has that role"
    return [
        Problem(("search", "scenarios", i), f"expected a scenario parameter ({choices})")
        for i, name in enumerate(document.search.scenarios)
        if name not in names
    ]


def _expected(document: StudyDocument, space: SearchSpace) -> list[Problem]:
    """Problems of `answer.expected`: it is empty, or has a value for each scenario parameter."""
    expected = document.answer.expected
    chosen = document.search.scenarios or [p.name for p in space.with_role("scenario")]
    at: KeyPath = ("answer", "expected")
    if expected and not chosen:
        return [Problem(at, "expected nothing: no parameter of this search space is a scenario")]
    problems = [
        Problem((*at, name), f"expected a parameter of a scenario ({' or '.join(chosen)})")
        for name in expected
        if name not in chosen
    ]
    for parameter in space:
        if not expected or parameter.name not in chosen:
            continue
        if parameter.name in expected:
            problems += _not_a_value(parameter, expected[parameter.name], at)
        elif parameter.when is None:
            problems.append(Problem(at, f"expected a value for {parameter.name} too"))
    return problems


def _not_a_value(parameter: Parameter, value: Scalar, at: KeyPath) -> list[Problem]:
    """A problem where a parameter cannot have that value."""
    if parameter.takes(value):
        return []
    values = parameter.values()
    choices = (
        f"{parameter.low:g} to {parameter.high:g}" if values is None else listed_values(values)
    )
    return [Problem((*at, parameter.name), f"expected one of {choices}, found {as_text(value)}")]


def _missing_files(document: StudyDocument, roots: Sequence[Path]) -> list[Problem]:
    """Problems of a model or a search space that does not exist."""
    wanted: list[tuple[str, study_files.FileKind, object]] = [
        ("model", "model", document.model),
        ("search_space", "search space", document.search_space),
    ]
    problems = []
    for key, kind, name in wanted:
        names = study_files.existing(kind, *roots)
        if isinstance(name, str) and name not in names:
            hint = nearest(name, names) or f"; there are {', '.join(names) or 'none'}"
            text = f"expected the name of a {kind}, found {name!r}{hint}"
            problems.append(Problem((key,), text))
    return problems


def _set_twice(document: StudyDocument, space: SearchSpace) -> list[Problem]:
    """Problems of flags and variables in `serving` that a parameter sets."""
    return [
        Problem(("serving", key, target), f"the parameter {parameter.name!r} sets it already")
        for parameter in space
        for key, fixed, target in (
            ("flags", document.serving.flags, parameter.flag),
            ("env", document.serving.env, parameter.env),
        )
        if target is not None and target in fixed
    ]


def _image_of_one(document: StudyDocument, space: SearchSpace) -> list[Problem]:
    """A problem of an image that would be run for each value of the parameter `server`."""
    among = any(parameter.name == "server" for parameter in space)
    if not among or document.serving.image in {None, "tune"}:
        return []
    text = "the parameter 'server' chooses among the images that tune builds: leave it out"
    return [Problem(("serving", "image"), text)]


def _rate(document: StudyDocument, space: SearchSpace) -> list[Problem]:
    """A problem where an open loop lacks the parameter `rate`, or a closed loop has it."""
    has_rate = any(parameter.name == "rate" for parameter in space)
    is_open = document.load.arrivals != "closed"
    judged = [o.metric for o in _objectives(document)]
    judged += [c.metric for c in _constraints(document)]
    if "capacity_rps" in judged:
        text = "capacity_rps finds the rate itself: leave the parameter 'rate' out"
        return [Problem(("search_space",), text)] if has_rate else []
    if document.load.arrivals == "trace":
        text = "the parameter 'rate' is the trace's rate already: leave time_scale out"
        twice = has_rate and document.load.time_scale != LoadSpec.time_scale
        return [Problem(("load", "time_scale"), text)] if twice else []
    if has_rate == is_open:
        return []
    text = (
        "an open loop needs the built-in parameter 'rate' in the search space"
        if is_open
        else "expected constant or poisson, because the search space has the parameter 'rate'"
    )
    return [Problem(("load", "arrivals"), text)]


def _texts(values: Mapping[str, Scalar]) -> dict[str, str]:
    """Values as text, for a command line or an environment."""
    return {name: as_text(value) for name, value in values.items()}
