"""The section on why: what decides the objectives, and why configurations are not on the front."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from tuner.pages.blocks import Block, Points, Section, Table, Words
from tuner.pages.cause_figure import cause_figure
from tuner.pages.importance_figure import Importances, importance_figure, share, study_importances
from tuner.pages.sources import Sources
from tuner.results.cause_rules import MEANINGS, NOISE, UNKNOWN
from tuner.results.causes import Causes, CounterEvidence, Group, causes
from tuner.results.counters import counter_label
from tuner.results.explain import Explanation
from tuner.results.importance import Interaction
from tuner.results.in_words import listed
from tuner.results.wording import counted, figure, label

_EXAMPLES = 4


def why(sources: Sources) -> Section:
    """Importances, interactions and the reading of the model; then the causes of each region."""
    explanation = sources.explanation
    blocks: list[Block] = []
    if explanation.too_few:
        blocks.append(Words(f"Parameters: not enough yet, {explanation.too_few}.", "doubt"))
    else:
        blocks += _parameters(explanation, study_importances(sources.record, explanation))
    blocks += _regions(sources, causes(sources.record, sources.summary))
    return Section("why", "Why", tuple(blocks))


def _parameters(explanation: Explanation, importances: Importances) -> Iterator[Block]:
    if importances.parameters:
        yield Words(_decisive(importances), "lead")
        yield importance_figure(importances)
    if importances.pairs:
        yield _together(importances.pairs)
    # What each does alone is said where its curve is drawn.
    if acting := [str(s) for s in explanation.reading if len(s.parameters) > 1]:
        yield Points("In words, averaged over the other parameters", tuple(acting))


def _decisive(importances: Importances) -> str:
    """For each objective, the parameter that decides most of it."""
    texts = []
    for metric in importances.metrics:
        of_metric = [i for i in importances.by_parameter.values() if i.metric == metric]
        most = max(of_metric, key=lambda i: i.total.value)
        texts.append(f"{share(most.total)} of {label(metric)} by {most.parameter}")
    return (
        f"What decides most of the variation, alone and together with others: {'; '.join(texts)}."
    )


def _together(pairs: Sequence[Interaction]) -> Table:
    return Table(
        ("Parameters", "Objective", "Share of its variation"),
        tuple((" and ".join(i.parameters), label(i.metric), share(i.share)) for i in pairs),
        "What two parameters do together beyond what each does alone (second-order Sobol index,"
        " 95 % interval)",
    )


def _regions(sources: Sources, causes: Causes) -> Iterator[Block]:
    yield Words(_counted(causes), "lead")
    if not causes.groups:
        return
    scenarios = bool(sources.summary.scenarios)
    whose = (
        "on the front of its own scenario or, where none does there, on the overall front: what"
        " makes it worse is then the scenario too"
        if scenarios
        else "on the front"
    )
    yield Words(
        f"A configuration is compared with those that dominate it, {whose}. A cause is named only"
        " where a counter of its containers shows it. Of several the one that costs most is the"
        " main one."
    )
    dominated = [g for g in causes.groups if g.end == "dominated"]
    if dominated:
        yield _causes_table(causes, dominated, scenarios=scenarios)
        yield cause_figure(sources, causes)
    failed = [g for g in causes.groups if g.end == "infeasible"]
    if failed:
        yield _failed_table(causes, failed)


def _counted(causes: Causes) -> str:
    if not causes.known:
        return "No trial has finished: there is nothing to explain."
    front = causes.known - len(causes.dominated) - len(causes.infeasible)
    text = (
        f"{counted(causes.known, 'configuration')}: {front} on the overall"
        f" front, {len(causes.dominated)} not on it, {len(causes.infeasible)} not feasible."
    )
    named = [g for g in causes.groups if g.end == "dominated" and g.cause not in (NOISE, UNKNOWN)]
    if named:
        most = named[0]
        where = f", mostly with {most.region}" if most.region else ""
        text += f" Most often: {most.cause}, in {_of(most, len(causes.dominated))}{where}."
    return text


def _of(group: Group, whole: int) -> str:
    return f"{len(group.trials)} of {whole} ({100 * len(group.trials) / whole:.0f} %)"


def _causes_table(causes: Causes, groups: Sequence[Group], *, scenarios: bool) -> Table:
    whole = len(causes.dominated)
    return Table(
        ("Main cause", "Share", "What the counters say", "Region", "Trials"),
        tuple(
            (
                g.cause,
                _share(g, whole, scenarios=scenarios),
                _evidence(g),
                g.region or "-",
                listed(g.trials, _EXAMPLES),
            )
            for g in groups
        ),
        "Why configurations are dominated: medians of the counters, in brackets those of what"
        " dominates them; values that most of a region share and others have less often",
    )


def _share(group: Group, whole: int, *, scenarios: bool) -> str:
    """How many have the cause, with those where it is not the main one."""
    notes = []
    if group.also:
        notes.append(f"{group.also} more have it beside another cause")
    if group.within and scenarios:
        notes.append(f"{group.within} dominated within their own scenario")
    return "; ".join((_of(group, whole), *notes))


def _evidence(group: Group) -> str:
    """The meaning of a cause, and the counters that show it."""
    shown = "; ".join(_counter(e) for e in group.evidence if not math.isnan(e.own))
    means = group.detail or MEANINGS[group.cause]
    return f"{means}: {shown}" if shown else means


def _counter(evidence: CounterEvidence) -> str:
    name, unit = counter_label(evidence.counter)
    theirs = "-" if math.isnan(evidence.theirs) else figure(evidence.theirs)
    return f"{name} {f'{figure(evidence.own)} {unit}'.rstrip()} ({theirs})"


def _failed_table(causes: Causes, groups: Sequence[Group]) -> Table:
    whole = len(causes.infeasible)
    return Table(
        ("Cause", "Share", "Such as", "Region", "Trials"),
        tuple(
            (g.cause, _of(g, whole), g.detail or "-", g.region or "-", listed(g.trials, _EXAMPLES))
            for g in groups
        ),
        "Why configurations are infeasible",
    )
