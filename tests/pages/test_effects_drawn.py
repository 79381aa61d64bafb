"""The sections on what parameters do and why, as blocks of a page, for studies of all kinds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, TypeVar

import numpy as np
import pytest

from tests.conditional import BATCHING
from tests.pages.planted_trials import (
    CONCURRENCY,
    CPU,
    LOSS,
    MEMORY,
    REPLICAS,
    infeasible,
    measured,
    sources,
    study,
    surveyed,
)
from tuner.measure.record import StudyRecord
from tuner.pages import theme
from tuner.pages.blocks import Facts, Figure, Points, Section, Table, Words
from tuner.pages.cause_section import why
from tuner.pages.effects import effects
from tuner.spec.space import Parameter, SearchSpace

B = TypeVar("B", Words, Facts, Points, Table, Figure)

SPACE = SearchSpace((CONCURRENCY, CPU, REPLICAS, LOSS))
HOSTILE = Parameter(
    "mode",
    "categorical",
    "decision",
    "<b>",
    choices=("<script>alert(1)</script>", "<b>", 'a"b\n{{7*7}}'),
    env="MODE",
)


def art(c: Mapping[str, Any]) -> float:
    return float((1 + c.get("concurrency", 1) / c["cpu"]) * (1 + 10 * c.get("loss", 0.0)))


def usage(c: Mapping[str, Any]) -> float:
    return float(10 * c["cpu"] + 2 * c.get("replicas", 1))


def throttled(record: StudyRecord) -> StudyRecord:
    """The same, with replicas of half a core that are throttled all the time."""
    return replace(
        record,
        trials=tuple(
            measured(
                t.number,
                t.configuration,
                t.values,
                metrics=[o.metric for o in record.objectives],
                counters={"throttled_percent": 99.0 if t.configuration["cpu"] == 0.5 else 0.0},
            )
            for t in record.trials
        ),
    )


def usual() -> StudyRecord:
    known = throttled(
        surveyed(SPACE, {"art_ms": art, "cpu_percent": lambda c: 30.0 + c["replicas"]})
    )
    bad = infeasible(99, known.trials[0].configuration, "out of memory", "it was killed")
    return replace(known, trials=(*known.trials, bad))


def hostile() -> StudyRecord:
    space = SearchSpace((CPU, HOSTILE))
    known = surveyed(space, {"art_ms": art, "cpu_percent": usage})
    bad = infeasible(99, {"cpu": 2.0, "mode": "<b>"}, "<script>alert(2)</script>", '"<b>\n')
    return replace(known, model="<i>m", trials=(*known.trials, bad))


def continuous() -> StudyRecord:
    rate = Parameter("rate", "float", "scenario", 10.0, low=1.0, high=100.0, log=True)
    space = SearchSpace((rate, CPU))
    some = [{"rate": float(r), "cpu": (0.5, 1.0, 2.0)[i % 3]}
            for i, r in enumerate(np.geomspace(1, 100, 24))]  # fmt: skip
    return study(space, [measured(i, c, (1 + c["rate"] / 50, 10.0)) for i, c in enumerate(some)])


STUDIES: dict[str, Callable[[], StudyRecord]] = {
    "usual": usual,
    "hostile": hostile,
    "continuous": continuous,
    "empty": lambda: study(SPACE, []),
    "baseline": lambda: study(SPACE, [measured(0, SPACE.baseline(), (2.0, 30.0))]),
    "few": lambda: surveyed(SPACE, {"art_ms": art, "cpu_percent": usage}, every=9),
    "nothing feasible": lambda: study(
        SPACE, [infeasible(i, c, "out of memory") for i, c in enumerate(SPACE.grid())]
    ),
    "one objective": lambda: surveyed(SPACE, {"p99_ms": art}),
    "three objectives": lambda: surveyed(
        SPACE, {"art_ms": art, "cpu_percent": usage, "throughput_rps": lambda c: 1 / art(c)}
    ),
    "no scenario": lambda: surveyed(
        SearchSpace((CPU, MEMORY)), {"art_ms": art, "cpu_percent": usage}
    ),
    "conditional": lambda: surveyed(BATCHING, {"art_ms": art, "cpu_percent": usage}),
    "zeros": lambda: surveyed(SPACE, {"art_ms": art, "error_rate": lambda _: 0.0}),
}  # fmt: skip


@cache
def both(name: str) -> tuple[Section, Section]:
    found = sources(STUDIES[name]())
    return effects(found), why(found)


@pytest.fixture(scope="module", params=STUDIES)
def sections(request: pytest.FixtureRequest) -> tuple[Section, Section]:
    return both(request.param)


def blocks(kind: type[B], *some: Section) -> list[B]:
    return [b for section in some for b in section.blocks if isinstance(b, kind)]


def words(section: Section) -> str:
    return " ".join(b.text for b in blocks(Words, section))


def test_every_study_has_whole_sections(sections: tuple[Section, Section]) -> None:
    figures = blocks(Figure, *sections)
    names = [f.name for f in figures]
    assert [s.name for s in sections] == ["effects", "why"]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in names)
    for table in (*blocks(Table, *sections), *(f.table for f in figures)):
        assert all(len(row) == len(table.columns) for row in table.rows)
        assert "nan" not in str(table.rows)
    for figure in figures:
        assert figure.caption
        assert figure.table.rows
        assert figure.plot.data
        assert "NaN" not in figure.plot.to_json()


def test_the_same_study_gives_the_same_figures() -> None:
    found = sources(usual())
    once, again = (
        [f.plot.to_json() for f in blocks(Figure, *some)]
        for some in (both("usual"), (effects(found), why(found)))
    )
    assert once == again
    assert len(once) == 6


@pytest.fixture(scope="module")
def drawn() -> tuple[Section, Section]:
    return both("usual")


def test_questions_come_before_figures(drawn: tuple[Section, Section]) -> None:
    section, _ = drawn
    kinds = [type(b) for b in section.blocks]
    assert kinds.index(Facts) < kinds.index(Figure)
    (facts,) = blocks(Facts, section)
    assert [q for q, _ in facts.rows][:2] == [
        "Does ART fall or rise with concurrency?",
        "Which number of containers gives the best ART?",
    ]
    assert [f.name for f in blocks(Figure, section)] == [
        "effect-concurrency", "effect-replicas", "effect-cpu", "effect-loss",
    ]  # fmt: skip


def test_an_objective_has_its_colour_and_axes_their_units(drawn: tuple[Section, Section]) -> None:
    cpu = next(f for f in blocks(Figure, drawn[0]) if f.name == "effect-cpu")
    models = {t.name: t.line.color for t in cpu.plot.data if str(t.name).endswith("model")}
    assert models == {"ART, model": theme.OBJECTIVES[0], "CPU usage, model": theme.OBJECTIVES[1]}
    assert cpu.plot.layout.yaxis.title.text == "ART (ms)"
    assert cpu.plot.layout.yaxis2.title.text == "CPU usage (% of host)"
    assert cpu.plot.layout.xaxis2.title.text == "CPU capacity of each replica (cores)"
    levels = {t.marker.color for t in cpu.plot.data if str(t.name).startswith("loss")}
    assert not levels & {*models.values(), theme.INFEASIBLE}


def test_bands_go_around_the_estimates(drawn: tuple[Section, Section]) -> None:
    for figure in blocks(Figure, drawn[0]):
        for band in (t for t in figure.plot.data if t.fill == "toself"):
            (line,) = (t for t in figure.plot.data if t.name == band.legendgroup)
            count = len(line.x)
            high, low = np.array(band.y[:count]), np.array(band.y[count:])[::-1]
            assert (low <= line.y).all()
            assert (line.y <= high).all()


def test_infeasible_trials_are_marked_at_the_edge(drawn: tuple[Section, Section]) -> None:
    cpu = next(f for f in blocks(Figure, drawn[0]) if f.name == "effect-cpu")
    (crosses,) = (t for t in cpu.plot.data if t.name == "infeasible")
    assert (list(crosses.x), list(crosses.text)) == ([0.5], ["1"])
    # In the room above all points.
    shown = [y for t in cpu.plot.data if t.yaxis in (None, "y") for y in t.y]
    low, high = cpu.plot.layout.yaxis.range
    assert (np.log10(max(shown)) - low) / (high - low) < crosses.y[0] - 0.05


def test_categories_are_spread_and_numbers_are_not() -> None:
    section, _ = both("hostile")
    mode = next(f for f in blocks(Figure, section) if f.name == "effect-mode")
    points = next(t for t in mode.plot.data if t.name == "trials")
    assert len(set(points.x)) == len(points.x)
    assert set(np.round(points.x)) == {0, 1, 2}
    assert not [t for t in mode.plot.data if t.fill == "toself"], "no band between categories"
    cpu = next(f for f in blocks(Figure, section) if f.name == "effect-cpu")
    assert set(next(t for t in cpu.plot.data if t.name == "trials").x) == {0.5, 1.0, 2.0}


def test_texts_of_users_are_no_markup_in_a_drawing() -> None:
    for figure in blocks(Figure, *both("hostile")):
        assert "<script" not in figure.plot.to_json()
        assert "<b>\\n" not in figure.plot.to_json()


def test_why_names_the_planted_cause(drawn: tuple[Section, Section]) -> None:
    _, section = drawn
    assert "throttled" in words(section)
    dominated, failed = blocks(Table, section)[-2:]
    by_cause = {row[0]: row[1:] for row in dominated.rows}
    share, evidence, where, _ = by_cause["throttled"]
    assert where == "cpu 0.5 cores"
    assert re.match(r"\d+ of \d+ \(\d+ %\)", str(share))
    assert "throttled 99 % (0)" in str(evidence)
    assert failed.rows[0][0] == "out of memory"
    assert failed.rows[0][2] == "it was killed"


def test_why_lists_importances_with_noise_and_no_statement_is_said_twice(
    drawn: tuple[Section, Section],
) -> None:
    effect, section = drawn
    figure = next(f for f in blocks(Figure, section) if f.name == "importances")
    rows = [(row[0], row[1]) for row in figure.table.rows]
    assert rows[-2:] == [("noise between bursts", "ART"), ("noise between bursts", "CPU usage")]
    assert rows[:2] == [("replicas", "ART"), ("replicas", "CPU usage")]
    (facts,) = blocks(Facts, effect)
    said = [str(what) for _, what in facts.rows]
    assert any(text.startswith("ART rises with loss") for text in said)
    elsewhere = [f.caption for f in blocks(Figure, effect)]
    elsewhere += [text for points in blocks(Points, section) for text in points.items]
    assert not any("ART rises with loss" in text for text in elsewhere)


def test_every_dominated_configuration_is_drawn_once(drawn: tuple[Section, Section]) -> None:
    figure = next(f for f in blocks(Figure, drawn[1]) if f.name == "causes")
    dominated = [t for t in figure.plot.data if t.name != "front"]
    assert sum(len(t.x) for t in dominated) == len(figure.table.rows) > 0


def test_little_is_said_clearly() -> None:
    assert all("8 are needed" in words(section) for section in both("few"))
    assert "No trial has finished" in words(both("empty")[1])
    assert "ART is no objective here" in words(both("one objective")[0])


def test_a_computed_host_is_named() -> None:
    record = STUDIES["few"]()
    computed = tuple(replace(t, backend="simulated") for t in record.trials)
    assert "SIMULATED" in words(effects(sources(replace(record, trials=computed))))
