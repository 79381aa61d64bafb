"""The answer of a study: what to deploy in each scenario, how sure that is, and what to do next.

`tune run` ends with it, `tune show`, the report and the dashboard's note begin with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tuner.measure.measurement import Estimate
from tuner.measure.record import StudyRecord
from tuner.pages.blocks import Block, Cell, Table, Words
from tuner.pages.marks import trial_link
from tuner.pages.service_level_words import (
    exhausted_sentence,
    is_about_cost,
    nearest_miss_sentence,
    service_level_text,
)
from tuner.results import in_words
from tuner.results.chosen import (
    ChosenConfiguration,
    ChosenConfigurations,
    chosen_configurations,
)
from tuner.results.findings import Findings
from tuner.results.recommendation import Recommendation, sureness
from tuner.results.service_level import average_of_metric
from tuner.results.summary import Summary
from tuner.results.wording import (
    chance,
    counted,
    deployment_column,
    deployment_text,
    difference,
    figure,
    interval_ends,
    label,
    metric_interval,
    percent,
    plain,
    scenario_text,
    sentence,
    together,
)
from tuner.spec.metrics import title
from tuner.spec.space import Configuration

_EVEN = 0.5

_PERCENTILES = ("p95_ms", "p99_ms")


def answer_blocks(
    study: StudyRecord, summary: Summary, findings: Findings | None
) -> Iterator[Block]:
    """What to deploy: for the expected scenario in a sentence, for each scenario in a row, and the
    one decision for all; then how sure that is.
    """
    chosen = chosen_configurations(study, summary, findings)
    if not chosen.scenarios:
        yield Words(nothing_feasible(study), "lead")
        return
    alone = chosen.scenarios[0] if len(chosen.scenarios) == 1 else None
    first = chosen.headline or alone
    if first is not None:
        yield Words(deploy_sentence(study, summary, first), "lead")
    if alone is None:
        yield scenario_answers(study, chosen.scenarios, units=first is None)
        yield from _for_all(study, chosen, findings)
    yield Words(how_sure(study, summary, findings))


def nothing_feasible(study: StudyRecord) -> str:
    """That there is nothing to recommend."""
    if not study.trials:
        return "Nothing was measured yet."
    said = (
        f"Nothing is recommended: no feasible trial among {len(study.trials)} of study"
        f" {study.name}."
    )
    return " ".join(filter(None, (said, nearest_miss_sentence(study), exhausted_sentence(study))))


def deploy_sentence(study: StudyRecord, summary: Summary, choice: ChosenConfiguration) -> str:
    """What to deploy in the scenario of a recommendation, and what it gives there."""
    space = study.search_space
    text = deployment_text(space, study.decision_of(choice.configuration))
    level = service_level_text(study, choice.configuration)
    if level and is_about_cost(study):
        said = f"Deploy {text}: {level}."
        sure = choice.recommendation and f" {sureness(study, choice.recommendation)}."
        return f"{said}{sure or ''}"
    where = f"For {scenario_text(space, choice.scenario)}, deploy" if choice.scenario else "Deploy"
    values = together(
        [metric_interval(o.metric, e) for o, e in zip(study.objectives, choice.values, strict=True)]
    )
    said = f"{where} {text}: {values}{_against_defaults(study, choice)}."
    said += f" {level[0].upper()}{level[1:]}." if level else ""
    recommendation = choice.recommendation
    if recommendation is None:
        return said
    return f"{said} {_sure(study, summary, recommendation)}"


def _sure(study: StudyRecord, summary: Summary, recommendation: Recommendation) -> str:
    """How sure a recommendation is, with its rival where that is probably better."""
    rival = recommendation.rival
    if recommendation.settled or rival is None or rival[1] < _EVEN:
        return f"{sureness(study, recommendation)}.{_less_or_more(study, recommendation)}"
    decision = deployment_text(study.search_space, study.decision_of(rival[0]))
    untried = ", not measured yet," if _is_untried(summary, rival[0]) else ""
    return f"Not settled: {decision}{untried} is probably better ({chance(rival[1])})."


def _less_or_more(study: StudyRecord, recommendation: Recommendation) -> str:
    """What reserves less and may do as well; else the largest that is no better."""

    def text(configuration: Configuration) -> str:
        return deployment_text(study.search_space, study.decision_of(configuration))

    if recommendation.leaner is not None:
        return f" Less may do: {text(recommendation.leaner)}, which was not measured yet."
    if recommendation.equals:
        largest = text(recommendation.equals[-1])
        return f" More is no better: {largest} cannot be told apart from it."
    return ""


def _against_defaults(study: StudyRecord, choice: ChosenConfiguration) -> str:
    """How far the objectives are from those of the defaults, in the same scenario."""
    if choice.is_baseline:
        return " (these are the defaults)"
    changes = [
        f"{label(o.metric)} {difference(Estimate(by.value))}"
        for o, by in zip(study.objectives, choice.changes, strict=True)
        if by is not None
    ]
    source = "" if choice.changes_measured else ", as predicted"
    return f" (against the defaults: {together(changes)}{source})" if changes else ""


def scenario_answers(
    study: StudyRecord, choices: Sequence[ChosenConfiguration], *, units: bool = True
) -> Table:
    """A row per scenario: what to deploy, what it gives, and how sure that is.

    Without `units` in its header it stands below a sentence that has them.
    """
    space, names = study.search_space, study.scenario_parameters
    columns = [*names, "deploy"]
    priorities = [0] * len(columns)
    for objective in study.objectives:
        name = label(objective.metric)
        columns += [title(objective.metric) if units else name, f"{name} 95 %"]
        priorities += [0, 2]
    beside = [_percentiles(study, choice) for choice in choices]
    latencies = [name for name in _PERCENTILES if any(each.get(name) for each in beside)]
    # Nobody knows what an endpoint reserves.
    reserved = [] if study.of_endpoint else ["cores reserved", "MiB reserved"]
    rows: list[tuple[Cell, ...]] = []
    for choice, percentiles in zip(choices, beside, strict=True):
        row: list[Cell] = [
            plain(choice.scenario[name]) if name in choice.scenario else "-" for name in names
        ]
        row.append(deployment_column(space, study.decision_of(choice.configuration)))
        for value in choice.values:
            row += [figure(value.value), interval_ends(value) or "-"]
        row.append(_changes(choice))
        row += ["-" if (e := percentiles[n]) is None else figure(e.value) for n in latencies]
        row += (
            [] if study.of_endpoint else [plain(choice.reserved.cores), plain(choice.reserved.mib)]
        )
        row.append("-" if choice.trial is None else trial_link(choice.trial))
        sure = choice.recommendation is not None and choice.recommendation.modelled
        row.append(f"{choice.recommendation.chance:.2f}" if choice.recommendation and sure else "-")
        rows.append(tuple(row))
    return Table(
        (
            *(*columns, "against the defaults", *map(title, latencies)),
            *(*reserved, "trial", "P"),
        ),
        tuple(rows),
        "What to deploy in each scenario. P: nothing else is better by more than"
        f" {100 * study.answer.margin:g} %",
        priorities=(*priorities, 1, *[3] * (len(latencies) + len(reserved)), 3, 0),
        brief=True,
    )


def levels_held(study: StudyRecord, summary: Summary) -> Iterator[Words]:
    """The percentiles of what is recommended where the study is about it, and each constraint."""
    recommended = summary.headline
    if recommended is None:
        return
    bursts = recommended.pooled.bursts
    said = [
        metric_interval(name, e)
        for name in _PERCENTILES
        if (e := average_of_metric(study, name, bursts)) is not None
    ]
    where = scenario_text(study.search_space, recommended.scenario)
    start = f"For {where}: " if where else ""
    sentences = [f"{start}{together(said)}."] if said else []
    for constraint in study.constraints:
        value = average_of_metric(study, constraint.metric, bursts)
        holds = value is not None and constraint.violation(value.value) <= 0
        if value is not None:
            verb = "holds" if holds else "is broken"
            sentences.append(f"{constraint} {verb}: {metric_interval(constraint.metric, value)}.")
    if sentences:
        yield Words(" ".join(sentences))


def _percentiles(study: StudyRecord, choice: ChosenConfiguration) -> dict[str, Estimate | None]:
    """As measured; None where no burst gives one."""
    bursts = choice.recommendation.pooled.bursts if choice.recommendation else ()
    objectives = [o.metric for o in study.objectives]
    return {
        name: average_of_metric(study, name, bursts)
        for name in _PERCENTILES
        if name not in objectives
    }


def _changes(choice: ChosenConfiguration) -> str:
    """How far each objective is from that of the defaults in the same scenario; `p`: predicted."""
    if choice.is_baseline:
        return "defaults"
    changes = ["-" if by is None else difference(Estimate(by.value)) for by in choice.changes]
    return ", ".join(changes) + ("" if choice.changes_measured else " p")


def _for_all(
    study: StudyRecord, chosen: ChosenConfigurations, findings: Findings | None
) -> Iterator[Block]:
    """The decision of least regret over all scenarios, in a sentence."""
    if findings is None:
        return
    if findings.robust is None:
        if findings.serving is not None:
            yield Words(in_words.NONE_SERVES, "doubt")
        return
    robust = findings.robust
    yield Words(
        f"One decision for all {len(chosen.scenarios)} scenarios:"
        f" {deployment_text(study.search_space, robust.decision)}, at worst"
        f" {percent(robust.regret)} behind the best ({robust.scenario})."
    )


def how_sure(study: StudyRecord, summary: Summary, findings: Findings | None) -> str:
    """How many recommendations are settled, and what would settle the others."""
    chosen = list(summary.recommendations.values())
    settled = sum(r.settled for r in chosen)
    missing = len(summary.scenarios) - len(chosen)
    once = sum(len(r.pooled.bursts) == 1 for r in chosen)
    if len(chosen) > 1:
        verb = "rests" if once == 1 else "rest"
        bursts = f", {once} {verb} on one burst" if once else ""
        said = [f"{settled} of {len(chosen)} are settled (P >= {study.settled:g}){bursts}."]
    else:
        bursts = " It rests on one burst." if once else ""
        said = [f"It is {'' if settled else 'not '}settled (P >= {study.settled:g}).{bursts}"]
    if missing > 0:
        said.append(
            f"In {counted(missing, 'scenario')} nothing was measured that can be recommended."
        )
    if settled < len(chosen):
        said.append(_to_settle(summary, findings))
    infeasible = len([t for t in study.trials if not t.feasible])
    trials = counted(len(study.trials), "trial")
    said.append(f"{trials}, {infeasible} of them infeasible." if infeasible else f"{trials}.")
    said.append(exhausted_sentence(study))
    return " ".join(filter(None, said))


def _to_settle(summary: Summary, findings: Findings | None) -> str:
    """What is missing: where something better is likely and was not measured, and more trials."""
    count = sum(
        not r.settled and r.rival is not None and _is_untried(summary, r.rival[0])
        for r in summary.recommendations.values()
    )
    more = None if findings is None else findings.settling.trials
    trials = f"about {counted(more, 'more trial')} should settle all" if more else "run more trials"
    if not count:
        return sentence(trials)
    which = f"For {count} something" if len(summary.recommendations) > 1 else "Something"
    return f"{which} better was not measured yet: {trials}."


def _is_untried(summary: Summary, configuration: Configuration) -> bool:
    return all(p.configuration != configuration for p in summary.pooled.values())
