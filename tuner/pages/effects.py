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
from tuner.results.statements import STATED
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


def rows(dependence: Dependence) -> Iterator[Row]:
    """A row per value over all levels, then a row per value for each level that has a curve."""
    nearest = _nearest(dependence)
    drawn = {level: None for panel in dependence.panels for level, _ in panel.by_level}
    for level in (None, *(dependence.levels.index(each) for each in drawn)):
        for k, value in enumerate(dependence.values):
            here = nearest == k
            if level is not None:
                here &= dependence.points.level == level
            at = dependence.infeasible_x == dependence.place(value)
            yield Row(
                value,
                level,
                tuple(
                    None if curve is None else curve.known.get(value)
                    for curve in (
                        _curve(dependence, i, level) for i in range(len(dependence.panels))
                    )
                ),
                tuple(_range(column[here]) for column in dependence.points.measured.T),
                int(here.sum()),
                int(dependence.infeasible[at].sum()) if level is None else 0,
            )


def _nearest(dependence: Dependence) -> npt.NDArray[np.intp]:
    """For each trial, the index of the value that is nearest to its own."""
    if not dependence.values:
        return np.zeros(0, dtype=np.intp)
    places = np.array([dependence.place(v) for v in dependence.values])
    nearest: npt.NDArray[np.intp] = np.abs(dependence.points.x[:, None] - places).argmin(axis=1)
    return nearest


def _curve(dependence: Dependence, objective: int, level: int | None) -> Curve | None:
    panel = dependence.panels[objective]
    if level is None:
        return panel.curve
    return next((c for each, c in panel.by_level if each == dependence.levels[level]), None)


def _range(column: npt.NDArray[np.float64]) -> tuple[float, float] | None:
    return (float(column.min()), float(column.max())) if len(column) else None


def effects(sources: Sources) -> Section:
    """The questions with their answers, then a figure per parameter.

    A parameter without trials and curves has no figure.
    """
    answered = answers(sources.record, sources.explanation, sources.findings)
    blocks: list[Block] = [*_introduction(sources), *_answered(answered)]
    names: set[str] = set()
    answering = {a.parameter for a in answered}
    for each in dependences(sources.record, sources.explanation):
        if not len(each.points.x) and not len(each.infeasible) and not _curves(each):
            continue
        name = each.parameter.name
        # What the answers say is not said again.
        said = () if name in answering else _statements(sources, name)
        blocks.append(_figure(sources, each, _unique(name, names), said))
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
        objective = label(metric)
        kind = "response time" if metric in LATENCIES else "objective"
        yield Words(
            f"ART is no objective here; the answers are about the {kind} {objective}.", "doubt"
        )
    if explanation.too_few:
        yield Words(f"Not enough for estimates yet: {explanation.too_few}.", "doubt")


def _answered(answered: Sequence[Answer]) -> Iterator[Block]:
    yield Facts(tuple((a.question, " ".join(filter(None, (a.text, a.evidence)))) for a in answered))
    more = [a for a in answered if a.others or a.scenarios]
    if more:
        yield Table(
            ("Parameter", "Scenario by scenario", "Beside it"),
            tuple((a.parameter, a.scenarios or "-", a.others or "-") for a in more),
            "Behind the answers; scenario by scenario, sure is what 95 % bands apart say",
        )


def _unique(name: str, taken: set[str]) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "parameter"
    unique = next(s for s in (slug, *(f"{slug}-{i}" for i in range(2, 999))) if s not in taken)
    taken.add(unique)
    return f"effect-{unique}"


def _curves(dependence: Dependence) -> list[Curve]:
    return [p.curve for p in dependence.panels if p.curve is not None]


def _figure(sources: Sources, dependence: Dependence, name: str, said: Sequence[str]) -> Figure:
    metrics = " and ".join(label(p.metric) for p in dependence.panels)
    own = dependence.parameter.name
    heading = f"{metrics} against {TITLES.get(own, own)}"
    return Figure(
        name,
        heading,
        _caption(sources, dependence, said),
        effect_drawing(dependence),
        _table(dependence),
    )


def _statements(sources: Sources, parameter: str) -> list[str]:
    """What is settled of a parameter."""
    return [
        str(s)
        for s in sources.explanation.reading
        if s.parameters == (parameter,) and (s.kind != "not settled" or s.probability >= STATED)
    ]


def _caption(sources: Sources, dependence: Dependence, said: Sequence[str]) -> str:
    p = dependence.parameter
    texts = [f"{'; '.join(said)}."] if said else []
    curves = _curves(dependence)
    if curves:
        texts.append(
            f"Line and band: the model's geometric mean over {curves[0].settings} settings of all"
            " else, with its 95 % interval."
        )
    elif not sources.explanation.too_few:
        texts.append("No estimate: hardly anything is feasible at two of its values.")
    split = next((panel for panel in dependence.panels if panel.by_level), None)
    if split is not None and p.ordered:
        space = sources.record.search_space
        at = " and ".join(f"{n} {bare(space[n], v)}" for n, v in split.fixed.items())
        texts.append(f"Dotted: at each {dependence.by}{', with ' + at if at else ''}.")
    texts.append("Points: feasible trials, whatever their other parameters.")
    if len(dependence.infeasible):
        texts.append("Crosses: the number of infeasible trials.")
    if dependence.absent:
        when = f" (it needs {p.when})" if p.when is not None else ""
        texts.append(f"Without {p.name}{when}: {counted(dependence.absent, 'trial')}.")
    return " ".join(texts)


def _table(dependence: Dependence) -> Table:
    columns = [column(dependence.parameter), "Scenarios"]
    for panel in dependence.panels:
        objective = title(panel.metric)
        columns += [f"{objective}, model", f"{objective}, measured"]
    return Table(
        (*columns, "Trials", "Infeasible"),
        tuple(_cells(dependence, row) for row in rows(dependence)),
    )


def _cells(dependence: Dependence, row: Row) -> tuple[str, ...]:
    own = plain(row.value) if dependence.parameter.values() else figure(float(row.value))
    cells = [own, "all" if row.level is None else dependence.levels[row.level].text]
    for model, measured in zip(row.model, row.measured, strict=True):
        cells += ["-" if model is None else interval(Estimate(*model))]
        cells += ["-" if measured is None else " to ".join(dict.fromkeys(map(figure, measured)))]
    return (*cells, str(row.trials), "" if row.level is not None else str(row.infeasible))
