from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import pytest

from tests.cli.command import Tune


@pytest.fixture
def measure(tune: Tune) -> Tune:
    """`tune measure --backend simulated`."""
    return partial(tune, "measure", "--backend", "simulated")


def test_one_measurement_is_printed_whole(measure: Tune) -> None:
    ended = measure("--model", "mnist", "--set", "cpu=1", "replicas=2", "concurrency=8", "loss=1")
    assert ended.code == 0, ended.err
    assert "SIMULATED" in ended.out
    assert "cpu=1" in ended.out
    assert "concurrency=8" in ended.out
    for expected in (
        "art_ms",
        "95 % interval",
        "replica  ",
        "the window ended",
        "time went",
    ):
        assert expected in ended.out
    assert not list(Path().iterdir()), "nothing is kept"


def test_repeats_are_put_together(measure: Tune) -> None:
    ended = measure("--model", "mnist", "--repeat", "4")
    assert ended.code == 0, ended.err
    assert [f"[{n}/4] ART" in ended.out for n in range(1, 5)] == [True] * 4
    assert "all 4" in ended.out
    assert "between deployments" in ended.out


def test_json_is_one_document_and_nothing_else(measure: Tune) -> None:
    ended = measure("--model", "mnist", "--set", "cpu=0.5", "--repeat", "3", "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert found["configuration"]["cpu"] == 0.5
    assert len(found["repeats"]) == 3
    one = found["repeats"][0]
    assert (
        one["measurement"]["metrics"]["art_ms"]["low"]
        < one["measurement"]["metrics"]["art_ms"]["high"]
    )
    assert one["measurement"]["verdict"] in {"VALID", "WARN", "INVALID"}
    assert one["seconds"].keys() >= {"deploy", "burst", "tear down"}
    values = [r["measurement"]["metrics"]["art_ms"]["value"] for r in found["repeats"]]
    assert found["together"]["art_ms"]["value"] == pytest.approx(sum(values) / 3)


def test_steps_and_ramps_give_a_row_for_each_level(measure: Tune) -> None:
    steps = measure("--model", "mnist", "--steps", "1,2,4", "--seconds", "2")
    assert steps.code == 0, steps.err
    rows = [line.split()[0] for line in steps.out.splitlines() if line.strip()[:1].isdigit()]
    assert rows == ["1", "2", "4"]
    ramp = measure("--model", "mnist", "--set", "rate=50", "concurrency=8", "--ramp", "10:110")
    assert ramp.code == 0, ramp.err
    assert "100 to 110" in ramp.out
    assert "late" in ramp.out


def test_a_capacity_is_found_and_said_in_a_sentence(measure: Tune) -> None:
    slo = ("--capacity", "--slo", "p95_ms <= 40", "--rate", "5000")
    found = measure("--model", "mnist", "cpu=0.5", *slo)
    assert found.code == 0, found.err
    rows = [line.split() for line in found.out.splitlines() if line.strip()[:1].isdigit()]
    assert len(rows) > 2
    rates = [float(row[0].replace(",", "")) for row in rows]
    assert rates == sorted(rates)
    words = " ".join(found.out.split())
    assert re.search(
        r"Capacity: \d+ \(\d+-\d+\) requests/s hold p95_ms <= 40\. At \d+ requests/s it ", words
    )
    assert re.search(
        r"For 5,000 requests/s deploy \d+ such replicas: 1 replica holds at least \d+", words
    )
    nothing = measure("--model", "mnist", "--capacity", "--slo", "p95_ms <= 0.01")
    assert nothing.code == 3
    assert "It has no capacity: even at 25 requests/s it does not hold: p95 " in nothing.out
    assert measure("--model", "mnist", "memory=8", "--capacity").code == 3


def test_a_configuration_that_cannot_serve_is_a_code_of_its_own(measure: Tune) -> None:
    ended = measure("--model", "mnist", "--set", "memory=8")
    assert ended.code == 3
    assert "infeasible, out of memory" in ended.out
    assert measure("--model", "mnist", "--set", "memory=8", "--steps", "1,2").code == 3
    assert measure("--model", "mnist", "--set", "memory=8", "--json").code == 3


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "--model, --study or --url"),
        (("--model", "mnist", "--study", "mnist"), "--model, --study or --url"),
        (("--model", "mnist", "--trial", "3"), "--trial goes with --study"),
        (("--study", "mnist", "--trial", "3"), "no study database"),
        (("--model", "mnist", "--set", "cup=1"), "did you mean 'cpu'"),
        (("--model", "mnist", "cpu"), "expected name=value"),
        (("--model", "mnist", "--repeat", "0"), "--repeat"),
        (("--model", "mnist", "--steps", "1,x"), "--steps 1,x"),
        (("--model", "mnist", "--ramp", "5"), "--ramp 5"),
        (("--model", "mnist", "--steps", "0,1"), "more than 0"),
        (("--model", "mnist", "--steps", "nan"), "more than 0 and less than 100000"),
        (("--model", "mnist", "--steps", "1,1e400"), "more than 0 and less than 100000"),
        (("--model", "mnist", "--ramp", "1e99:5"), "more than 0 and less than 100000"),
        (("--model", "mnist", "--set", "cpu=["), "--set cpu: expected a number"),
        (("--model", "mnist", "--set", "min_seconds=x"), "expected a number, found 'x'"),
        (("--model", "mnist", "--set", "max_seconds=1e22"), "expected a number <= 86400"),
        (
            ("--model", "mnist", "--set", "replicas=" + "9" * 23),
            "--set replicas: expected 0, or a number between",
        ),
        (
            ("--model", "mnist", "--set", "delay=1e22"),
            "--set delay: expected 0, or a number between",
        ),
        (("--model", "mnist", "--steps", "1", "--json"), "--json"),
        (("--model", "mnist", "--steps", "1", "--capacity"), "--capacity chooses the levels"),
        (("--model", "mnist", "--slo", "p95_ms <= 15"), "--slo and --rate are for --capacity"),
        (("--model", "mnist", "--capacity", "--slo", "p95 < 15"), "expected a constraint"),
    ],
)
def test_bad_input_is_code_2_and_says_what_is_wrong(
    measure: Tune, arguments: tuple[str, ...], expected: str
) -> None:
    ended = measure(*arguments)
    assert ended.code == 2
    assert expected in ended.err
    assert "Traceback" not in ended.err
