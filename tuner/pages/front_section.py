"""The section on fronts: overall, in each scenario, what is on many, and what cannot serve."""

from __future__ import annotations

from collections.abc import Iterator

from tuner.pages.blocks import Block, Section, Table, Words
from tuner.pages.decisions import decision_table, decisions_on_fronts, regret_blocks
from tuner.pages.front_figure import front_figures
from tuner.pages.marks import columns_of, values_of
from tuner.pages.scenario_figure import scenario_figure, scenario_panels
from tuner.pages.sources import Sources
from tuner.results.in_words import listed
from tuner.results.mixture import mixture_of_scenarios
from tuner.results.places import FrontData, front_data, infeasible_by_reason
from tuner.results.wording import counted

NAME, TITLE = "fronts", "Fronts"


def fronts_section(sources: Sources) -> Section:
    """Sections of a study in which nothing was measured say so, and what could not serve."""
    return Section(NAME, TITLE, tuple(_blocks(sources)))


def _blocks(sources: Sources) -> Iterator[Block]:
    study = sources.record
    data = front_data(study, sources.summary)
    yield Words(_lead(sources), "lead")
    if data.points:
        yield from front_figures(sources, data)
    yield from _doubts(sources, data)
    panels = scenario_panels(study, sources.summary, sources.findings)
    if mixture := mixture_of_scenarios(study, sources.summary):
        yield Words(mixture)
    if any(panel.points or panel.predicted_front for panel in panels):
        yield scenario_figure(sources, panels)
        yield from decision_table(study, decisions_on_fronts(study, panels, sources.findings))
    yield from regret_blocks(study, sources.findings)
    yield from _infeasible(sources, data)


def _lead(sources: Sources) -> str:
    study, summary = sources.record, sources.summary
    if not study.trials and not study.failed:
        return "Nothing was measured yet."
    if not summary.front:
        return f"Nothing feasible was measured in {len(study.trials)} trials: there is no front."
    return f"The overall front has {counted(len(summary.front), 'configuration')}."


def _doubts(sources: Sources, data: FrontData) -> Iterator[Block]:
    for point in data.at("unstable"):
        yield Words(
            f"On no front: {point.configuration} ({listed(point.trials)}): {point.note}.", "doubt"
        )
    failed = sources.record.failed
    if failed:
        says = "says" if len(failed) == 1 else "say"
        yield Words(
            f"{counted(len(failed), 'trial')} failed and {says} nothing about"
            " a configuration: on no front."
        )
        yield Table(
            ("trial", *columns_of(sources.record), "why"),
            tuple(
                (
                    str(f.number),
                    *values_of(sources.record, f.configuration, units=False),
                    f.reason,
                )
                for f in failed
            ),
            "Failed trials",
        )


def _infeasible(sources: Sources, data: FrontData) -> Iterator[Block]:
    """Counted by reason, then one by one."""
    study = sources.record
    reasons = infeasible_by_reason(study)
    if not reasons:
        return
    yield Table(
        ("reason", "trials", "configurations", "which trials"),
        tuple(
            (
                reason,
                str(len(trials)),
                str(len({t.configuration for t in trials})),
                listed([t.number for t in trials]),
            )
            for reason, trials in reasons.items()
        ),
        "Infeasible, by reason",
    )
    broken = [p for p in data.points if p.place == "infeasible"]
    rows = [(u.trials, u.configuration, u.reason, u.detail) for u in data.unserved]
    rows += [(p.trials, p.configuration, p.note, "") for p in broken]
    yield Table(
        ("trials", *columns_of(study), "reason", "detail"),
        tuple(
            (listed(trials), *values_of(study, configuration, units=False), reason, detail)
            for trials, configuration, reason, detail in rows
        ),
        "Infeasible configurations",
    )
