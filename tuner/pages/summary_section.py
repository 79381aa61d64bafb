"""The section that a reader in a hurry reads: the question, the answer, and how sure it is."""

from __future__ import annotations

from collections.abc import Iterator

from tuner.measure.record import StudyRecord
from tuner.model.study_model import FEWEST
from tuner.pages.blocks import Block, Points, Section
from tuner.pages.run_page import next_steps
from tuner.pages.searched import cost, question
from tuner.pages.sources import Sources
from tuner.pages.what_to_deploy import answer_blocks
from tuner.results import in_words
from tuner.results.findings import Findings
from tuner.results.grid_cost import searched
from tuner.results.summary import Summary
from tuner.results.wording import sentence


def summary(sources: Sources) -> Section:
    """The answer first, then the question, what it took, and the doubts."""
    record = sources.record
    blocks: list[Block] = [
        *answer_blocks(record, sources.summary, sources.findings),
        *_next(sources),
        question(record),
        cost(searched(record)),
        *uncertain(record, sources.summary, sources.findings),
    ]
    return Section("summary", "Summary", tuple(blocks))


def _next(sources: Sources) -> Iterator[Block]:
    """The commands that export and verify the answer."""
    if sources.summary.recommendations:
        yield from next_steps(sources.record, sources.summary, "")


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
            *map(sentence, in_words.still_open(findings)),
            *lines,
        ]
    yield Points("What is uncertain", tuple(lines))
