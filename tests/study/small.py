"""A small study that is run on a computed host, for the tests of this directory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from optuna.study import Study

from tuner.backends import backend_named
from tuner.backends.backend import Backend
from tuner.backends.simulated import simulated_backend
from tuner.measure.host_use import HostUse
from tuner.spec.host import Host
from tuner.spec.load import load_study, results_directory
from tuner.spec.space import Configuration
from tuner.spec.study import StudySpec
from tuner.study.check import checks
from tuner.study.check_line import Check
from tuner.study.loop import Event, goal, run_study
from tuner.study.queue import queue_repeat
from tuner.study.start import start_or_resume
from tuner.study.storage import default_url, open_storage, records

STUDY = """\
model: mnist
search_space:
  concurrency: {role: scenario, type: int, choices: [1, 4], default: 4}
  cpu: {role: decision, type: float, choices: [0.25, 0.5, 1], default: 1}
  memory: {role: decision, type: int, choices: [8, 64, 256], default: 256}
  replicas: {role: decision, type: int, low: 1, high: 2, default: 1}
  loss: {role: scenario, type: float, choices: [0], default: 0}
load: {min_seconds: 0.5, max_seconds: 1, min_requests: 50}
objectives: [art_ms, cpu_percent]
constraints: [error_rate <= 0.01]
budget: {trials: 8}
baseline_every: 0
search: {sampler: tpe, cut_short: false, confirm: 0}
seed: 3
"""
"""36 configurations; 8 MiB are too few to serve, 64 MiB too few at times."""

EXPECTED = ("seed: 3", "answer: {expected: {concurrency: 4, loss: 0}}\nseed: 3")
"""The change that names the scenario which is recommended for first."""

FEASIBLE = ("[8, 64, 256]", "[256]")
"""The change that leaves the 12 configurations that can serve."""


def specification(*changes: tuple[str, str], name: str = "small") -> StudySpec:
    """The study in the working directory, with parts of its text changed."""
    text = STUDY
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = Path(f"studies/{name}/study.yaml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return load_study(name, Host.this())


def url_of(spec: StudySpec, database: str = "") -> str:
    """The study's own database, or another one beside it."""
    results = results_directory(spec)
    return f"sqlite:///{results / database}.db" if database else default_url(results, "simulated")


def opened(spec: StudySpec, database: str = "", backend: str = "simulated") -> Study:
    return start_or_resume(spec, open_storage(url_of(spec, database), create=True), backend)


def run(
    spec: StudySpec,
    more: int | None = None,
    repeats: tuple[int, ...] = (),
    backend: Backend | None = None,
    observe: Callable[[Event], None] = lambda _: None,
    database: str = "",
) -> Study:
    """Run the study as `tune run` does; `more` and `repeats` are its options."""
    study = opened(spec, database)
    for number in repeats:
        queue_repeat(spec, study, number)
    until = goal(spec, study, more, len(repeats))
    backend = backend or simulated_backend(spec)
    run_study(spec, study, backend, results_directory(spec), until, observe)
    return study


def checked(
    spec: StudySpec,
    watch: Callable[[float], HostUse | None] = lambda _: None,
    backend: str = "docker",
) -> dict[str, Check]:
    """What `tune check` finds for a run with the study's own database, by name."""
    make = partial(backend_named(backend), spec)
    made = checks(spec, results_directory(spec), url_of(spec), make, backend=backend, watch=watch)
    return {check.name: check for check in made}


def configurations(study: Study) -> set[Configuration]:
    """Those of the complete trials."""
    return {t.configuration for t in records(study)}
