"""Trials as JSON, YAML and CSV: all their data, in plain numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tuner.measure.measurement import Estimate
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.results.baseline import Changes, against_baseline
from tuner.results.pooled import pooled
from tuner.spec.metrics import METRICS
from tuner.spec.space import Configuration, Role
from tuner.spec.yaml_text import yaml_text

# History of the format: 1 (first); 2 adds to objectives the interval that is stated, to trials the
# drift and the repeatability behind them, and the calibration to the environment; 3 measures the
# change against the baseline by all bursts of both, and adds its interval.
DOCUMENT_FORMAT = 3


def to_json(study: StudyRecord, trials: Sequence[TrialRecord]) -> str:
    """One JSON document of `trials`; see `trials_document`."""
    return json.dumps(trials_document(study, trials), indent=2, allow_nan=False) + "\n"


def to_yaml(study: StudyRecord, trials: Sequence[TrialRecord]) -> str:
    """The same document in YAML."""
    return yaml_text(trials_document(study, trials))


def to_csv(study: StudyRecord, trials: Sequence[TrialRecord]) -> str:
    """A table with a row per trial.

    Parameters are the columns `param_<name>`, so that none hides another column; the column is
    empty where the parameter is inactive. Metrics are `<name>`, `<name>_low` and `<name>_high` in
    the metric's unit, empty where they were not measured.
    """
    # Not before it is needed: it takes half a second to load, and most commands write no table.
    import pandas as pd  # noqa: PLC0415

    names = [p.name for p in study.search_space]
    columns = [
        "trial",
        "outcome",
        "feasible",
        "backend",
        "verdict",
        *(f"param_{name}" for name in names),
        *(f"{metric}{bound}" for metric in METRICS for bound in ("", "_low", "_high")),
        *(f"violation {constraint}" for constraint in study.constraints),
    ]
    rows = [_row(trial, names) for trial in trials]
    # As objects, so that an empty cell does not turn the whole numbers of its column into floats.
    table = pd.DataFrame(rows, columns=columns, dtype=object)
    text: str = table.to_csv(index=False, lineterminator="\n")
    return text


def trials_document(study: StudyRecord, trials: Sequence[TrialRecord]) -> dict[str, Any]:
    """Plain data (dict, list, str, int, float, bool, None) about the study and `trials`.

    What could not be measured is None, and so is a number that is not finite. An objective's
    `delta_percent` is how far all bursts of its configuration are from all bursts of the baseline
    (`tuner.results.baseline`), `delta_low` to `delta_high` that change's 95 % interval; None where
    one of both was not measured to the end, or the baseline is 0.
    Its interval is the stated one (`StudyRecord.estimate`), that of a metric its burst's own.
    """
    baseline = study.baseline
    changes = against_baseline(study, pooled(study))
    document: dict[str, Any] = json_able(
        {
            "format": DOCUMENT_FORMAT,
            "study": study.name,
            "model": study.model,
            "backend": backend_of_trials(study, trials),
            "environment": study.environment,
            "serving": study.serving,
            "constraints": [str(c) for c in study.constraints],
            "repeatability": {
                name: {"relative_sd": r.relative_sd, "repeats": r.degrees}
                for name, r in study.repeatability.items()
            },
            "baseline": baseline
            and {
                "trial": baseline.number,
                "configuration": _configuration(study, baseline),
                "objectives": _objectives(study, baseline, changes),
            },
            "trials": [_trial(study, t, changes) for t in trials],
        }
    )
    return document


def backend_of_trials(study: StudyRecord, trials: Sequence[TrialRecord]) -> str:
    """The backends of `trials`; only `simulated` where any of them is simulated."""
    names = {t.backend for t in trials} or {str(study.environment.get("backend", "docker"))}
    return "simulated" if "simulated" in names else ", ".join(sorted(names))


def _trial(
    study: StudyRecord, trial: TrialRecord, changes: Mapping[Configuration, Changes]
) -> dict[str, Any]:
    measurement = trial.measurement
    return {
        "trial": trial.number,
        "outcome": trial.outcome,
        "feasible": trial.feasible,
        "backend": trial.backend,
        "started": trial.started,
        "configuration": _configuration(study, trial),
        "objectives": _objectives(study, trial, changes),
        "metrics": {
            name: {**_interval(estimate), "unit": _unit(name)}
            for name, estimate in (measurement.metrics if measurement else {}).items()
        },
        "validity": measurement
        and {
            "verdict": measurement.verdict,
            "findings": [
                {"verdict": f.verdict, "what": f.what, "remedy": f.remedy}
                for f in measurement.findings
            ],
        },
        "violations": trial.violations,
        "drift": (drift := study.drift(trial)) and drift.what,
    }


def _configuration(study: StudyRecord, trial: TrialRecord) -> dict[str, Any]:
    def part(role: Role) -> dict[str, Any]:
        return {p.name: trial.configuration[p.name] for p in active if p.role == role}

    active = [p for p in study.search_space if p.name in trial.configuration]
    return {
        "decision": part("decision"),
        "scenario": part("scenario"),
        "units": {p.name: p.unit for p in active},
    }


def _objectives(
    study: StudyRecord, trial: TrialRecord, changes: Mapping[Configuration, Changes]
) -> dict[str, Any]:
    objectives = {}
    nothing = (None,) * len(study.objectives)
    for i, objective in enumerate(study.objectives):
        by = changes.get(trial.configuration, nothing)[i]
        stated = study.estimate(trial, objective.metric) or Estimate(math.nan)
        objectives[objective.metric] = {
            "value": _objective(trial, i),
            "low": stated.low,
            "high": stated.high,
            "unit": _unit(objective.metric),
            "direction": objective.direction,
            "delta_percent": by and by.value,
            "delta_low": by and by.low,
            "delta_high": by and by.high,
        }
    return objectives


def _objective(trial: TrialRecord, index: int) -> float | None:
    """The measured value; None where the trial has only an imputed one."""
    return None if trial.imputed else trial.values[index]  # noqa: PD011 -- not a data frame


def _interval(estimate: Estimate) -> dict[str, float | None]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def _unit(metric: str) -> str:
    return METRICS[metric].unit


def _row(trial: TrialRecord, names: Sequence[str]) -> dict[str, Any]:
    measurement = trial.measurement
    row: dict[str, Any] = {
        "trial": trial.number,
        "outcome": trial.outcome,
        "feasible": trial.feasible,
        "backend": trial.backend,
        "verdict": measurement.verdict if measurement else None,
    }
    row |= {f"param_{name}": trial.configuration.get(name) for name in names}
    for metric, estimate in (measurement.metrics if measurement else {}).items():
        row |= {
            metric: estimate.value,
            f"{metric}_low": estimate.low,
            f"{metric}_high": estimate.high,
        }
    return row | {f"violation {text}": v for text, v in trial.violations.items()}


def json_able(value: Any) -> Any:  # noqa: ANN401 -- any data in, plain data out
    """`value` as JSON can hold it: without NumPy types and tuples; None for NaN and infinity."""
    match value:
        case Mapping():
            return {str(k): json_able(v) for k, v in value.items()}
        case str():
            return str(value)
        case np.generic() | np.ndarray():
            return json_able(value.tolist())
        case Sequence():
            return [json_able(v) for v in value]
        case float():
            return value if math.isfinite(value) else None
        case None | bool() | int():
            return value
    raise TypeError(f"no plain form of {type(value).__name__}")
