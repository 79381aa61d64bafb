"""Which studies there are: the answer of `tune list`."""

from __future__ import annotations

from collections.abc import Sequence

from tuner.pages.blocks import Table
from tuner.study.storage import StudySummary


def study_table(studies: Sequence[tuple[str, Sequence[StudySummary]]]) -> Table:
    """A row for each study and backend; a study that never ran has one row."""
    rows = []
    for name, held in studies:
        rows += [(name, s.backend, str(s.complete), str(s.running)) for s in held] or [
            (name, "-", "0", "0")
        ]
    return Table(("study", "backend", "finished trials", "running trials"), tuple(rows))
