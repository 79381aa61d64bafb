"""Recorded grids from the command line: measured, exported, replayed, compared with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import Tune
from tests.cli.small_study import small_study
from tuner.backends.replay_file import read_table

SMALL = ("--study", "small")


@pytest.fixture(autouse=True)
def _study(_workplace: None) -> None:
    path = Path("studies/small/study.yaml")
    path.parent.mkdir(parents=True)
    path.write_text(small_study())


def test_a_grid_is_measured_exported_replayed_and_compared_with(tune: Tune) -> None:
    grid = ("run", *SMALL, "--backend", "simulated", "--sampler", "grid", "--passes", "2")
    assert tune(*grid).code == 0
    export = ("export", *SMALL, "--backend", "simulated", "--format", "replay")
    exported = tune(*export, "--output", "grid.parquet")
    assert exported.code == 0, exported.err
    assert "6 configurations, 2 whole passes" in exported.err
    table = read_table(Path("grid.parquet"))
    assert table.passes == (0, 1)
    assert len(table.by_configuration) == 6

    replay = ("--backend", "replay", "--replay", "grid.parquet")
    ran = tune("run", *SMALL, *replay)
    assert ran.code == 0, ran.err
    assert "REPLAY" in ran.out
    assert "SIMULATED" in ran.out  # what was recorded was simulated
    assert "[4/4]" in ran.out
    assert "Requests:" not in ran.out
    assert "--backend replay --replay grid.parquet --trials 20" in ran.out  # 2 are left
    assert "tune verify" not in ran.out  # a recorded grid deploys nothing
    assert Path("studies/small/results/replay.db").exists()
    assert ["small", "replay", "4", "0"] in [s.split() for s in tune("list").out.splitlines()]
    compose = tune("export", *SMALL, "--backend", "replay", "--format", "compose")
    assert "WARNING: SIMULATED" in compose.out

    compared = tune("compare", "small", "--backend", "replay", "--against", "grid.parquet")
    assert compared.code == 0, compared.err
    assert "against the grid small (simulated, 2 whole passes" in compared.out
    assert "HV share" in compared.out
    assert "66.7 %" in compared.out  # four of six configurations
    assert "where both measured" in compared.out

    whole = tune("run", *SMALL, *replay, "--trials", "20")
    assert "--backend replay --format compose" in whole.out
    assert "tune verify" not in whole.out

    tune("run", *SMALL, "--backend", "simulated")
    own = tune("compare", "small", "--backend", "simulated", "--json")
    assert own.code == 0, own.err
    document = json.loads(own.out)
    assert document["trials_share"] == pytest.approx(4 / 6)
    assert document["passes"] == 2
    url = f"sqlite:///{Path('studies/small/results/simulated-grid.db')}"
    for against in (url, f"{url}#small", "small"):
        again = tune("compare", "small", "--backend", "simulated", "--json", "--against", against)
        assert json.loads(again.out) == document


def test_a_grid_in_the_benchmarks_stands_in_for_the_study_s_own(tune: Tune) -> None:
    tune("run", *SMALL, "--backend", "simulated", "--sampler", "grid")
    tune("run", *SMALL, "--backend", "simulated")
    Path("benchmarks/data").mkdir(parents=True)
    output = "benchmarks/data/small-grid.parquet"
    export = ("export", *SMALL, "--backend", "simulated", "--format", "replay")
    assert tune(*export, "--output", output).code == 0
    Path("studies/small/results/simulated-grid.db").unlink()
    compared = tune("compare", "small", "--backend", "simulated")
    assert compared.code == 0, compared.err
    assert "1 whole pass," in compared.out
    assert "measured once" in compared.out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("run", *SMALL, "--backend", "replay"), "--backend replay and --replay FILE go together"),
        (("run", *SMALL, "--replay", "grid.parquet"), "--backend replay and --replay FILE"),
        (
            ("run", *SMALL, "--backend", "replay", "--replay", "none.parquet"),
            "none.parquet: not a readable Parquet file",
        ),
        (("measure", *SMALL, "--backend", "replay"), "needs a recorded grid"),
        (("export", *SMALL, "--format", "replay"), "--output FILE.parquet"),
        (
            ("export", *SMALL, "--format", "replay", "--output", "grid.parquet"),
            "no study database at",
        ),
        (("compare", "small"), "no study database at"),
    ],
)
def test_bad_input_is_code_2_and_says_what_is_wrong(
    tune: Tune, arguments: tuple[str, ...], expected: str
) -> None:
    ended = tune(*arguments)
    assert ended.code == 2
    assert expected in ended.err
    assert "Traceback" not in ended.err


def test_where_no_grid_is_the_message_names_both_places(tune: Tune) -> None:
    tune("run", *SMALL, "--backend", "simulated", "--trials", "1")
    ended = tune("compare", "small", "--backend", "simulated")
    assert ended.code == 2
    assert "results/simulated-grid.db" in ended.err
    assert "benchmarks/data/small-grid.parquet" in ended.err
    assert "--sampler grid" in ended.err
