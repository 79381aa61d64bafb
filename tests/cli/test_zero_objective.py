"""An objective that is 0 in every good trial: nothing pretends that it is a little more."""

from __future__ import annotations

import json
import re

import pytest

from tests.cli.command import Tune
from tests.study.small import FEASIBLE, run, specification

SMALL = ("--study", "small", "--backend", "simulated")
EXPORT = ("-f", "compose", "-o", "c.yaml", "--pick", "0")


def written(metric: str) -> None:
    """A study with ART and this metric as objectives, finished."""
    objectives = ("[art_ms, cpu_percent]", f"[art_ms, {metric}]")
    run(specification(FEASIBLE, objectives, ("trials: 8", "trials: 10")))


def no_stand_in(text: str) -> None:
    assert not re.search(r"\de-\d", text), text


@pytest.mark.parametrize(
    "metric",
    [
        "error_rate",
        "throttled_percent",
        pytest.param("major_faults_per_s", marks=pytest.mark.thorough),
    ],
)
def test_what_was_zero_stays_so_and_is_verified(tune: Tune, metric: str) -> None:
    written(metric)
    shown = tune("show", *SMALL)
    no_stand_in(shown.out)
    if metric == "error_rate":
        assert re.search(r"\b0 \(0-0\.", shown.out), "0 of N requests allows a little"
    assert tune("export", *SMALL, *EXPORT).code == 0
    verified = tune("verify", "c.yaml", *SMALL)
    no_stand_in(verified.out)
    assert verified.code == 0, verified.out


def test_the_prediction_of_zero_is_as_wide_as_a_burst_says(tune: Tune) -> None:
    written("error_rate")
    assert tune("export", *SMALL, *EXPORT).code == 0
    judged = json.loads(tune("verify", "c.yaml", *SMALL, "--json").out)["objectives"]["error_rate"]
    predicted, measured = judged["predicted"], judged["measured"]
    assert judged["difference_percent"] is None
    assert predicted["low"] == measured["value"] == 0
    assert measured["high"] < 5 * predicted["high"]
    assert predicted["high"] < 0.1
    no_stand_in(tune("explain", *SMALL).out)
