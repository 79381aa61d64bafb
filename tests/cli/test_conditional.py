"""What the command line prints of parameters that are there only at times."""

from __future__ import annotations

from pathlib import Path

from tests.cli.command import Tune

STUDY = """\
model: mnist
search_space:
  concurrency: {role: scenario, type: int, choices: [1, 4], default: 4}
  cpu: {role: decision, type: float, choices: [1], default: 1}
  memory: {role: decision, type: int, choices: [256], default: 256}
  replicas: {role: decision, type: int, low: 1, high: 1, default: 1}
  loss: {role: scenario, type: float, choices: [0], default: 0}
  delay: {role: scenario, type: float, choices: [0, 20], default: 0}
  jitter: {role: scenario, type: float, choices: [2], default: 2, when: delay != 0}
  batching: {role: decision, type: categorical, choices: [false, true], default: false, flag: b}
  size: {role: decision, type: int, choices: [4, 16], default: 4, flag: s, when: "CONDITION"}
load: {min_seconds: 0.5, max_seconds: 1, min_requests: 50}
budget: {trials: 20}
search: {sampler: random}
baseline_every: 0
"""
SMALL = ("--study", "small", "--backend", "simulated")


def write(condition: str = "batching == true") -> None:
    path = Path("studies/small/study.yaml")
    path.parent.mkdir(parents=True)
    path.write_text(STUDY.replace("CONDITION", condition))


def test_tables_show_a_dash_and_a_page_shows_nothing(tune: Tune) -> None:
    write()
    code, out, err = tune("run", *SMALL)
    assert code == 0, err
    # 2 levels of concurrency x (1 + 1) networks x (1 + 2) of batching.
    assert "[12/20]" in out
    assert "[13/20]" not in out
    ended = [line.split() for line in out.splitlines()]
    scenarios = {tuple(line[:4]) for line in ended if line[2:3] in (["0"], ["20"])}
    assert {("1", "0", "0", "-"), ("1", "0", "20", "2"), ("4", "0", "20", "2")} <= scenarios
    code, out, _ = tune("show", *SMALL)
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    first = next(line for line in lines if line[:1] == ["0"])
    assert first[1:10] == ["4", "1", "256", "1", "0", "0", "-", "false", "-"]
    fronts = {(line[0], *line[4:7]) for line in lines if len(line) > 7}
    assert {("1", "0", "0", "-"), ("4", "0", "20", "2")} <= fronts
    code, out, _ = tune("show", *SMALL, "0")
    assert code == 0
    shown = {line.split()[0] for line in out.splitlines() if line.strip()}
    assert "batching" in shown
    assert not {"size", "jitter"} & shown


def test_the_plan_says_when_a_parameter_is_there(tune: Tune) -> None:
    write("batching in [true]")
    code, out, _ = tune("plan", *SMALL)
    assert code == 0
    assert "size (decision, when batching in [true])" in out
    assert "jitter (scenario, when delay != 0)" in out
    words = [line.split() for line in out.splitlines()]
    assert ["configurations", "in", "the", "full", "grid", "12"] in words
    assert ["scenarios", "4"] in words


def test_a_wrong_condition_is_code_2_with_file_line_and_key(tune: Tune) -> None:
    write("batching == yep")
    code, _, err = tune("run", *SMALL)
    assert code == 2
    assert "studies/small/study.yaml:11: search_space.size.when: 'batching' is never 'yep'" in err
    assert not Path("studies/small/results").exists()


def test_one_configuration_by_hand(tune: Tune) -> None:
    write()
    code, out, err = tune("measure", *SMALL, "--set", "batching=true")
    assert code == 0, err
    assert "batching=True size=4" in out
    code, _, err = tune("measure", *SMALL, "--set", "size=16")
    assert code == 2
    assert "--set size: has no effect, because batching == true does not hold" in err
