"""`tune compare A B`: by name, by file and by storage, as tables, JSON and a page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import Tune
from tests.cli.small_study import small_study

SIMULATED = ("--backend", "simulated")


@pytest.fixture(autouse=True)
def _studies(_workplace: None) -> None:
    for seed, name in ((3, "before"), (4, "after")):
        path = Path(f"studies/{name}/study.yaml")
        path.parent.mkdir(parents=True)
        path.write_text(small_study(replicas="[1, 2]", trials=6, seed=seed))


def run(tune: Tune) -> None:
    for name in ("before", "after"):
        assert tune("run", "--study", name, *SIMULATED).code == 0


def test_two_studies_are_compared_however_they_are_named(tune: Tune) -> None:
    run(tune)
    told = tune("compare", "before", "after", *SIMULATED)
    assert told.code == 0, told.err
    for words in (
        "SIMULATED",
        "What differs between them",
        "seed",
        "B's ART is ",
        "B / A",
        "Every configuration that both measured to the end, with 95 % intervals",
        "Fronts",
        "clearly ahead",
    ):
        assert words in told.out
    by_name = tune("compare", "before", "after", *SIMULATED, "--json")
    assert by_name.code == 0, by_name.err
    document = json.loads(by_name.out)
    assert document["format"] == 1
    assert document["overall"]["art_ms"]["count"] == len(document["pairs"]) > 0
    assert [d["key"] for d in document["differences"]] == ["seed"]
    assert [s["scenario"] for s in document["scopes"][1:]] == [
        {"concurrency": 1, "loss": 0.0},
        {"concurrency": 4, "loss": 0.0},
    ]

    export = ("export", "--study", "after", *SIMULATED, "--format", "study")
    exported = tune(*export, "--output", "after.study.zip")
    assert exported.code == 0, exported.err
    url = "sqlite:///studies/before/results/simulated.db#before"
    for a, b in (
        ("before", "after.study.zip"),
        (url, "after"),
        ("studies/before/study.yaml", "after.study.zip"),
    ):
        again = tune("compare", a, b, *SIMULATED, "--json")
        assert again.code == 0, again.err
        assert json.loads(again.out) == document


def test_a_study_against_itself_finds_nothing(tune: Tune) -> None:
    run(tune)
    told = tune("compare", "before", "before", *SIMULATED)
    assert told.code == 0, told.err
    assert "Nothing differs in what was asked" in told.out
    assert "is 1 times A's" in told.out
    assert "none differs (after correction" in told.out


def test_the_page_is_written_beside_the_tables(tune: Tune) -> None:
    run(tune)
    told = tune("compare", "before", "after", *SIMULATED, "--json", "--output", "two.html")
    assert told.code == 0, told.err
    json.loads(told.out)
    assert "wrote two.html" in told.err
    html = Path("two.html").read_text()
    assert "<!doctype html>" in html.lower()
    for words in ("before and after", "SIMULATED", "ratio-art-ms", "hypervolumes"):
        assert words in html
    nowhere = tune("compare", "before", "after", *SIMULATED, "--output", "missing/two.html")
    assert nowhere.code == 2
    assert "missing/two.html" in nowhere.err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("before", "after", "--against", "grid"), "--against is for one study"),
        (("before", "--output", "two.html"), "--output is for two studies"),
        (("sqlite:///x.db", "before"), "expected the study's name after #"),
        (("nothing", "before"), "there is no study 'nothing'"),
        (("none.study.zip", "before"), "not a readable study file"),
    ],
)
def test_bad_input_says_what_is_wrong(
    tune: Tune, arguments: tuple[str, ...], expected: str
) -> None:
    ended = tune("compare", *arguments, *SIMULATED)
    assert ended.code == 2
    assert expected in ended.err
    assert "Traceback" not in ended.err


def test_other_objectives_are_an_error_that_says_so(tune: Tune) -> None:
    path = Path("studies/after/study.yaml")
    path.write_text(path.read_text().replace("[art_ms, cpu_percent]", "[p95_ms, cpu_percent]"))
    run(tune)
    ended = tune("compare", "before", "after", *SIMULATED)
    assert ended.code == 2
    assert "different objectives" in ended.err
    assert "minimize p95_ms" in ended.err
