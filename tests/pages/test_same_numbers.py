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
from tuner.pages.blocks import Block, Cell, Facts, Figure, Link, Log, Page, Points, Table, Words
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
        case Log(text=text):
            yield text


def page_text(page: Page) -> str:
    sections = (*page.sections, *page.pages)
    lines = (line for s in sections for block in s.blocks for line in block_texts(block))
    return "\n".join((page.title, page.subtitle, page.notice, *lines))


def recommended(found: Json) -> Json:
    overall = found["fronts"]["overall"]
    return next(p for p in overall["front"] if p["trial"] == overall["recommended"])


def in_its_scenario(found: Json) -> Json:
    """What is recommended in the first scenario that has something."""
    front = next(s for s in found["fronts"]["scenarios"] if s["recommended"] is not None)
    return next(p for p in front["front"] if p["trial"] == front["recommended"])


def estimate(of: Json, metric: str) -> str:
    return interval(Estimate(**of["objectives"][metric]))


def change(found: Json, metric: str) -> str:
    number = found["fronts"]["overall"]["recommended"]
    of = next(t for t in found["trials"] if t["trial"] == number)["objectives"][metric]
    by = Estimate(of["delta_percent"], of["delta_low"], of["delta_high"])
    return f"{difference(by)}"


def on_front(found: Json) -> str:
    number = found["fronts"]["overall"]["recommended"]
    fronts = found["findings"]["scenarios"]
    of = next(p for f in fronts for p in f["measured"] if number in p["trials"])
    return chance(of["on_front"])


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
    "its ART against the baseline": (
        lambda found: change(found, "art_ms"),
        "report note export terminal",
    ),
    "its CPU usage against the baseline": (
        lambda found: change(found, "cpu_percent"),
        "report note export terminal",
    ),
    "its probability of being on the front": (on_front, "report"),
    "its trial": (
        lambda found: f"trial: {found['fronts']['overall']['recommended']}",
        "note",
    ),
    "ART of what is recommended in a scenario": (
        lambda found: estimate(in_its_scenario(found), "art_ms"),
        "report note terminal",
    ),
    "CPU usage of what is recommended in a scenario": (
        lambda found: estimate(in_its_scenario(found), "cpu_percent"),
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
    best = summarise(record).recommended
    assert best is not None
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
