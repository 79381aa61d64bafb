"""What an answer is made of: text, tables and figures, before it is HTML, Markdown or a terminal's.

All text is plain text; what renders a block escapes it, wherever it came from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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


@dataclass(frozen=True)
class View:
    """One of several drawings in one figure: the indices of the `traces` that it shows."""

    name: str
    traces: frozenset[int]


@dataclass(frozen=True)
class BoundedMetric:
    """A metric that a reader can bound: its name as people say it, with the unit apart. `most`
    says that the bound is the most that is allowed, else it is the least. `bound` is the study's
    own, None where it has none.
    """

    name: str
    unit: str
    most: bool
    bound: float | None


@dataclass(frozen=True)
class BoundedPoint:
    """A measured configuration that may hold a bound.

    `place` is where it was measured, `deploy` what one would deploy. The one of the least `rank`
    reserves least; those with replicas that never have a request come last. `values` and `texts`
    are its metrics in the figure's order, None and a dash where it has none.
    """

    place: str
    deploy: str
    rank: int
    values: tuple[float | None, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Bounds:
    """What a reader asks of a figure: which points hold a bound, and which of them is cheapest.

    `points` are by the Plotly `ids` of the figure's marks. `places` are the points' places in the
    order of the figure's views; a figure without views has one.
    """

    metrics: tuple[BoundedMetric, ...]
    places: tuple[str, ...]
    points: Mapping[str, BoundedPoint]


@dataclass(frozen=True, eq=False)
class Figure:
    """A drawing with what it shows as a table behind it.

    `name` is unique on the page and makes a file name: lower-case letters, digits, hyphens.
    `caption` says in a sentence what to see in it. A figure with `views` shows the first of them
    until a reader takes another one; `choice` says what there is to choose.
    """

    name: str
    title: str
    caption: str
    plot: go.Figure
    table: Table
    views: tuple[View, ...] = ()
    choice: str = ""
    bounds: Bounds | None = None


@dataclass(frozen=True)
class Log:
    """Text of a machine, such as the end of a container's log, line by line."""

    title: str
    text: str


@dataclass(frozen=True)
class Commands:
    """Command lines to copy, one below another."""

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


Block = Words | Facts | Points | Table | Figure | Log | Commands


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
    Where a page `folds`, a reader sees its first section, and opens the others.
    `pages_title` is what the sub-pages are together.
    """

    title: str
    subtitle: str
    sections: tuple[Section, ...]
    pages: tuple[Section, ...] = ()
    notice: str = ""
    pages_title: str = "Pages"
    folds: bool = False


def figures(page: Page) -> Iterator[Figure]:
    """Every figure of a page, in its order, those of its sub-pages last."""
    for section in (*page.sections, *page.pages):
        yield from (block for block in section.blocks if isinstance(block, Figure))
