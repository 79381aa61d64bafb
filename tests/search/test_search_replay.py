from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from benchmarks.search_replay import replayed
from benchmarks.search_runs import Source, smoothed_grid
from tests.search.small_problem import ROW, SMALL
from tuner.backends.replay_file import write_table
from tuner.backends.replay_table import RecordedTrial, ReplayTable
from tuner.errors import InputError
from tuner.measure.measurement import Estimate


def written(path: Path, *, passes: int = 2, direction: str = "minimize", absent: int = 0) -> Path:
    """A grid of SMALL, each pass 4 times slower; replicas=3 fails in the first pass only."""
    trials: list[RecordedTrial] = []
    for number in range(passes):
        for at in SMALL.configurations:
            row = ROW[int(at["replicas"]), float(at["loss"])]
            able = SMALL.feasible[row] and not (number == 0 and at["replicas"] == 3)
            values = (SMALL.truth[row] * 4.0**number).tolist()
            metrics = {
                name: Estimate(v, v * (1 - 1.96 * 0.1), v * (1 + 1.96 * 0.1))
                for name, v in zip(SMALL.metrics, values, strict=True)
            }
            trials.append(
                RecordedTrial(
                    number=len(trials),
                    pass_number=number,
                    configuration=at,
                    outcome="measured" if able else "infeasible",
                    started="2026-01-01T00:00:00+00:00",
                    metrics=metrics if able else {},
                    deploy_seconds=3.0,
                    tear_down_seconds=1.0,
                    burst_seconds=2.5,
                )
            )
    if absent:
        trials = [t for t in trials if t.configuration != SMALL.configurations[-1]]
    specification = {
        "search_space": {
            p.name: {key: value for key, value in asdict(p).items() if key != "name"}
            for p in SMALL.space
        },
        "objectives": [{"metric": m, "direction": direction} for m in SMALL.metrics],
        "constraints": [],
        "model": {"name": "small"},
        "serving": {},
        "load": {},
    }
    environment = {"host": {"cpus": 2}}
    write_table(path, ReplayTable("small", specification, environment, tuple(trials)))
    return path


def test_the_truth_is_the_geometric_mean_of_the_passes(tmp_path: Path) -> None:
    at = replayed(written(tmp_path / "grid.parquet"))
    assert (at.name, at.metrics, at.host_cpus) == ("small", SMALL.metrics, 2.0)
    one = ROW[1, 0.0]
    np.testing.assert_allclose(at.truth[one], 2 * SMALL.truth[one], rtol=1e-6)
    # Infeasible in one pass of two; feasible in two of three.
    assert np.isnan(at.truth[ROW[3, 0.0]]).all()
    three = replayed(written(tmp_path / "three.parquet", passes=3))
    np.testing.assert_allclose(three.truth[ROW[3, 0.0]], 8 * SMALL.truth[ROW[3, 0.0]], rtol=1e-6)


def test_measuring_takes_a_recorded_burst_and_its_interval(tmp_path: Path) -> None:
    at = replayed(written(tmp_path / "grid.parquet"))
    rng = np.random.default_rng(0)
    several = [at.measure(ROW[2, 0.0], rng) for _ in range(40)]
    assert {round(float(m.values[0]), 3) for m in several if m is not None} == {50.0, 200.0}
    np.testing.assert_allclose([m.relative_sd for m in several if m is not None], 0.1, rtol=1e-4)
    sometimes = [at.measure(ROW[3, 0.0], rng) is None for _ in range(40)]
    assert 0 < sum(sometimes) < 40
    assert all(at.measure(ROW[3, 1.0], rng) is None for _ in range(5))


def test_costs_are_the_recorded_ones(tmp_path: Path) -> None:
    at = replayed(written(tmp_path / "grid.parquet"))
    assert at.seconds([ROW[1, 0.0], ROW[1, 1.0], ROW[2, 1.0]]).tolist() == [6.5, 9.0, 15.5]
    assert at.grid_seconds == pytest.approx(4 * 4.0 + 8 * 2.5)
    assert not at.independent


def test_the_smoothed_truth_lies_among_the_passes(tmp_path: Path) -> None:
    path = written(tmp_path / "grid.parquet")
    mean, smoothed = replayed(path), replayed(path, "smoothed")
    np.testing.assert_array_equal(mean.feasible, smoothed.feasible)
    ratios = (smoothed.truth / mean.truth)[mean.feasible]
    assert (ratios > 0.4).all()
    assert (ratios < 2.5).all()
    assert not np.allclose(ratios, 1.0)


def test_the_model_smooths_a_grid_that_was_measured_once(tmp_path: Path) -> None:
    source = Source("grid", written(tmp_path / "grid.parquet"))
    found = [smoothed_grid(source, seed) for seed in range(3)]
    # Each burst is off by a factor of 2, one way or the other.
    assert np.median([m.art_error for m in found]) < np.log(2)


def test_a_grid_that_lacks_a_configuration_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"1 of 8 .* replicas=4 loss=1"):
        replayed(written(tmp_path / "grid.parquet", absent=1))


def test_an_objective_to_maximise_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="maximised"):
        replayed(written(tmp_path / "grid.parquet", direction="maximize"))
