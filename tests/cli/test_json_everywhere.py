"""Every verb that reads prints one JSON document with --json, and nothing beside it."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.cli.command import Tune
from tests.cli.small_study import small_study
from tuner.cli.reference import PAGE, verbs

CHECKOUT = Path(__file__).parents[2]

SMALL = ("--study", "small", "--backend", "simulated")

WRITES = {"run", "dashboard", "init", "image build", "models add", "models build", "models check",
          "models convert", "worker"}  # fmt: skip
"""Verbs that do something, or speak with somebody."""


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def document(text: str) -> Any:  # noqa: ANN401 -- any JSON
    """The one document of `text`; NaN and Infinity are refused."""
    return json.loads(text, parse_constant=_no_number)


def documented(verb: str) -> set[str]:
    """The keys that the reference page names for a verb's document."""
    page = (CHECKOUT / PAGE).read_text(encoding="utf-8")
    row = next(line for line in page.splitlines() if line.startswith(f"| `{verb}` |"))
    outside = re.sub(r"\([^)]*\)", "", row.split("|")[2])
    return set(re.findall(r"`([a-z_]+)`", outside)) - {"null"}


@pytest.fixture(autouse=True)
def _study(_workplace: None) -> None:
    path = Path("studies/small/study.yaml")
    path.parent.mkdir(parents=True)
    path.write_text(small_study(cpu="[0.5, 1]", replicas="[1, 2]", trials=6))


def test_each_reading_verb_prints_one_document_with_the_documented_keys(tune: Tune) -> None:
    assert tune("run", *SMALL).code == 0
    grid = ("run", *SMALL, "--sampler", "grid")
    assert tune(*grid).code == 0
    small = ("--set", "cpu=1", "memory=256", "replicas=1", "concurrency=1", "loss=0")
    asked = {
        "plan": ("plan", *SMALL),
        "list": ("list",),
        "show": ("show", *SMALL),
        "show TRIAL": ("show", *SMALL, "0"),
        "explain": ("explain", *SMALL),
        "measure": ("measure", *SMALL, *small, "max_seconds=1"),
        "compare A B": ("compare", "small", "small", "--backend", "simulated"),
        "compare STUDY": ("compare", "small", "--backend", "simulated"),
        "models list": ("models", "list"),
        "report": ("report", *SMALL, "--output", "small.html"),
    }
    for name, words in asked.items():
        ended = tune(*words, "--json")
        assert ended.code == 0, (name, ended.err)
        found = document(ended.out)
        row = {"models list": "models list`, `models show"}.get(name, name)
        keys = documented(row) - {"failed"}
        assert keys, name
        assert keys <= found.keys(), (name, keys - found.keys(), found.keys())
    confirmed = tune("confirm", *SMALL, "--top", "1", "--reps", "1", "--json")
    assert confirmed.code == 0, confirmed.err
    assert documented("confirm") <= document(confirmed.out).keys()
    assert document(tune("export", *SMALL, "--format", "json").out)["trials"]


def test_verbs_that_read_take_a_study_file(tune: Tune) -> None:
    tune("run", *SMALL)
    export = ("export", *SMALL, "--format", "study", "--output", "small.study.zip")
    assert tune(*export).code == 0
    for words in (("show",), ("show", "0"), ("explain",), ("export", "--pick", "all")):
        from_file = tune(*words, "--study", "small.study.zip", *_json(words))
        assert from_file.code == 0, from_file.err
        assert document(from_file.out) == document(tune(*words, *SMALL, *_json(words)).out)


def _json(words: tuple[str, ...]) -> tuple[str, ...]:
    return () if words[0] == "export" else ("--json",)


def test_a_trial_is_told_with_all_that_is_kept_of_it(tune: Tune) -> None:
    tune("run", *SMALL)
    record = document(tune("show", *SMALL, "0", "--json").out)["record"]
    for key in ("phases", "impairment", "deployment", "measurement", "why", "log_tail", "attempts"):
        assert key in record
    assert record["measurement"]["replicas"]
    told = tune("show", *SMALL, "0").out
    for words in (
        "time went",
        "Deployment",
        "measured (simulated)",
        "95 % interval",
    ):
        assert words in told


def test_a_check_that_fails_is_told_and_is_code_2(
    tune: Tune, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    ended = tune("check", "--study", "small", "--json")
    assert ended.code == 2
    found = document(ended.out)
    assert documented("check") <= found.keys()
    assert not found["ok"]
    engine = next(check for check in found["checks"] if check["name"] == "engine")
    assert not engine["ok"]
    assert engine["mend"]


def test_a_model_is_told(tune: Tune) -> None:
    ended = tune("models", "show", "mnist", "--json")
    assert ended.code == 0
    (model,) = document(ended.out)["models"]
    assert model["name"] == "mnist"
    assert model["origin"] == "shipped"
    names = [m["name"] for m in document(tune("models", "list", "--json").out)["models"]]
    assert "mnist" in names


def test_no_reading_verb_is_without_it() -> None:
    without = {
        verb.name.removeprefix("tune ")
        for verb in verbs()
        if "as_json" not in inspect.signature(verb.call).parameters
    }
    # The format of an export is its own option.
    assert without == WRITES | {"export"}
