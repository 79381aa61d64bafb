"""A service level from the question to its gate: init, run, export, verify."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.command import Tune

NEVER = """\
model: mnist
search_space:
  concurrency: {role: scenario, type: int, choices: [1, 4], default: 4}
  cpu: {role: decision, type: float, choices: [0.5, 1], default: 1}
  memory: {role: decision, type: int, choices: [256], default: 256}
  replicas: {role: decision, type: int, choices: [1], default: 1}
  loss: {role: scenario, type: float, choices: [0], default: 0}
load: {min_seconds: 0.5, max_seconds: 1, min_requests: 50}
objectives: [art_ms, cpu_percent]
constraints: [p95_ms <= 0.001]
budget: {trials: 4}
search: {sampler: random, confirm: 0}
"""


def words(text: str) -> str:
    return " ".join(text.split())


def test_the_cheapest_way_to_hold_it_is_found_exported_and_verified(tune: Tune) -> None:
    made = tune("init", "fast", "--slo", "p95_ms <= 6", "--rate", "100")
    assert made.code == 0, made.err
    space = Path("search_spaces/fast.yaml")
    memory = re.compile(
        r"(?m)(^  memory:(?:\n    .*)*?\n    choices: )\[.*\]((?:.*\n)*?    default: )\d+"
    )
    narrow, found = memory.subn(r"\g<1>[256]\g<2>256", space.read_text())
    assert found == 1
    space.write_text(narrow.replace("high: min(8, 2 * host.cpus)", "high: 2"))
    fast = ("--study", "fast", "--backend", "simulated")
    assert tune("plan", "--study", "fast").code == 0
    ran = tune("run", *fast, "--trials", "8")
    assert ran.code == 0, ran.err
    assert re.search(
        r"Deploy 1 replica with 0\.5 cores and 256 MiB: p95 [\d.]+ \([\d.]+-[\d.]+\) ms at 100"
        r" requests/s, within 6 ms with probability (above )?0\.\d+; 0\.25 cores would miss it"
        r" \(p95 [\d.]+ ms( predicted)?\)",
        words(ran.out),
    ), ran.out
    assert tune("export", *fast, "--format", "compose", "--output", "compose.yaml").code == 0
    verified = tune("verify", "compose.yaml", *fast)
    assert "The constraint p95_ms <= 6 holds: p95 " in words(verified.out)
    assert verified.code in {0, 4}, "the constraint holds, whatever the prediction"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--slo", "p95 < 15", "--rate", "100"), "expected a constraint such as"),
        (("--slo", "p95_ms <= 15"), "holds for one load"),
        (("--rate", "100"), "none is given"),
        (("--slo", "p95_ms <= 15", "--rate", "0"), "expected a number of at least 0.1"),
    ],
)
def test_what_is_no_service_level_is_code_2(
    tune: Tune, arguments: tuple[str, ...], message: str
) -> None:
    refused = tune("init", "fast", *arguments)
    assert refused.code == 2
    assert message in refused.err
    assert "Traceback" not in refused.err
    assert not Path("studies/fast").exists()


def test_where_nothing_is_feasible_the_nearest_miss_is_named_by_run_show_and_export(
    tune: Tune,
) -> None:
    Path("studies/never").mkdir(parents=True)
    Path("studies/never/study.yaml").write_text(NEVER)
    never = ("--study", "never", "--backend", "simulated")
    nearest = re.compile(
        r"no feasible trial among (its )?4.*"
        r" The nearest miss is trial \d \(concurrency=\d .*\): p95"
        r" [\d.]+ \([\d.]+-[\d.]+\) ms where p95_ms <= 0\.001 is asked\."
    )
    ran = tune("run", *never)
    assert ran.code == 3
    shown, exported = tune("show", *never), tune("export", *never)
    assert exported.code == 2
    for text in (ran.out, shown.out, exported.err):
        assert nearest.search(words(text)), text
    # The space has four configurations, so nothing is left to try.
    assert "All 4 configurations of the search space were tried" in words(ran.out)
