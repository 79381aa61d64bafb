from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.cli.command import Tune
from tuner import __version__

STUDY = """\
model: mnist
search_space:
  concurrency: {role: scenario, type: int, choices: [1, 4], default: 4}
  cpu: {role: decision, type: float, choices: [0.25, 0.5, 1], default: 1}
  memory: {role: decision, type: int, choices: [MEMORY], default: MEMORY}
  replicas: {role: decision, type: int, low: 1, high: 2, default: 1}
  loss: {role: scenario, type: float, choices: [0], default: 0}
load: {min_seconds: 0.5, max_seconds: 1, min_requests: 50}
objectives: [art_ms, cpu_percent]
budget: {trials: TRIALS}
search: {sampler: random}
answer: {expected: {concurrency: 4, loss: 0}}
seed: 3
"""


def write_study(name: str = "small", memory: int = 256, trials: int = 4) -> None:
    path = Path(f"studies/{name}/study.yaml")
    path.parent.mkdir(parents=True)
    text = STUDY.replace("MEMORY", str(memory)).replace("TRIALS", str(trials))
    path.write_text(text)


SMALL = ("--study", "small", "--backend", "simulated")


def test_a_run_prints_each_trial_the_front_and_what_to_do_next(tune: Tune) -> None:
    write_study()
    ended = tune("run", *SMALL)
    assert ended.code == 0, ended.err
    assert "SIMULATED" in ended.out
    assert [f"[{n}/4] trial {n - 1}:" in ended.out for n in range(1, 5)] == [True] * 4
    assert "What to deploy in each scenario" in ended.out
    assert "tune run --study small --backend simulated --trials 20" in ended.out
    more = tune("run", *SMALL, "--trials", "2")
    assert more.code == 0
    assert "[6/6] trial 5:" in more.out
    again = tune("run", *SMALL, "--repeat", "1")
    assert again.code == 0
    assert "[7/7] trial 6:" in again.out

    listed = tune("list")
    assert listed.code == 0
    assert ["small", "simulated", "7", "0"] in [line.split() for line in listed.out.splitlines()]
    assert "mnist" in listed.out
    shown = tune("show", *SMALL)
    assert shown.code == 0
    assert "All 7 trials" in shown.out
    assert "SIMULATED" in shown.out
    one = tune("show", *SMALL, "0")
    assert one.code == 0
    assert "art_ms" in one.out
    missing = tune("show", *SMALL, "99")
    assert missing.code == 2
    assert "no finished trial 99" in missing.err
    planned = tune("plan", *SMALL)
    assert planned.code == 0
    assert "median of the 7 trials" in planned.out


@pytest.mark.parametrize("form", ["json", "yaml", "csv"])
def test_every_front_is_exported_as_data(tune: Tune, form: str) -> None:
    write_study()
    tune("run", *SMALL)
    to_output = tune("export", *SMALL, "--format", form, "--pick", "all")
    assert to_output.code == 0
    readers: dict[str, Callable[[str], object]] = {
        "json": json.loads,
        "yaml": yaml.safe_load,
        "csv": lambda text: list(csv.reader(io.StringIO(text))),
    }
    assert readers[form](to_output.out)
    to_file = tune("export", *SMALL, "--format", form, "--pick", "all", "--output", "front")
    assert to_file.code == 0
    assert to_file.out == ""
    assert Path("front").read_text() == to_output.out


def test_the_recommended_trial_is_exported_as_a_compose_file(tune: Tune) -> None:
    write_study()
    tune("run", *SMALL)
    ended = tune("export", *SMALL, "--format", "compose", "--pick", "knee")
    assert ended.code == 0, ended.err
    assert yaml.safe_load(ended.out)["services"]


def test_an_output_that_cannot_be_written_leaves_nothing(tune: Tune) -> None:
    write_study()
    tune("run", *SMALL)
    before = sorted(Path().rglob("*"))
    ended = tune("export", *SMALL, "--output", "missing/front.json")
    assert ended.code == 2
    assert "--output missing/front.json" in ended.err
    assert sorted(Path().rglob("*")) == before


def test_nothing_feasible_is_a_code_of_its_own(tune: Tune) -> None:
    write_study(memory=8)
    ended = tune("run", *SMALL)
    assert ended.code == 3, ended.err
    assert "no feasible trial among 4" in ended.out
    assert "out of memory" in ended.out
    assert tune("export", *SMALL).code == 2


def test_a_new_study_is_planned_at_once(tune: Tune) -> None:
    ended = tune("init", "fresh")
    assert ended.code == 0
    assert "tune plan --study fresh" in ended.out
    planned = tune("plan", "--study", "fresh")
    assert planned.code == 0
    assert "configurations in the full grid" in planned.out
    assert not Path("studies/fresh/results").exists()
    assert tune("init", "fresh").code == 2


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("run", "--study", "mnits"), "did you mean 'mnist'"),
        (("show", "--study", "mnist"), "no study database"),
        (("run", "--study", "mnist", "--trails", "3"), "--trails"),
        (("run", "--study", "mnist", "--trials", "0"), "--trials"),
        (("run", "--study", "mnist", "--backend", "real"), "--backend"),
        (("run",), "--study"),
        (("rnu",), "rnu"),
        (("init", "Not A Name"), "Not A Name"),
        (("image", "build", "--base", "magic"), "magic"),
        (("models", "build", "nothing"), "nothing"),
        (("list", "--storage", "nonsense"), "nonsense"),
        (("show", "--study", "mnist", "--storage", "sqlite:///none.db"), "none.db"),
    ],
)
def test_bad_input_is_code_2_and_says_what_is_wrong(
    tune: Tune, arguments: tuple[str, ...], expected: str
) -> None:
    ended = tune(*arguments)
    assert ended.code == 2
    assert expected in ended.err
    assert "Traceback" not in ended.err
    assert list(Path().iterdir()) == []


def test_the_version_and_the_verbs(tune: Tune) -> None:
    assert tune("--version").out == f"tune {__version__}\n"
    ended = tune("--help")
    assert ended.code == 0
    for verb in ("run", "plan", "check", "show", "list", "dashboard", "export", "init"):
        assert verb in ended.out


def test_help_waits_for_no_heavy_library() -> None:
    heavy = ("optuna", "docker", "pandas", "pyarrow", "pydantic", "scipy", "tensorflow", "torch")
    program = (
        "import sys, tuner.cli.app\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )  # fmt: skip
    found = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "how", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.thorough)]
)
def test_an_interrupted_run_says_how_to_resume(how: signal.Signals) -> None:
    write_study(trials=100_000)
    study = Path("studies/small/study.yaml")
    wide = study.read_text().replace("choices: [0.25, 0.5, 1]", "low: 0.1, high: 2")
    study.write_text(wide)
    command = [sys.executable, "-m", "tuner", "run", *SMALL]
    with (
        Path("log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT) as process,
    ):
        try:
            deadline = time.monotonic() + 60
            while "trial 2:" not in Path("log").read_text() and time.monotonic() < deadline:
                time.sleep(0.05)
            os.kill(process.pid, how)
            code = process.wait(60)
        finally:
            process.kill()
    said = Path("log").read_text()
    assert code == 130, said
    assert "Resume with:\n    tune run --study small --backend simulated\n" in said
    assert "Traceback" not in said


def test_the_live_view_of_a_terminal_follows_the_study() -> None:
    write_study(trials=12)
    program = (
        "import os, pty, sys\n"
        "words = [sys.executable, '-m', 'tuner', 'run', *sys.argv[1:]]\n"
        "sys.exit(os.waitstatus_to_exitcode(pty.spawn(words)))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, *SMALL],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "150"},
    )
    assert ended.returncode == 0, ended.stdout[-2000:]
    assert "12/12 trials" in ended.stdout
    assert "Best against the baseline: " in ended.stdout
    assert "Traceback" not in ended.stdout
