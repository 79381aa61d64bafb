from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.cli.command import Tune

STUDY = """\
model: mnist
search_space:
  concurrency: {role: scenario, type: int, choices: [1, 4], default: 4}
  cpu: {role: decision, type: float, choices: [0.5, 1], default: 1}
  memory: {role: decision, type: int, choices: [8, 256], default: 256}
  replicas: {role: decision, type: int, choices: [1], default: 1}
  loss: {role: scenario, type: float, choices: [0], default: 0}
load: {min_seconds: 0.5, max_seconds: 1, min_requests: 50}
objectives: [art_ms, cpu_percent]
budget: {trials: 2}
search: {sampler: random, confirm: 0}
seed: 3
"""


HAS_TORCH = importlib.util.find_spec("torch") is not None

SMALL = ("--study", "small", "--backend", "simulated")


@pytest.fixture(autouse=True)
def _studies(_workplace: None) -> None:
    for name in ("small", "other"):
        path = Path(f"studies/{name}/study.yaml")
        path.parent.mkdir(parents=True)
        path.write_text(STUDY)


def test_a_full_grid_says_its_time_first_and_has_a_database_of_its_own(tune: Tune) -> None:
    ended = tune("run", *SMALL, "--sampler", "grid", "--passes", "2")
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    grid = next(line for line in lines if line.startswith("Full grid"))
    assert "8 configurations in 4 deployments, each 2 times: about" in grid
    assert lines.index(grid) < next(i for i, line in enumerate(lines) if line.startswith("[1/16]"))
    assert any(line.startswith("[16/16] trial") for line in lines)
    assert "of the same deployment" in ended.out
    assert ", deployment reused)" in ended.out
    results = Path("studies/small/results")
    assert (results / "simulated-grid.db").exists()
    assert not (results / "simulated.db").exists()
    assert "simulated-grid.db " in ended.out.splitlines()[-1], "the next command means it"
    assert tune("run", *SMALL).code == 0
    assert (results / "simulated.db").exists()


def test_a_sampler_may_be_given_for_a_run(tune: Tune) -> None:
    ended = tune("run", *SMALL, "--sampler", "qmc")
    assert ended.code == 0, ended.err
    assert "[2/2]" in ended.out
    assert tune("run", *SMALL, "--sampler", "best").code == 2


def test_passes_are_for_the_grid_only(tune: Tune) -> None:
    ended = tune("run", *SMALL, "--passes", "2")
    assert ended.code == 2
    assert "--passes is for the full grid only" in ended.err


def test_a_study_may_begin_with_what_another_one_knows(tune: Tune) -> None:
    missing = tune("run", *SMALL, "--warm-start", "other")
    assert missing.code == 2
    assert "--warm-start other" in missing.err
    assert "Traceback" not in missing.err
    able = STUDY.replace("[8, 256]", "[128, 256]")
    Path("studies/other/study.yaml").write_text(able)
    assert tune("run", "--study", "other", "--backend", "simulated", "--trials", "8").code == 0
    ended = tune("run", *SMALL, "--warm-start", "other")
    assert ended.code == 0, ended.err


def test_a_study_that_has_converged_says_so(tune: Tune) -> None:
    path = Path("studies/small/study.yaml")
    text = STUDY.replace("sampler: random,", "sampler: bayes, converged: 0.9,")
    path.write_text(text.replace("trials: 2", "trials: 8"))
    ended = tune("run", *SMALL)
    assert ended.code == 0, ended.err
    assert "Converged: a further trial is expected to enlarge the hypervolume by" in ended.out
    assert "[8/8]" not in ended.out


def test_the_plan_shows_the_grid_in_deployments_and_ordered_by_them(tune: Tune) -> None:
    ended = tune("plan", *SMALL)
    assert ended.code == 0, ended.err
    found = [" ".join(line.split()) for line in ended.out.splitlines()]
    assert "configurations in the full grid 8" in found
    assert "deployments in the full grid 4" in found
    assert any(line.startswith("... ordered by deployment") for line in found)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param(
            ("--sampler", "gp", "--backend", "simulated"),
            "needs PyTorch",
            marks=pytest.mark.skipif(HAS_TORCH, reason="PyTorch is installed"),
        ),
        (("--backend", "replay", "--replay", "broken.parquet"), "not a readable Parquet file"),
    ],
    ids=["gp without PyTorch", "a broken grid"],
)
def test_what_cannot_run_leaves_no_database(
    tune: Tune, arguments: tuple[str, ...], expected: str
) -> None:
    Path("broken.parquet").write_text("broken")
    ended = tune("run", "--study", "small", *arguments)
    assert ended.code == 2
    assert expected in ended.err
    assert not Path("studies/small/results").exists()
