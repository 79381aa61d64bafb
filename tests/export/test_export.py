from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from tests.export.small import BUSY, FULL, IMAGE, SPACE, infeasible, study, trial
from tuner.errors import InputError
from tuner.export.compose import to_compose
from tuner.export.pick import only, pick
from tuner.export.served import served_by
from tuner.export.trial_documents import to_csv, to_json, to_yaml
from tuner.measure.record import TrialRecord
from tuner.spec.space import Condition, Parameter, SearchSpace


def numbers(trials: tuple[TrialRecord, ...]) -> list[int]:
    return [t.number for t in trials]


def test_knee_is_the_best_compromise_among_feasible_trials() -> None:
    assert numbers(pick(FULL, "knee")) == [2]


def test_all_are_the_overall_front_and_every_scenario_front_once() -> None:
    assert numbers(pick(FULL, "all")) == [0, 1, 2, 6]


def test_a_number_picks_that_trial_on_a_front_or_not() -> None:
    assert numbers(pick(FULL, "3")) == [3]


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ("best", "cannot pick 'best'"),
        ("-1", "cannot pick '-1'"),
        ("9" * 5000, "cannot pick '9999"),
        ("17", "its trials are 0 to 6"),
        ("4", "trial 4 is infeasible: out of memory: replica 0 was killed"),
        ("5", "trial 5 is infeasible: it breaks p95_ms <= 80 by 20 ms"),
    ],
)
def test_what_cannot_be_picked_is_an_input_error_with_a_mend(choice: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        pick(FULL, choice)
    assert words in caught.value.message
    assert caught.value.mend


@pytest.mark.parametrize("choice", ["knee", "all"])
@pytest.mark.parametrize("trials", [(), (infeasible(0),), (trial(0, 1.0, 1.0, p95=81.0),)])
def test_nothing_feasible_is_an_input_error(choice: str, trials: tuple[TrialRecord, ...]) -> None:
    with pytest.raises(InputError, match="no feasible trial") as caught:
        pick(study(*trials), choice)
    assert caught.value.mend


def test_only_refuses_more_than_one_trial() -> None:
    assert only(pick(FULL, "knee")).number == 2
    with pytest.raises(InputError, match="4 trials are picked: 0, 1, 2, 6") as caught:
        only(pick(FULL, "all"))
    assert "pick one" in caught.value.mend


def test_json_and_yaml_say_the_same_in_plain_data() -> None:
    trials = pick(FULL, "all")
    document = json.loads(to_json(FULL, trials))
    assert yaml.safe_load(to_yaml(FULL, trials)) == document
    assert document["format"] == 3
    assert (document["study"], document["model"]) == ("small", "half_plus_two")
    assert document["backend"] == "docker"
    assert document["environment"]["host"] == {"cpus": 2}
    assert [t["trial"] for t in document["trials"]] == [0, 1, 2, 6]


def test_a_document_has_all_that_is_known_about_a_trial() -> None:
    (found,) = json.loads(to_json(FULL, pick(FULL, "6")))["trials"]
    assert found["configuration"]["scenario"] == BUSY
    assert found["configuration"]["decision"] == {
        "cpu": 1.75,
        "memory": 192,
        "replicas": 1,
        "threads": 2,
        "salt": "a",
    }
    assert found["configuration"]["units"]["memory"] == "MiB"
    assert found["metrics"]["art_ms"] == {
        "value": 60.0,
        "low": pytest.approx(54.0),
        "high": pytest.approx(66.0),
        "unit": "ms",
    }
    assert found["metrics"]["cpu_percent"]["low"] is None
    assert found["validity"] == {
        "verdict": "WARN",
        "findings": [
            {"verdict": "WARN", "what": "few requests", "remedy": "measure longer"},
        ],
    }
    assert found["violations"] == {"p95_ms <= 80": -60.0}


def test_an_objective_has_the_stated_interval_and_a_trial_the_drift_that_it_is_in() -> None:
    repeats = [
        trial(n, art, 40.0, configuration=SPACE.baseline())
        for n, art in enumerate((10.0, 10.0, 10.0, 20.0))
    ]
    other = trial(4, 10.0, 12.0, configuration={"replicas": 2})
    repeated = study(*repeats, other)
    document = json.loads(to_json(repeated, repeated.trials))
    assert document["repeatability"]["art_ms"]["repeats"] == 3
    found = document["trials"][4]
    assert found["metrics"]["art_ms"]["low"] == pytest.approx(9.0), "that of its own burst"
    assert found["objectives"]["art_ms"]["low"] < 9.0
    assert found["drift"] == "art_ms of the baseline was +100% in trial 3"
    assert document["trials"][0]["drift"] is None


def test_deltas_are_percent_of_the_baseline() -> None:
    (found,) = json.loads(to_json(FULL, pick(FULL, "2")))["trials"]
    assert found["objectives"]["art_ms"]["delta_percent"] == pytest.approx(20.0)
    assert found["objectives"]["cpu_percent"]["delta_percent"] == pytest.approx(-70.0)


@pytest.mark.parametrize("first", [infeasible(0), trial(0, 0.0, 0.0)])
def test_without_a_baseline_to_compare_with_there_are_no_deltas(first: TrialRecord) -> None:
    small = study(first, trial(1, 2.0, 3.0, configuration={"replicas": 2}))
    (found,) = json.loads(to_json(small, pick(small, "1")))["trials"]
    assert [o["delta_percent"] for o in found["objectives"].values()] == [None, None]


def test_imputed_values_are_not_exported_as_measurements() -> None:
    (found,) = json.loads(to_json(FULL, [infeasible(4)]))["trials"]
    assert [o["value"] for o in found["objectives"].values()] == [None, None]
    assert found["metrics"] == {}
    assert found["validity"] is None


def test_json_has_no_numbers_that_json_does_not_know() -> None:
    small = study(trial(0, 1.0, math.inf))
    found = json.loads(to_json(small, small.trials), parse_constant=pytest.fail)
    assert found["trials"][0]["metrics"]["cpu_percent"]["value"] is None


def test_a_simulated_backend_is_named() -> None:
    small = study(trial(0, 1.0, 1.0, backend="simulated"))
    assert json.loads(to_json(small, small.trials))["backend"] == "simulated"


def test_csv_has_a_row_per_trial() -> None:
    table = pd.read_csv(io.StringIO(to_csv(FULL, FULL.trials)))
    assert list(table["trial"]) == [0, 1, 2, 3, 4, 5, 6]
    assert table["outcome"][4] == "infeasible"
    assert math.isnan(table["art_ms"][4])
    assert list(table["param_concurrency"]) == [1, 1, 1, 1, 1, 1, 8]
    assert (table["art_ms"][2], table["art_ms_low"][2]) == pytest.approx((12.0, 10.8))
    assert table["violation p95_ms <= 80"][5] == 20.0


def services(text: str) -> dict[str, Any]:
    document = yaml.safe_load(text)
    assert list(document) == ["services"]
    found: dict[str, Any] = document["services"]
    return found


def test_compose_has_a_hardened_limited_service_per_replica(tmp_path: Path) -> None:
    chosen = trial(7, 3.0, 30.0, configuration={"replicas": 2, "cpu": 0.5, "threads": 1})
    found = services(to_compose(served_by(study(chosen), chosen), tmp_path, first_port=9000))
    assert list(found) == ["half_plus_two-0", "half_plus_two-1"]
    assert [s["ports"] for s in found.values()] == [
        ["127.0.0.1:9000:8501", "127.0.0.1:8998:8500"],
        ["127.0.0.1:9001:8501", "127.0.0.1:8999:8500"],
    ]
    assert found["half_plus_two-1"].pop("healthcheck")["test"][:3] == ["CMD", "bash", "-c"]
    assert found["half_plus_two-1"] == {
        "image": IMAGE,
        "command": ["--rest_api_num_threads=4", "--session_threads=1"],
        "environment": {"A": "1", "SALT": "a", "MODEL_NAME": "half_plus_two"},
        "ports": ["127.0.0.1:9001:8501", "127.0.0.1:8999:8500"],
        "volumes": [
            {
                "type": "bind",
                "source": str(tmp_path),
                "target": "/models/half_plus_two",
                "read_only": True,
            }
        ],
        "cpus": 0.5,
        "mem_limit": "192m",
        "memswap_limit": "192m",
        "pids_limit": 1024,
        "user": "65534:65534",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "ipc": "none",
        "sysctls": {"net.ipv4.ip_unprivileged_port_start": "1024"},
        "restart": "unless-stopped",
    }


def test_compose_keeps_a_dollar_sign_from_being_a_variable(tmp_path: Path) -> None:
    chosen = trial(0, 3.0, 30.0, configuration={"salt": "$HOME"})
    found = services(to_compose(served_by(study(chosen), chosen), tmp_path / "a$b"))
    assert found["half_plus_two-0"]["environment"]["SALT"] == "$$HOME"
    assert found["half_plus_two-0"]["volumes"][0]["source"] == f"{tmp_path}/a$$b"


def test_compose_gives_another_image_its_writable_directory(tmp_path: Path) -> None:
    chosen = trial(0, 3.0, 30.0)
    reference = "tensorflow/serving:2.19.1"
    official = replace(
        study(chosen), serving={"image": reference}, environment={"image": reference}
    )
    (service,) = services(to_compose(served_by(official, chosen), tmp_path)).values()
    assert service["image"] == reference
    assert service["tmpfs"] == ["/tmp:rw,noexec,nosuid,size=16m"]
    assert service["command"] == ["--session_threads=2"]


def test_compose_says_what_was_measured_and_where(tmp_path: Path) -> None:
    chosen = trial(7, 3.0, 30.0, configuration={"replicas": 2, **BUSY})
    text = to_compose(served_by(study(chosen), chosen), tmp_path)
    header = text[: text.index("services:")]
    assert "Study small, model half_plus_two, trial 7." in header
    assert "replicas=2" in header
    assert "# Measured: ART (ms) 3 (2.61-3.45)\n" in header
    assert "# Measured: CPU usage (% of host) 30 (27.2-33.1)\n" in header
    assert "Scenario in which that was measured: concurrency=8 loss=1" in header
    assert "spread their requests over all ports: 127.0.0.1:8501, 127.0.0.1:8502" in header
    assert "SIMULATED" not in header


def test_compose_of_a_simulated_trial_warns_and_names_an_image(tmp_path: Path) -> None:
    chosen = trial(0, 3.0, 30.0, backend="simulated")
    simulated = replace(study(chosen), environment={"backend": "simulated"})
    text = to_compose(served_by(simulated, chosen), tmp_path)
    assert "WARNING: SIMULATED" in text
    assert "Simulated: ART (ms) 3" in text
    assert "easured:" not in text
    assert services(text)["half_plus_two-0"]["image"].startswith("tune-serving:")


@pytest.mark.parametrize("first_port", [0, 65535])
def test_compose_refuses_ports_that_do_not_exist(tmp_path: Path, first_port: int) -> None:
    chosen = trial(0, 3.0, 30.0, configuration={"replicas": 2})
    with pytest.raises(InputError, match="within 1 to 65535"):
        to_compose(served_by(study(chosen), chosen), tmp_path, first_port)


CONDITIONAL = SearchSpace(
    (
        *SPACE,
        Parameter(
            "batching", "categorical", "decision", False, choices=(False, True), flag="batching"
        ),
        Parameter(
            "size",
            "int",
            "decision",
            4,
            choices=(4, 16),
            unit="examples",
            flag="batch_size",
            when=Condition("batching", "==", (True,)),
        ),
    )
)


def test_an_inactive_parameter_is_in_no_export() -> None:
    off = trial(0, 10.0, 40.0, configuration={"batching": False})
    on = trial(1, 5.0, 20.0, configuration={"batching": True, "size": 16})
    found = replace(study(off, on), search_space=CONDITIONAL)
    without, with_size = (
        one["configuration"] for one in json.loads(to_json(found, found.trials))["trials"]
    )
    assert (without["decision"]["batching"], with_size["decision"]["size"]) == (False, 16)
    assert "size" not in {**without["decision"], **without["units"]}
    assert with_size["units"]["size"] == "examples"
    rows = list(csv.DictReader(io.StringIO(to_csv(found, found.trials))))
    assert [(row["param_batching"], row["param_size"]) for row in rows] == [
        ("False", ""),
        ("True", "16"),
    ]
    commands = [
        yaml.safe_load(to_compose(served_by(found, one), Path("/versions")))["services"][
            "half_plus_two-0"
        ]
        for one in found.trials
    ]
    assert "--batching=false" in commands[0]["command"]
    assert not any("batch_size" in word for word in commands[0]["command"])
    assert {"--batching=true", "--batch_size=16"} <= set(commands[1]["command"])
