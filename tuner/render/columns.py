"""How the columns of a table are set, told from their cells."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from tuner.pages.blocks import Cell, Link, Table

Kind = Literal["n", "w", ""]
"""`n`: numbers, to the right. `w`: long texts, which wrap. Empty: short texts, to the left."""

_NUMBER = re.compile(r"(P )?[-+\N{MINUS SIGN}<>~]?\s?\d[^a-zA-Z]*(to [^a-zA-Z]+)?[a-z]{0,3}")
"""What begins with a number and goes on with numbers, an interval or a short unit."""

_LONG = 30
"""Characters of a text above which its column wraps."""


MOST = 14
"""Of a table with more columns, those of parameters are folded into one on a page."""


def folded(table: Table) -> Table:
    """A table with one column of `name=value` in place of its foldable columns, where it has more
    than `MOST`.
    """
    fold = table.foldable
    if len(table.columns) <= MOST or not fold:
        return table
    names = [table.columns[i].partition(" (")[0] for i in fold]

    def row(cells: Sequence[Cell]) -> tuple[Cell, ...]:
        values = zip(names, (text_of(cells[i]) for i in fold), strict=True)
        text = " ".join(f"{name}={value}" for name, value in values if value != "-")
        rest = [cell for i, cell in enumerate(cells) if i not in fold]
        return (*rest[: fold[0]], text, *rest[fold[0] :])

    rest = [name for i, name in enumerate(table.columns) if i not in fold]
    columns = (*rest[: fold[0]], "configuration", *rest[fold[0] :])
    return Table(columns, tuple(map(row, table.rows)), table.caption)


def kinds(table: Table) -> tuple[Kind, ...]:
    """The kind of each column."""
    return tuple(_kind([row[i] for row in table.rows]) for i in range(len(table.columns)))


def _kind(cells: Sequence[Cell]) -> Kind:
    filled = [text for text in map(text_of, cells) if text not in ("", "-")]
    if filled and all(_NUMBER.fullmatch(text) for text in filled):
        return "n"
    return "w" if max(map(len, filled), default=0) > _LONG else ""


def text_of(cell: Cell) -> str:
    """What a cell reads as."""
    return cell.text if isinstance(cell, Link) else cell
