"""The answer of a study: what to deploy in each scenario, how sure that is, and what to do next.

`tune run` ends with it, `tune show`, the report and the dashboard's note begin with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tuner.measure.measurement import Estimate
from tuner.measure.record import StudyRecord
from tuner.pages.blocks import Block, Cell, Table, Words
from tuner.pages.marks import trial_link
from tuner.results import in_words
from tuner.results.chosen import (
    ChosenConfiguration,
    ChosenConfigurations,
    chosen_configurations,
)
from tuner.results.findings import Findings
from tuner.results.recommendation import SETTLED, sureness
from tuner.results.summary import Summary
from tuner.results.wording import (
    chance,
    column,
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
    if chosen.headline is not None:
        yield Words(deploy_sentence(study, chosen.headline), "lead")
    if len(chosen.scenarios) > 1:
        yield scenario_answers(study, chosen.scenarios)
        yield from _for_all(study, chosen, findings)
    yield Words(how_sure(study, summary, findings))


def nothing_feasible(study: StudyRecord) -> str:
    """That there is nothing to recommend."""
    if not study.trials:
        return "Nothing was measured yet."
    return (
        f"Nothing is recommended: no feasible trial among {len(study.trials)} of study"
        f" {study.name}."
    )


def deploy_sentence(study: StudyRecord, choice: ChosenConfiguration) -> str:
    """What to deploy in the scenario of a recommendation, and what it gives there."""
    space = study.search_space
    text = deployment_text(space, study.decision_of(choice.configuration))
    where = f"For {scenario_text(space, choice.scenario)}, deploy" if choice.scenario else "Deploy"
    values = together(
        [metric_interval(o.metric, e) for o, e in zip(study.objectives, choice.values, strict=True)]
    )
    said = f"{where} {text}: {values}{_against_defaults(study, choice)}."
    recommendation = choice.recommendation
    if recommendation is None:
        return said
    return f"{said} {sureness(study, recommendation)}.{_equals(study, choice)}"


def _equals(study: StudyRecord, choice: ChosenConfiguration) -> str:
    """The largest configuration that is no better, where there is one."""
    equals = choice.recommendation.equals if choice.recommendation else ()
    if not equals:
        return ""
    largest = deployment_text(study.search_space, study.decision_of(equals[-1]))
    return f" More is no better: {largest} cannot be told apart from it."


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


def scenario_answers(study: StudyRecord, choices: Sequence[ChosenConfiguration]) -> Table:
    """A row per scenario: what to deploy, what it gives, and how sure that is."""
    space, names = study.search_space, study.scenario_parameters
    columns = [*(column(space[name]) for name in names), "deploy"]
    priorities = [0] * len(columns)
    for objective in study.objectives:
        name = label(objective.metric)
        columns += [title(objective.metric), f"{name} 95 %", f"{name} against the defaults"]
        priorities += [0, 1, 2]
    rows: list[tuple[Cell, ...]] = []
    for choice in choices:
        row: list[Cell] = [
            plain(choice.scenario[name]) if name in choice.scenario else "-" for name in names
        ]
        row.append(deployment_column(space, study.decision_of(choice.configuration)))
        for value, by in zip(choice.values, choice.changes, strict=True):
            row += [figure(value.value), interval_ends(value) or "-", _change(choice, by)]
        row += [plain(choice.reserved.cores), plain(choice.reserved.mib)]
        row.append("-" if choice.trial is None else trial_link(choice.trial))
        row.append("-" if choice.recommendation is None else f"{choice.recommendation.chance:.2f}")
        rows.append(tuple(row))
    return Table(
        (*columns, "cores reserved", "MiB reserved", "trial", "P"),
        tuple(rows),
        "What to deploy in each scenario. P: nothing else is better by more than"
        f" {100 * study.answer.margin:g} %",
        priorities=(*priorities, 3, 3, 2, 0),
    )


def _change(choice: ChosenConfiguration, by: Estimate | None) -> str:
    if choice.is_baseline:
        return "the defaults"
    mark = "" if choice.changes_measured else " p"
    return "-" if by is None else difference(Estimate(by.value)) + mark


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
        f" {deployment_text(study.search_space, robust.decision)}. Where it is worst"
        f" ({robust.scenario}), it is {percent(robust.regret)} behind the best compromise."
    )


def how_sure(study: StudyRecord, summary: Summary, findings: Findings | None) -> str:
    """How many recommendations are settled, and what would settle the others."""
    chosen = list(summary.recommendations.values())
    settled = sum(r.settled for r in chosen)
    missing = len(summary.scenarios) - len(chosen)
    said = [
        f"{settled} of {counted(len(chosen), 'recommendation')}"
        f" {'is' if settled == 1 else 'are'} settled (P of at least {SETTLED:g})."
        if len(chosen) > 1
        else f"It is settled: P is at least {SETTLED:g}."
        if settled
        else f"It is not settled: P is below {SETTLED:g}."
    ]
    if missing > 0:
        said.append(f"In {counted(missing, 'scenario')} nothing feasible was measured.")
    said += _untried(study, summary)
    once = sum(len(r.pooled.bursts) == 1 for r in chosen)
    if once:
        said.append(
            f"{once} {'rests' if once == 1 else 'rest'} on one burst."
            if len(chosen) > 1
            else "It rests on one burst."
        )
    if settled < len(chosen) and findings is not None:
        said.append(sentence(in_words.settled(findings)))
    infeasible = len([t for t in study.trials if not t.feasible])
    trials = counted(len(study.trials), "trial")
    said.append(f"{trials}, {infeasible} of them infeasible." if infeasible else f"{trials}.")
    return " ".join(said)


def _untried(study: StudyRecord, summary: Summary) -> Iterator[str]:
    """The configurations that the model expects to be better and that nobody measured."""
    untried = [
        (r.scenario, *r.rival)
        for r in summary.recommendations.values()
        if not r.settled and r.rival is not None and _is_untried(summary, r.rival[0])
    ]
    if not untried:
        return
    scenario, rival, probability = max(untried, key=lambda found: found[2])
    where = f" for {scenario}" if scenario else ""
    decision = deployment_text(study.search_space, study.decision_of(rival))
    more = len(untried) - 1
    yield (
        f"Not measured and probably better{where}: {decision} ({chance(probability)})"
        + (f"; so in {counted(more, 'other scenario')}." if more else ".")
    )


def _is_untried(summary: Summary, configuration: Configuration) -> bool:
    return all(p.configuration != configuration for p in summary.pooled.values())
