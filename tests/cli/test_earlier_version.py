"""A study that the version before wrote (record format 3) is read, and gone on with.

The database has sixteen finished trials, three of which ran out of memory, and one that waits,
queued as that version did.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.cli.command import Tune
from tuner.study.storage import open_storage, optuna_study, records

DATABASE = Path(__file__).parents[1] / "data" / "study-of-record-format-3.db.gz"
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
budget: {trials: 16}
seed: 3
"""
OF_IT = ("--study", "before", "--backend", "simulated")


@pytest.fixture(autouse=True)
def _before() -> None:
    results = Path("studies/before/results")
    results.mkdir(parents=True)
    (results / "simulated.db").write_bytes(gzip.decompress(DATABASE.read_bytes()))
    (results.parent / "study.yaml").write_text(STUDY)


def test_it_is_read() -> None:
    study = optuna_study(
        "before", open_storage("sqlite:///studies/before/results/simulated.db", create=False)
    )
    found = records(study)
    assert [t.number for t in found] == list(range(16))
    assert [t.number for t in found if t.outcome == "infeasible"] == [4, 13, 14]
    assert {t.environment for t in found} == {""}
    assert all(t.to_json()["format"] == 6 for t in found)


def test_it_is_shown_reported_and_exported(tune: Tune) -> None:
    shown = tune("show", *OF_IT, "--json")
    assert shown.code == 0
    assert json.loads(shown.out)
    for arguments in (
        ("show", *OF_IT),
        ("show", *OF_IT, "13"),
        ("explain", *OF_IT),
        ("report", *OF_IT),
        ("export", *OF_IT, "--format", "compose", "--when", "concurrency=4"),
        ("export", *OF_IT, "--format", "study", "--output", "before.study.zip"),
        ("show", "--study", "before.study.zip"),
    ):
        ended = tune(*arguments)
        assert ended.code == 0, (arguments, ended.err)


def test_it_goes_on(tune: Tune) -> None:
    assert tune("run", *OF_IT, "--trials", "3").code == 0
    study = optuna_study(
        "before", open_storage("sqlite:///studies/before/results/simulated.db", create=False)
    )
    found = records(study)
    assert len(found) == 19
    repeated, *new = found[16:]
    assert repeated.configuration == found[2].configuration, "what waited is measured first"
    assert all(t.why["reason"] for t in new)
    assert {t.environment for t in found[16:]} != {""}
    assert tune("show", *OF_IT).code == 0
