from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.command import Tune
from tests.cli.conftest import _workplace as _workplace  # noqa: PLC0414 -- fixtures, by name
from tests.cli.conftest import tune as tune  # noqa: PLC0414
from tests.pages.conftest import SPACE
from tests.pages.planted_trials import CONCURRENCY, CPU, MEMORY, Truth, surveyed
from tests.study.small import run, specification, url_of
from tuner.pages.blocks import figures
from tuner.pages.report import report
from tuner.render.html import to_html
from tuner.results.study_file import FinishedStudy, write_study
from tuner.spec.load import results_directory
from tuner.spec.space import Condition, Parameter, SearchSpace
from tuner.study.storage import finished_study, open_storage


def test_a_report_of_a_study_and_of_its_file_are_the_same_bytes(tune: Tune) -> None:
    spec = specification(*SPACE[:1], ("trials: 8", "trials: 12"))
    run(spec)
    storage = open_storage(url_of(spec), create=False)
    write_study(Path("kept.study.zip"), finished_study("small", storage, results_directory(spec)))
    ended = tune("report", "--study", "small", "--backend", "simulated", "-o", "a.html")
    assert ended.code == 0, ended.err
    assert re.fullmatch(r"a\.html \(\d\.\d MB\)\n", ended.out)
    Path("studies").rename("gone")  # what is read is the file alone
    again = tune("report", "--study", "kept.study.zip")
    assert again.code == 0, again.err
    assert again.out.startswith("small-report.html (")
    assert Path("a.html").read_bytes() == Path("small-report.html").read_bytes()


def test_the_document_says_where_it_is(tune: Tune, study_file: Path) -> None:
    ended = tune("report", "--study", str(study_file), "--output", "r.html", "--json")
    assert ended.code == 0, ended.err
    size = Path("r.html").stat().st_size
    assert json.loads(ended.out) == {"report": "r.html", "bytes": size, "figures": []}


def test_it_is_written_whole_or_not_at_all(tune: Tune, study_file: Path) -> None:
    ended = tune("report", "--study", str(study_file), "--output", "no/such/r.html")
    assert ended.code == 2
    assert "no/such/r.html cannot be written: No such file or directory" in ended.err
    assert "Traceback" not in ended.err
    assert list(Path().iterdir()) == []


def test_what_is_no_study_is_refused(tune: Tune) -> None:
    assert tune("report", "--study", "none.study.zip").code == 2
    assert tune("report", "--study", "none").code == 2


def test_a_name_of_a_study_is_no_path(tune: Tune, hostile: FinishedStudy) -> None:
    write_study(Path("evil.study.zip"), hostile)
    ended = tune("report", "--study", "evil.study.zip")
    assert ended.code == 0, ended.err
    (written,) = Path().glob("*.html")
    assert re.fullmatch(r"[\w.-]+-report\.html", written.name)


def test_the_sections_stand_in_their_order(small: FinishedStudy) -> None:
    page = report(small)
    assert [s.name for s in page.sections] == [
        "answer",
        "question",
        "fronts",
        "effects",
        "why",
        "requests",
        "progress",
        "environment",
    ]
    assert page.notice.startswith("SIMULATED")
    assert page.pages
    assert all(section.name.startswith("trial-") for section in page.pages)
    names = [figure.name for figure in figures(page)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[a-z0-9-]+", name) for name in names)
    for figure in figures(page):
        assert figure.caption, figure.name
        assert figure.table.rows, figure.name


@pytest.mark.parametrize("count", [0, 1, 6])
def test_a_report_of_little_is_a_report(small: FinishedStudy, count: int) -> None:
    record = replace(small.record, trials=small.record.trials[:count])
    text = to_html(report(FinishedStudy(record, small.sample_file)))
    assert ("Nothing was measured yet" in text) == (count == 0)


BATCHING = Parameter("batching", "categorical", "decision", False, choices=(False, True), flag="b")
BATCH = Parameter(
    *("batch", "int", "decision", 8),
    choices=(8, 16, 32),
    flag="batch",
    when=Condition("batching", "==", (True,)),
)


@pytest.mark.parametrize(
    "parameters",
    [(CONCURRENCY, CPU, MEMORY), (CPU, MEMORY), (CONCURRENCY, CPU, BATCHING, BATCH)],
    ids=["scenarios", "no scenario", "conditional"],
)
@pytest.mark.parametrize("objectives", [1, 3])
def test_any_study_has_a_report_whose_links_lead_somewhere(
    parameters: tuple[Parameter, ...], objectives: int
) -> None:
    truths: dict[str, Truth] = {
        "art_ms": lambda c: 2.0 * c.get("concurrency", 1) / c["cpu"] + c.get("batch", 4) / 10,
        "cpu_percent": lambda c: 10.0 * c["cpu"],
        "p95_ms": lambda c: 8.0 / c["cpu"] + c.get("memory", 0) / 1000,
    }
    some = dict(list(truths.items())[:objectives])
    record = surveyed(SearchSpace(parameters), some)
    page = report(FinishedStudy(record, lambda _: None))
    names = {section.name for section in (*page.sections, *page.pages)}
    linked = set(re.findall("trial-[0-9]+", repr([s.blocks for s in page.sections[:2]])))
    assert linked & names
    assert "<main>" in to_html(page)
