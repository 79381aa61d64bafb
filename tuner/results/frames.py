"""Trials as a pandas table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from tuner.measure.record import StudyRecord, TrialRecord
from tuner.results.pooled import Pooled


def trials_frame(study: StudyRecord) -> pd.DataFrame:
    """A row per finished trial, indexed by `trial`, its number.

    Columns: the parameters in the order of the search space (missing where inactive), `outcome`
    (`measured`, `infeasible`, `invalid` or `failed`), `reason`, `feasible`, `verdict`, `seconds`,
    `started`, then each metric in its unit with the ends of its 95 % interval, `NAME_low` and
    `NAME_high` (missing where it has none). Objective values of trials that were not measured are
    missing: the stand-ins that samplers see are no measurements.
    """
    rows = {trial.number: _row(trial) for trial in study.trials}
    for failure in study.failed:
        measured = {} if failure.record is None else _row(failure.record)
        outcome = measured.get("outcome", "failed")
        rows[failure.number] = {
            **measured,
            **failure.configuration,
            "outcome": outcome,
            "reason": failure.reason,
            "feasible": False,
        }
    table = pd.DataFrame.from_dict(dict(sorted(rows.items())), orient="index")
    table.index.name = "trial"
    first = [
        *(p.name for p in study.search_space),
        *("outcome", "reason", "feasible", "verdict", "seconds", "started"),
    ]
    rest = [name for name in table.columns if name not in first]
    return table.reindex(columns=[*first, *rest])


def _row(trial: TrialRecord) -> dict[str, Any]:
    row: dict[str, Any] = {
        **trial.configuration,
        "outcome": trial.outcome,
        "reason": trial.reason,
        "feasible": trial.feasible,
        "verdict": trial.measurement.verdict if trial.measurement else None,
        "seconds": trial.seconds,
        "started": trial.started,
    }
    for name, estimate in (trial.measurement.metrics if trial.measurement else {}).items():
        row[name] = estimate.value
        row[f"{name}_low"], row[f"{name}_high"] = estimate.low, estimate.high
    return row


def front_frame(study: StudyRecord, front: Sequence[Pooled]) -> pd.DataFrame:
    """A row per configuration of a front, indexed by `trial`, the burst nearest to all its bursts.

    Columns: the parameters, `bursts` (how many were measured to the end), and each objective as
    all of them together say it, in its unit, with `NAME_low` and `NAME_high`.
    """
    rows = []
    for pooled in front:
        row: dict[str, Any] = {**pooled.configuration, "bursts": len(pooled.bursts)}
        for index, objective in enumerate(study.objectives):
            estimate, name = pooled.estimate(index), objective.metric
            row |= {
                name: estimate.value,
                f"{name}_low": estimate.low,
                f"{name}_high": estimate.high,
            }
        rows.append(row)
    columns = [*(p.name for p in study.search_space), "bursts"]
    for objective in study.objectives:
        columns += [objective.metric, f"{objective.metric}_low", f"{objective.metric}_high"]
    numbers = pd.Index([pooled.representative.number for pooled in front], name="trial")
    return pd.DataFrame(rows, index=numbers, columns=columns)
