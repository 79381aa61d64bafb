"""The section on what each parameter does, which answers a server's first questions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tuner.measure.measurement import Estimate
from tuner.pages.blocks import Block, Facts, Figure, Section, Table, Words
from tuner.pages.effect_figure import TITLES, Dependence, dependences, effect_drawing
from tuner.pages.sources import Sources
from tuner.results.dependence import Curve
from tuner.results.in_words import SIMULATED
from tuner.results.questions import LATENCIES, Answer, answers, latency_objective
from tuner.results.wording import bare, column, counted, figure, interval, label, plain
from tuner.spec.metrics import title
from tuner.spec.space import Value


@dataclass(frozen=True)
class Row:
    """At `value`, over all scenarios (`level` None) or at one of the levels.

    `model` has the estimate of each objective and its band's ends, None where there is none;
    `measured` the least and the largest value of its `trials`, None without any.
    """

    value: Value
    level: int | None
    model: tuple[tuple[float, float, float] | None, ...]
    measured: tuple[tuple[float, float] | None, ...]
    trials: int
    infeasible: int


def rows(found: Dependence) -> Iterator[Row]:
    """Each value, then the same at each level that has a curve."""
    nearest = _nearest(found)
    drawn = {level: None for panel in found.panels for level, _ in panel.by_level}
    for level in (None, *(found.levels.index(each) for each in drawn)):
        for k, value in enumerate(found.values):
            here = nearest == k
            if level is not None:
                here &= found.points.level == level
            at = found.infeasible_x == found.place(value)
            yield Row(
                value,
                level,
                tuple(
                    None if curve is None else curve.known.get(value)
                    for curve in (_curve(found, i, level) for i in range(len(found.panels)))
                ),
                tuple(_range(column[here]) for column in found.points.measured.T),
                int(here.sum()),
                int(found.infeasible[at].sum()) if level is None else 0,
            )


def _nearest(found: Dependence) -> npt.NDArray[np.intp]:
    """The index of the value at which each trial is counted."""
    if not found.values:
        return np.zeros(0, dtype=np.intp)
    places = np.array([found.place(v) for v in found.values])
    nearest: npt.NDArray[np.intp] = np.abs(found.points.x[:, None] - places).argmin(axis=1)
    return nearest


def _curve(found: Dependence, objective: int, level: int | None) -> Curve | None:
    panel = found.panels[objective]
    if level is None:
        return panel.curve
    return next((c for each, c in panel.by_level if each == found.levels[level]), None)


def _range(column: npt.NDArray[np.float64]) -> tuple[float, float] | None:
    return (float(column.min()), float(column.max())) if len(column) else None


def effects(sources: Sources) -> Section:
    """Questions and answers, then one figure for each parameter with the objectives below another.

    A parameter without any trial has no figure.
    """
    found = answers(sources.record, sources.explanation, sources.findings)
    blocks: list[Block] = [*_introduction(sources), *_answered(found)]
    names: set[str] = set()
    for each in dependences(sources.record, sources.explanation):
        if not len(each.points.x) and not len(each.infeasible) and not _curves(each):
            continue
        blocks.append(_figure(sources, each, _unique(each.parameter.name, names)))
    return Section("effects", "What each parameter does", tuple(blocks))


def _introduction(sources: Sources) -> Iterator[Words]:
    record, explanation = sources.record, sources.explanation
    yield Words(
        f"Answers for model {record.model} on this host, from"
        f" {counted(explanation.trials, 'trial')} ({explanation.infeasible} infeasible). P is the"
        " probability of a statement by"
        " the model's joint draws; brackets hold 95 % intervals. Averages are over settings of all"
        " other parameters, each of which counts at every value or at none, so that values are"
        " compared like with like: points of a figure are not, lines are."
    )
    if "simulated" in explanation.backends:
        yield Words(SIMULATED, "doubt")
    metric = latency_objective(explanation.metrics)
    if metric != "art_ms":
        what = label(metric)
        kind = "response time" if metric in LATENCIES else "objective"
        yield Words(f"ART is no objective here; the answers are about the {kind} {what}.", "doubt")
    if explanation.too_few:
        yield Words(f"Not enough for estimates yet: {explanation.too_few}.", "doubt")


def _answered(found: Sequence[Answer]) -> Iterator[Block]:
    yield Facts(tuple((a.question, " ".join(filter(None, (a.text, a.evidence)))) for a in found))
    more = [a for a in found if a.others or a.scenarios]
    if more:
        yield Table(
            ("Parameter", "Scenario by scenario", "Beside it"),
            tuple((a.parameter, a.scenarios or "-", a.others or "-") for a in more),
            "Behind the answers; scenario by scenario, sure is what 95 % bands apart say",
        )


def _unique(name: str, taken: set[str]) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "parameter"
    found = next(s for s in (slug, *(f"{slug}-{i}" for i in range(2, 999))) if s not in taken)
    taken.add(found)
    return f"effect-{found}"


def _curves(found: Dependence) -> list[Curve]:
    return [p.curve for p in found.panels if p.curve is not None]


def _figure(sources: Sources, found: Dependence, name: str) -> Figure:
    metrics = " and ".join(label(p.metric) for p in found.panels)
    own = found.parameter.name
    heading = f"{metrics} against {TITLES.get(own, own)}"
    return Figure(name, heading, _caption(sources, found), effect_drawing(found), _table(found))


def _caption(sources: Sources, found: Dependence) -> str:
    p = found.parameter
    said = [
        str(s)
        for s in sources.explanation.reading
        if s.parameters == (p.name,) and s.kind != "not settled"
    ]
    texts = [f"{'; '.join(said)}."] if said else []
    curves = _curves(found)
    if curves:
        texts.append(
            f"Line and band: the model's geometric mean over {curves[0].settings} settings of all"
            " else, with its 95 % interval."
        )
    elif not sources.explanation.too_few:
        texts.append("No estimate: hardly anything is feasible at two of its values.")
    split = next((panel for panel in found.panels if panel.by_level), None)
    if split is not None and p.ordered:
        space = sources.record.search_space
        at = " and ".join(f"{n} {bare(space[n], v)}" for n, v in split.fixed.items())
        texts.append(f"Dotted: at each {found.by}{', with ' + at if at else ''}.")
    texts.append("Points: feasible trials, whatever their other parameters.")
    if len(found.infeasible):
        texts.append("Crosses: the number of infeasible trials.")
    if found.absent:
        when = f" (it needs {p.when})" if p.when is not None else ""
        texts.append(f"Without {p.name}{when}: {counted(found.absent, 'trial')}.")
    return " ".join(texts)


def _table(found: Dependence) -> Table:
    columns = [column(found.parameter), "Scenarios"]
    for panel in found.panels:
        what = title(panel.metric)
        columns += [f"{what}, model", f"{what}, measured"]
    return Table(
        (*columns, "Trials", "Infeasible"),
        tuple(_cells(found, row) for row in rows(found)),
    )


def _cells(found: Dependence, row: Row) -> tuple[str, ...]:
    own = plain(row.value) if found.parameter.values() else figure(float(row.value))
    cells = [own, "all" if row.level is None else found.levels[row.level].text]
    for model, measured in zip(row.model, row.measured, strict=True):
        cells += ["-" if model is None else interval(Estimate(*model))]
        cells += ["-" if measured is None else " to ".join(dict.fromkeys(map(figure, measured)))]
    return (*cells, str(row.trials), "" if row.level is not None else str(row.infeasible))
