"""The note of a study that is running, in Markdown: what was asked, and the answer so far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tuner.dashboard.markdown import inert, table
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.results.in_words import WITH_SCENARIOS, not_measured, wanted
from tuner.results.summary import ScenarioSummary, Summary, summarise
from tuner.results.wording import counted, difference, interval, plain
from tuner.spec.metrics import title
from tuner.spec.space import Parameter

ROWS = 25
"""The most that a table has: a note is for people."""

FOOTER = (
    "*`tune dashboard` writes this while it is looked at, from the finished trials only. Edit it,"
    " and what you wrote is kept and shown in its place; empty it, and this returns.*"
)


def note(record: StudyRecord, running: int) -> str:
    """What the finished trials of a study say, and how many are `running`.

    Texts and names of the study are inert in it (`tuner.dashboard.markdown`).
    """
    summary = summarise(record)
    return "\n\n".join(
        [
            f"# Study {inert(record.name)}",
            *(f"**{text}**" for text in not_measured(record)),
            _question(record),
            _counts(record, running),
            "## Recommended",
            *_recommended(record, summary),
            *_front(record, summary),
            *_scenarios(record, summary.scenarios),
            "## Search space",
            table(
                ("parameter", "role", "values", "unit", "default"),
                [_parameter(p) for p in record.search_space],
            ),
            FOOTER,
        ]
    )


def _question(record: StudyRecord) -> str:
    held = "".join(f"; {inert(c)}" for c in record.constraints)
    described = record.specification.get("description")
    question = f"**Question:** {inert(described)}\n\n" if described else ""
    return f"{question}**Model** {inert(record.model)}. **Wanted:** {wanted(record)}{held}."


def _counts(record: StudyRecord, running: int) -> str:
    finished = len(record.trials) + len(record.failed)
    parts = [
        f"{len(record.trials)} complete",
        f"{sum(not t.feasible for t in record.trials)} of them infeasible",
        f"{len(record.failed)} failed",
        f"{running} running",
    ]
    return f"**After {counted(finished, 'trial')}:** {', '.join(parts)}."


def _recommended(record: StudyRecord, summary: Summary) -> Iterator[str]:
    best = summary.recommended
    if best is None:
        yield "Nothing yet: no trial was measured to the end and is feasible."
        return
    values = "; ".join(
        f"**{title(o.metric)}: {_estimate(record, best, o.metric)}**"
        + _against_baseline(record, summary, best, index)
        for index, o in enumerate(record.objectives)
    )
    yield (
        f"Trial {_link(best)}, the best compromise of the overall front:"
        f" {inert(best.configuration)}"
    )
    yield values
    if summary.scenarios:
        yield WITH_SCENARIOS


def _against_baseline(record: StudyRecord, summary: Summary, trial: TrialRecord, index: int) -> str:
    if trial.configuration == record.search_space.baseline():
        return ", the baseline itself"
    by = summary.against_baseline[trial.configuration][index]
    if by is None or record.baseline is None:
        return ""
    return f", {difference(by)} against the baseline (trial {_link(record.baseline)})"


def _front(record: StudyRecord, summary: Summary) -> Iterator[str]:
    if not summary.front:
        return
    yield "## Overall front"
    names = [p.name for p in record.search_space]
    columns = ["trial", *map(inert, names)]
    for objective in record.objectives:
        columns += [title(objective.metric), "against the baseline"]
    rows = []
    for trial in summary.front[:ROWS]:
        mark = " **recommended**" if trial is summary.recommended else ""
        row = [_link(trial) + mark, *(_value(trial.configuration, name) for name in names)]
        for index, objective in enumerate(record.objectives):
            by = summary.against_baseline[trial.configuration][index]
            row.append(_estimate(record, trial, objective.metric))
            row.append("" if by is None else difference(by))
        rows.append(row)
    yield table(columns, rows)
    yield (
        "In parentheses 95 % intervals."
        + _left_out(len(summary.front))
        + ("" if record.repeatability else " Intervals hold what varies within a burst only.")
    )


def _scenarios(record: StudyRecord, scenarios: tuple[ScenarioSummary, ...]) -> Iterator[str]:
    if not scenarios:
        return
    yield "## Front of each scenario"
    columns = ["scenario", "trials", "on its front", "recommended"]
    columns += [title(o.metric) for o in record.objectives]
    rows = []
    for found in scenarios[:ROWS]:
        row = [
            inert(found.scenario),
            str(found.measured),
            ", ".join(_link(t) for t in found.front[:ROWS]) or "none",
        ]
        if found.recommended is None:
            row += [""] * (1 + len(record.objectives))
        else:
            chosen = record.search_space.decision_of(found.recommended.configuration)
            row.append(f"{_link(found.recommended)}: {inert(chosen)}")
            row += [_estimate(record, found.recommended, o.metric) for o in record.objectives]
        rows.append(row)
    yield table(columns, rows)
    if left := _left_out(len(scenarios)):
        yield left.strip()


def _parameter(parameter: Parameter) -> tuple[str, ...]:
    values = parameter.values()
    if values is None:
        text = f"{parameter.low:g} to {parameter.high:g}"
    elif len(values) <= 12:
        text = ", ".join(map(plain, values))
    else:
        text = f"{plain(values[0])}, {plain(values[1])}, ... {plain(values[-1])}"
    when = f", when {parameter.when}" if parameter.when else ""
    return tuple(
        inert(cell)
        for cell in (
            parameter.name,
            parameter.role + when,
            text,
            parameter.unit,
            plain(parameter.default),
        )
    )


def _estimate(record: StudyRecord, trial: TrialRecord, metric: str) -> str:
    found = record.estimate(trial, metric)
    return "" if found is None else interval(found)


def _value(configuration: Mapping[str, int | float | str | bool], name: str) -> str:
    return inert(plain(configuration[name])) if name in configuration else "-"


def _link(trial: TrialRecord) -> str:
    """Its number, which leads from the note's page to the trial's."""
    return f"[{trial.number}](trials?numbers={trial.number})"


def _left_out(count: int) -> str:
    return f" {count - ROWS} more are in `tune show`." if count > ROWS else ""
