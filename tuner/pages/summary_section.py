"""The section that a reader in a hurry reads: the question, the answer, and how sure it is."""

from __future__ import annotations

from collections.abc import Iterator

from tuner.measure.record import StudyRecord
from tuner.model.study_model import FEWEST
from tuner.pages.blocks import Block, Cell, Facts, Link, Points, Section, Words
from tuner.pages.choice_table import by_scenario, stated
from tuner.pages.searched import cost, question
from tuner.pages.sources import Sources
from tuner.results import in_words
from tuner.results.chosen import ChosenConfiguration, ChosenConfigurations, chosen_configurations
from tuner.results.findings import Findings
from tuner.results.grid_cost import searched
from tuner.results.summary import Summary
from tuner.results.wording import chance
from tuner.spec.space import Configuration


def summary(sources: Sources) -> Section:
    """The answer first, then the question, what it took, each scenario, and the doubts."""
    record = sources.record
    chosen = chosen_configurations(record, sources.summary, sources.findings)
    blocks: list[Block] = [
        *_answer(sources, chosen),
        question(record),
        cost(searched(record)),
        *_scenarios(record, chosen),
        *_robust(sources, chosen),
        *uncertain(sources.record, sources.summary, sources.findings),
    ]
    return Section("summary", "Summary", tuple(blocks))


def _answer(sources: Sources, chosen: ChosenConfigurations) -> Iterator[Block]:
    record, best = sources.record, chosen.overall
    if best is None:
        yield Words(
            "Nothing was measured yet."
            if not record.trials
            else f"Nothing feasible was found among {len(record.trials)} trials, so nothing is"
            " recommended.",
            "lead",
        )
        return
    yield recommended(best.configuration)
    yield stated(record, best)
    yield _evidence(best)
    if len(sources.summary.scenarios) > 1:
        yield Words(in_words.WITH_SCENARIOS)


def recommended(configuration: Configuration) -> Words:
    """Which configuration is recommended."""
    return Words(
        f"Recommended, as the best compromise of all that was measured (the knee of the overall"
        f" front): {configuration}.",
        "lead",
    )


def _evidence(choice: ChosenConfiguration) -> Facts:
    bursts = "one burst" if choice.bursts == 1 else f"{choice.bursts} bursts"
    rows: list[tuple[str, Cell]] = [
        ("rests on", Link(f"{bursts}: trial {choice.trial}", f"trial-{choice.trial}"))
    ]
    if choice.on_front is not None:
        rows.append(("that it is on its front", chance(choice.on_front)))
    return Facts(tuple(rows))


def _scenarios(record: StudyRecord, chosen: ChosenConfigurations) -> Iterator[Block]:
    if not chosen.scenarios:
        return
    yield by_scenario(
        record,
        chosen.scenarios,
        "Recommended in each scenario, as measured",
        decisions=True,
    )


def _robust(sources: Sources, chosen: ChosenConfigurations) -> Iterator[Block]:
    record, findings = sources.record, sources.findings
    if findings is None:
        return
    if findings.robust is not None:
        yield Words(
            f"One decision for all scenarios, with the least regret: {findings.robust.decision}.",
            "lead",
        )
        yield Words(in_words.regret_sentences(findings.robust))
        yield by_scenario(
            record, chosen.robust, "The decision of least regret in each scenario", decisions=False
        )
    elif findings.serving is not None:
        yield Words(in_words.NONE_SERVES)
    if findings.serving is not None:
        yield Words(in_words.serves_most(record, findings.serving))


def uncertain(record: StudyRecord, summary: Summary, findings: Findings | None) -> Iterator[Block]:
    """What a reader must be careful with, and what more trials would settle."""
    if not record.trials and not record.failed:
        return
    lines = [
        *in_words.verdicts(record),
        *in_words.doubts(record),
        *in_words.unstable(summary),
    ]
    lines += in_words.infeasible(record.trials)
    if findings is None:
        lines.append(
            f"Nothing is predicted yet: a model needs {FEWEST} configurations that could be"
            " measured."
        )
    if findings is not None:
        lines = [
            *(f"{line[0].upper()}{line[1:]}." for line in in_words.still_open(findings)),
            *lines,
        ]
    yield Points("What is uncertain", tuple(lines))
