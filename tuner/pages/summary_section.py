"""The answer, which a reader in a hurry reads, and the question with its cost and its doubts."""

from __future__ import annotations

from collections.abc import Iterator

from tuner.measure.record import StudyRecord
from tuner.model.study_model import FEWEST
from tuner.pages.answer_figure import answer_figure
from tuner.pages.blocks import Block, Commands, Points, Section, Words
from tuner.pages.run_page import apply_commands
from tuner.pages.searched import cost, question
from tuner.pages.sources import Sources
from tuner.pages.what_to_deploy import answer_blocks, levels_held
from tuner.results import in_words
from tuner.results.findings import Findings
from tuner.results.grid_cost import searched
from tuner.results.summary import Summary
from tuner.results.wording import sentence


def answer(sources: Sources) -> Section:
    """What to deploy, with one figure and the commands that export and verify it."""
    blocks = [*answer_blocks(sources.record, sources.summary, sources.findings)]
    # The sentence, and beside it on a wide screen the figure.
    lead = 1 if isinstance(blocks[0], Words) else 0
    held = levels_held(sources.record, sources.summary)
    blocks[lead:lead] = [*held, *_next(sources), *answer_figure(sources)]
    return Section("answer", "What to deploy", tuple(blocks))


def asked(sources: Sources) -> Section:
    """The question, what its answer took, and the doubts."""
    record = sources.record
    blocks: list[Block] = [
        question(record),
        cost(searched(record)),
        *uncertain(record, sources.summary, sources.findings),
    ]
    return Section("question", "The question, its cost and its doubts", tuple(blocks))


def _next(sources: Sources) -> Iterator[Block]:
    """The commands that export and verify the answer."""
    backends = {trial.backend for trial in sources.record.trials} - {"docker"}
    backend = "".join(f" --backend {backend}" for backend in sorted(backends)[:1])
    selecting = f"--study {sources.record.name}{backend}"
    commands = apply_commands(sources.record, sources.summary, selecting)
    if commands:
        yield Commands("Export it, then check it against a new burst", "\n".join(commands))


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
