"""Recorded grids whose numbers are chosen, for the tests of this directory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tuner.backends.replay_file import write_table
from tuner.backends.replay_table import RecordedTrial, ReplayTable
from tuner.measure.measurement import Estimate
from tuner.spec.fingerprint import to_dict
from tuner.spec.space import Configuration
from tuner.spec.study import StudySpec

Values = Callable[[Configuration, int], Mapping[str, float] | str]
"""The metrics of a configuration in a pass, or why it could not serve."""

DEPLOY_SECONDS, BURST_SECONDS, TEAR_DOWN_SECONDS = 5.0, 2.0, 1.0


def usual(configuration: Configuration, _grid_pass: int) -> Mapping[str, float] | str:
    """8 MiB are too few; a larger CPU limit serves faster and uses more."""
    if configuration["memory"] == 8:
        return "out of memory"
    cores = float(configuration["cpu"]) * int(configuration["replicas"])
    return {
        "art_ms": int(configuration["concurrency"]) / cores,
        "cpu_percent": 10 * cores,
        "error_rate": 0.0,
    }


def differing(configuration: Configuration, grid_pass: int) -> Mapping[str, float] | str:
    """The usual, each pass a tenth more of everything than the one before."""
    values = usual(configuration, grid_pass)
    if isinstance(values, str):
        return values
    return {name: value * (1 + grid_pass / 10) for name, value in values.items()}


def grid_of(spec: StudySpec, values: Values = usual, passes: int = 2) -> ReplayTable:
    """Every configuration in every pass, ordered by deployment, each of which is made once."""
    trials: list[RecordedTrial] = []
    last = None
    for number in range(passes):
        for configuration in sorted(spec.search_space.grid(), key=_deployment(spec)):
            deployment = (number, _deployment(spec)(configuration))
            stayed, last = deployment == last, deployment
            found = values(configuration, number)
            seconds = (0.0, 0.0) if stayed else (DEPLOY_SECONDS, TEAR_DOWN_SECONDS)
            trial = RecordedTrial(
                len(trials),
                number,
                configuration,
                "infeasible" if isinstance(found, str) else "measured",
                "2026-11-24T09:28:19+00:00",
                reason=found if isinstance(found, str) else "",
                metrics={}
                if isinstance(found, str)
                else {n: Estimate(v, 0.95 * v, 1.05 * v) for n, v in found.items()},
                requests=0 if isinstance(found, str) else 500,
                stayed=stayed,
                deploy_seconds=seconds[0],
                burst_seconds=BURST_SECONDS,
                tear_down_seconds=seconds[1],
            )
            trials.append(trial)
    environment = {"backend": "docker", "host": {"cpus": 2, "memory_mib": 4096}}
    return ReplayTable(spec.name, to_dict(spec), environment, tuple(trials))


def _deployment(spec: StudySpec) -> Callable[[Configuration], str]:
    return lambda configuration: str(spec.search_space.deployment_of(configuration))


def file_of(table: ReplayTable, name: str = "grid.parquet") -> Path:
    """The table in the working directory."""
    write_table(Path(name), table)
    return Path(name)
