"""A small study in memory: what every export test needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tuner.export.served import served_by
from tuner.export.workload import ClusterWorkload, workload
from tuner.measure.measurement import Estimate, Finding, Measurement
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.spec.space import Configuration, Parameter, SearchSpace, Value
from tuner.spec.study import Constraint, Objective

SPACE = SearchSpace(
    (
        Parameter("concurrency", "int", "scenario", 1, choices=(1, 8)),
        Parameter("cpu", "float", "decision", 1.0, low=0.5, high=2.0, unit="cores"),
        Parameter("memory", "int", "decision", 192, choices=(192, 256), unit="MiB"),
        Parameter("replicas", "int", "decision", 1, choices=(1, 2)),
        Parameter("loss", "float", "scenario", 0.0, choices=(0.0, 1.0), unit="%"),
        Parameter("threads", "int", "decision", 2, choices=(1, 2), flag="session_threads"),
        Parameter("salt", "categorical", "decision", "a", choices=("a", "$HOME"), env="SALT"),
    )
)
LIMIT = Constraint("p95_ms", "<=", 80.0)
IMAGE = "tune-serving:0123456789ab"


def trial(
    number: int,
    art: float,
    cpu: float,
    p95: float = 20.0,
    configuration: Mapping[str, Value] | None = None,
    backend: str = "docker",
) -> TrialRecord:
    own = {"cpu": 1 + number / 8}  # trial 0 is the baseline
    measurement = Measurement(
        metrics={
            "art_ms": Estimate(art, art * 0.9, art * 1.1),
            "cpu_percent": Estimate(cpu),
            "p95_ms": Estimate(p95),
        },
        findings=(Finding("WARN", "few requests", "measure longer"),),
        requests=500,
        warmup_requests=10,
        window_seconds=2.0,
        stop_reason="precise",
        errors={},
    )
    return TrialRecord(
        number=number,
        configuration=Configuration.of({**SPACE.baseline(), **own, **(configuration or {})}),
        outcome="measured",
        values=(art, cpu),
        violations={str(LIMIT): LIMIT.violation(p95)},
        phases={"burst": 2.0},
        started="2025-01-01T00:00:00+00:00",
        measurement=measurement,
        backend=backend,
    )


def holding(one: TrialRecord, capacity: Estimate, used: float) -> TrialRecord:
    """`one` with a capacity of so many requests/s, at which it used so many cores."""
    assert one.measurement is not None
    own = {"capacity_rps": capacity, "cpu_cores": Estimate(used)}
    metrics = {**one.measurement.metrics, **own}
    return replace(one, measurement=replace(one.measurement, metrics=metrics))


def infeasible(number: int) -> TrialRecord:
    return replace(
        trial(number, 999.0, 99.0),
        outcome="infeasible",
        measurement=None,
        imputed=True,
        reason="out of memory",
        detail="replica 0 was killed",
    )


def study(*trials: TrialRecord) -> StudyRecord:
    return StudyRecord(
        name="small",
        model="half_plus_two",
        search_space=SPACE,
        objectives=(Objective("art_ms", "minimize"), Objective("cpu_percent", "minimize")),
        constraints=(LIMIT,),
        serving={"image": "tune", "flags": {"rest_api_num_threads": "4"}, "env": {"A": "1"}},
        environment={"backend": "docker", "image": IMAGE, "host": {"cpus": np.int64(2)}},
        trials=trials,
        specification={"answer": {"expected": {"concurrency": 1, "loss": 0.0}}},
    )


BUSY = {"concurrency": 8, "loss": 1.0}

FULL = study(
    trial(0, 10.0, 40.0),
    trial(1, 40.0, 10.0),
    trial(2, 12.0, 12.0),
    trial(3, 50.0, 50.0),
    infeasible(4),
    trial(5, 1.0, 1.0, p95=100.0),
    trial(6, 60.0, 60.0, configuration=BUSY),
)

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
"""What may stand in a name or a value; no process can be given a NUL."""

NASTY = (
    'it\'s "$(touch pwned)"',
    "`touch pwned`",
    "${HOME} $HOME $$ $(HOME)",
    "a\nb: c\n- d",
    "x\n# tune.provenance: {}\nservices: {}",
    "--privileged",
    "-e",
    "<script>alert(1)</script>",
    "a\u0085b\u2028c\rd\x1be",
    "{a: [b]} &c *d !e %f @g #h | > '",
    "snowman \u2603 \U0001f600",
    "",
    " ",
    "~",
    "null",
)
"""Texts that mean something to a shell, to YAML, to compose, to Kubernetes or to a terminal."""


def named(name: str, model: str, value: str, **configuration: Value) -> StudyRecord:
    """A study of one trial that has such names, and `value` in a variable and in a flag."""
    one = trial(0, 3.0, 30.0, configuration={"salt": value, **configuration})
    return replace(
        study(one), name=name, model=model, serving={"image": "tune", "flags": {"text": value}}
    )


def made(record: StudyRecord, **options: Any) -> ClusterWorkload:  # noqa: ANN401 -- those of `workload`
    """The first trial of `record` for Kubernetes, under the name `digits`."""
    return workload(served_by(record, record.trials[0]), name="digits", **options)
