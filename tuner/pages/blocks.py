"""What an answer is made of: text, tables and figures, before it is HTML, Markdown or a terminal's.

All text is plain text; what renders a block escapes it, wherever it came from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True)
class Link:
    """Leads to the section, sub-page or figure of that name on the same page."""

    text: str
    to: str


Cell = str | Link


@dataclass(frozen=True)
class Words:
    """A paragraph. `lead` is what a reader in a hurry reads, `doubt` what to be careful about."""

    text: str
    tone: Literal["plain", "lead", "doubt"] = "plain"


@dataclass(frozen=True)
class Facts:
    """Names and what they are, in order; under a heading of their own where they have a title."""

    rows: tuple[tuple[str, Cell], ...]
    title: str = ""


@dataclass(frozen=True)
class Points:
    """Statements that stand beside one another, under a heading."""

    title: str
    items: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Rows of cells as they are read: rounded, with units in the columns' names.

    Every row has as many cells as there are `columns`.

    What does not fit a narrow place leaves out columns by `priorities`, one number for each column:
    the columns of the largest number go first, those of 0 never. Without priorities all columns
    are needed. `foldable` are the indices of columns that, when it would be their turn to go, stand
    as one column of `name=value` instead. `muted` are the indices of rows that count for less, such
    as infeasible trials. A `brief` table is for a glance: what it leaves out is not named.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    priorities: tuple[int, ...] = ()
    foldable: tuple[int, ...] = ()
    muted: frozenset[int] = frozenset()
    brief: bool = False


@dataclass(frozen=True, eq=False)
class Figure:
    """A drawing with what it shows as a table behind it.

    `name` is unique on the page and makes a file name: lower-case letters, digits, hyphens.
    `caption` says in a sentence what to see in it.
    """

    name: str
    title: str
    caption: str
    plot: go.Figure
    table: Table


@dataclass(frozen=True)
class Log:
    """Text of a machine, such as the end of a container's log, line by line."""

    title: str
    text: str


@dataclass(frozen=True)
class ScatterSeries:
    """Points (x, y) under one name, later drawn over earlier; `marker` is one character."""

    name: str
    marker: str
    points: tuple[tuple[float, float], ...]
    colour: str


@dataclass(frozen=True)
class Scatter:
    """Points that a terminal draws with characters; `x` and `y` are titles with units."""

    x: str
    y: str
    series: tuple[ScatterSeries, ...]


Block = Words | Facts | Points | Table | Figure | Log


@dataclass(frozen=True)
class Section:
    """A part of the answer under a heading; `name` is unique on the page, as a figure's is."""

    name: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Page:
    """One self-contained page: sections one below another, and sub-pages that a link opens.

    `notice` is what a reader must know before anything else, and stands at the top of each view.
    `pages_title` is what the sub-pages are together.
    """

    title: str
    subtitle: str
    sections: tuple[Section, ...]
    pages: tuple[Section, ...] = ()
    notice: str = ""
    pages_title: str = "Pages"


def figures(page: Page) -> Iterator[Figure]:
    """Every figure of a page, in its order, those of its sub-pages last."""
    for section in (*page.sections, *page.pages):
        yield from (block for block in section.blocks if isinstance(block, Figure))
