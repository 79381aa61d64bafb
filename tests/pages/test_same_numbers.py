"""A number that several answers show is the same number in each of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from tuner.export.findings_document import document
from tuner.export.header import header
from tuner.export.served import served_by
from tuner.measure.measurement import Estimate
from tuner.pages.blocks import (
    Block,
    Cell,
    Commands,
    Facts,
    Figure,
    Link,
    Log,
    Page,
    Points,
    Table,
    Words,
)
from tuner.pages.note import study_note
from tuner.pages.report import report
from tuner.pages.study_page import study_blocks
from tuner.render.terminal import plain_text
from tuner.results.study_file import FinishedStudy
from tuner.results.summary import summarise
from tuner.results.wording import (
    chance,
    counted,
    difference,
    figure,
    interval,
    percent,
    percent_interval,
)

Json = Any
"""What `tune show --json` prints."""


def cell_texts(cells: tuple[Cell, ...]) -> Iterator[str]:
    return (cell.text if isinstance(cell, Link) else cell for cell in cells)


def block_texts(block: Block) -> Iterator[str]:
    match block:
        case Words(text):
            yield text
        case Facts(rows):
            yield from (f"{name}: {' '.join(cell_texts((cell,)))}" for name, cell in rows)
        case Points(title, items):
            yield from (title, *items)
        case Table():
            yield from (" | ".join(cell_texts(row)) for row in (block.columns, *block.rows))
        case Figure():
            yield from (block.caption, *block_texts(block.table))
        case Log(text=text) | Commands(text=text):
            yield text


def page_text(page: Page) -> str:
    sections = (*page.sections, *page.pages)
    lines = (line for s in sections for block in s.blocks for line in block_texts(block))
    return "\n".join((page.title, page.subtitle, page.notice, *lines))


def recommended(found: Json) -> Json:
    """What is recommended for the scenario that the study expects."""
    expected = found["expected"]
    return next(r for r in found["recommended"] if r["scenario"] == expected)


def elsewhere(found: Json) -> Json:
    """What is recommended in the first scenario."""
    return found["recommended"][0]


def estimate(of: Json, metric: str) -> str:
    return interval(Estimate(**of["objectives"][metric]))


def value(of: Json, metric: str) -> str:
    return figure(of["objectives"][metric]["value"])


def change(found: Json, metric: str) -> str:
    number = found["fronts"]["overall"]["front"][0]["trial"]
    of = next(t for t in found["trials"] if t["trial"] == number)["objectives"][metric]
    by = Estimate(of["delta_percent"], of["delta_low"], of["delta_high"])
    return f"{difference(by)}"


def infeasible(found: Json) -> str:
    return f"{sum(not t['feasible'] for t in found['trials'])} of them infeasible"


def worst_uncertainty(found: Json) -> str:
    worst = max(f["hypervolume_relative_sd"] for f in found["findings"]["scenarios"])
    return f"it is {percent(worst)}"


def between_bursts(found: Json) -> str:
    return f"ART {figure(100 * found['findings']['between_bursts']['art_ms'])} %"


def predicted(found: Json, metric: str) -> str:
    (first, *_) = found["findings"]["scenarios"][0]["predicted_front"]
    return estimate(first, metric)


def regret(found: Json) -> str:
    of = found["findings"]["least_regret"]
    return f"{percent_interval(Estimate(of['regret'], of['low'], of['high']))} behind"


NUMBERS: Mapping[str, tuple[Callable[[Json], str], str]] = {
    "ART of what is recommended": (
        lambda found: estimate(recommended(found), "art_ms"),
        "report note export terminal",
    ),
    "CPU usage of what is recommended": (
        lambda found: estimate(recommended(found), "cpu_percent"),
        "report note export terminal",
    ),
    "how sure that is": (
        lambda found: chance(recommended(found)["chance"]),
        "report note export terminal",
    ),
    "its trial": (lambda found: str(recommended(found)["trial"]), "report note export terminal"),
    "ART at the fast end against the baseline": (
        lambda found: change(found, "art_ms"),
        "note terminal",
    ),
    "CPU usage there against the baseline": (
        lambda found: change(found, "cpu_percent"),
        "note terminal",
    ),
    "ART of what is recommended in another scenario": (
        lambda found: value(elsewhere(found), "art_ms"),
        "report note terminal",
    ),
    "what that reserves": (
        lambda found: f"{elsewhere(found)['reserved']['mib']:g}",
        "report note terminal",
    ),
    "ART at the fast end of the front": (
        lambda found: estimate(found["fronts"]["overall"]["front"][0], "art_ms"),
        "report note terminal",
    ),
    "CPU usage at its other end": (
        lambda found: estimate(found["fronts"]["overall"]["front"][-1], "cpu_percent"),
        "report note terminal",
    ),
    "ART as predicted": (lambda found: predicted(found, "art_ms"), "report terminal"),
    "CPU usage as predicted": (lambda found: predicted(found, "cpu_percent"), "report terminal"),
    "trials": (lambda found: counted(len(found["trials"]), "trial"), "report note terminal"),
    "infeasible trials": (infeasible, "report note terminal"),
    "what bursts differ by": (between_bursts, "report terminal"),
    "uncertainty of the worst front's hypervolume": (worst_uncertainty, "report terminal"),
    "least regret": (regret, "report terminal"),
}
"""What is read from the JSON, as it is written elsewhere, and where that is."""


@pytest.fixture(scope="module")
def found(small: FinishedStudy) -> Json:
    return document(small.record)


@pytest.fixture(scope="module")
def answers(small: FinishedStudy) -> Mapping[str, str]:
    """Each answer as plain text."""
    record = small.record
    chosen = summarise(record).headline
    assert chosen is not None
    best = chosen.pooled.representative
    return {
        "report": page_text(report(small)),
        "note": page_text(study_note(record, 0)),
        "terminal": plain_text(study_blocks(record)),
        "export": header(served_by(record, best), None, ()),
    }


@pytest.mark.parametrize("name", NUMBERS)
def test_every_answer_shows_the_same_number(
    name: str, found: Json, answers: Mapping[str, str]
) -> None:
    read, places = NUMBERS[name]
    text = read(found)
    assert re.search(r"\d", text)
    for place in places.split():
        assert text in answers[place], place
