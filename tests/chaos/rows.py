"""What a chaos test found, as one row of the table with which a run of them ends."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table

LEAST_COLUMNS = 80
HEADS = ("fault", "times", "what the user saw", "stored", "left behind")


@dataclass(frozen=True)
class Row:
    """A fault that was injected so many `times`, and what came of it, each in a few words."""

    fault: str
    times: int
    seen: str
    stored: str
    left: str = "nothing"

    @property
    def cells(self) -> tuple[str, ...]:
        return tuple(str(value) for value in asdict(self).values())


def as_table(rows: Iterable[Row], columns: int) -> str:
    """A table for a terminal of so many columns, but no narrower than `LEAST_COLUMNS`."""
    table = Table(HEADS[0], show_lines=True)
    for head in HEADS[1:]:
        table.add_column(head, justify="right" if head == "times" else "left")
    for row in rows:
        table.add_row(*row.cells)
    text = io.StringIO()
    # Not as markup: a cell may hold square brackets.
    console = Console(
        file=text, width=max(columns, LEAST_COLUMNS), color_system=None, markup=False, emoji=False
    )
    console.print(table)
    return text.getvalue()


def as_markdown(rows: Iterable[Row]) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(" ".join(c.replace("|", "\\|").split()) for c in cells) + " |\n"

    return line(HEADS) + line(["---"] * len(HEADS)) + "".join(line(row.cells) for row in rows)
