"""Blocks as lines of text for a terminal.

A terminal has a width. Prose wraps at spaces; a table leaves out its least important columns and
says which, or stands as one list for each row. Nothing is cut. A pipe or a file has no width:
nothing wraps, every column is there, and nothing is coloured.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from tuner.pages.blocks import (
    Block,
    Commands,
    Facts,
    Figure,
    Log,
    Page,
    Points,
    Scatter,
    Section,
    Table,
    Words,
)
from tuner.render.columns import Kind, kinds, text_of
from tuner.render.legible import legible
from tuner.render.scatter import NARROWEST, WIDEST, drawn

Shown = Block | Scatter | Section | Page

READABLE = 100
"""Characters of a line of prose, on however wide a terminal."""

WRAPPED = 20
"""Characters to which a column of long texts may shrink before other columns are left out."""

_GAP = "  "
_NUMBER_AND_UNIT = re.compile(r"(?<=[\d)]) (?=[%a-zA-Z(][^\s=]*(?:\s|$))|(?<=P) |(?<=P >) ")
_TONES = {"plain": "", "lead": "bold", "doubt": "yellow"}

console = Console(highlight=False, markup=False, emoji=False)


def show(*blocks: Shown, on: Console | None = None) -> None:
    """Print blocks as they fit, to standard output or to another console."""
    target = on or console
    for line in lines(blocks, target.width if target.is_terminal else None):
        target.print(line, soft_wrap=True)


def plain_text(blocks: Iterable[Shown], width: int | None = None) -> str:
    """The same without colours; `width` is None where lines may be of any length."""
    return "\n".join(line.plain for line in lines(blocks, width))


def lines(blocks: Iterable[Shown], width: int | None) -> Iterator[Text]:
    """Blocks in order, an empty line around those that are more than a paragraph."""
    before: Shown | None = None
    for block in blocks:
        set_as = list(_SET[type(block)](block, width))
        if (
            set_as
            and before is not None
            and not (isinstance(block, Words) and isinstance(before, Words))
        ):
            yield Text("")
        before = block if set_as else before
        yield from set_as


def _words(block: Words, width: int | None) -> Iterator[Text]:
    return _prose(block.text, width, style=_TONES[block.tone])


def _points(block: Points, width: int | None) -> Iterator[Text]:
    yield from _prose(block.title, width, style="bold")
    for item in block.items:
        yield from _prose(item, width, "- ")


def _facts(block: Facts, width: int | None, margin: str = "", style: str = "") -> Iterator[Text]:
    if block.title:
        yield from _prose(block.title, width, style="bold")
        margin += _GAP
    rows = [(legible(name), legible(text_of(cell))) for name, cell in block.rows]
    longest = max((cell_len(name) for name, _ in rows), default=0)
    if width is not None:
        longest = min(longest, width // 2)
    indent = " " * (len(margin) + longest + len(_GAP))
    for name, text in rows:
        first = f"{margin}{_padded(name, longest)}{_GAP}"
        wrapped = [first + text] if width is None else _wrapped(text, width, first, indent)
        yield from (Text(line.rstrip(), style) for line in wrapped)


def _figure(block: Figure, width: int | None) -> Iterator[Text]:
    """The numbers: its caption says what to see in the drawing."""
    if not block.table.caption:
        yield from _prose(block.title, width, style="bold")
    yield from _table(block.table, width)


def _scatter(block: Scatter, width: int | None) -> Iterator[Text]:
    filled = [series for series in block.series if series.points]
    if not filled or (width is not None and width < NARROWEST):
        return
    names = "".join(f"   {series.marker} {series.name}" for series in reversed(filled))
    yield Text(f"{block.y}{names}")
    for line in Text.from_ansi(drawn(block, WIDEST if width is None else width)).split():
        line.rstrip()
        yield line


def _log(block: Log | Commands, width: int | None) -> Iterator[Text]:
    """As it is: whoever copies a line has it whole."""
    if block.title:
        yield from _prose(block.title, width, style="bold")
    yield from (Text(f"    {legible(text)}") for text in block.text.rstrip().splitlines())


def _section(block: Section, width: int | None) -> Iterator[Text]:
    yield from _prose(block.title, width, style="bold underline")
    yield from lines(block.blocks, width)


def _page(block: Page, width: int | None) -> Iterator[Text]:
    """Without its sub-pages."""
    yield from _prose(block.title, width, style="bold")
    if block.notice:
        yield from _words(Words(block.notice, "doubt"), width)
    for section in block.sections:
        yield Text("")
        yield from _section(section, width)


def _prose(text: str, width: int | None, first: str = "", *, style: str = "") -> Iterator[Text]:
    """Text that wraps at spaces, with further lines indented under it."""
    for part in legible(text).splitlines() or [""]:
        wrapped = [first + part] if width is None else _wrapped(part, min(width, READABLE), first)
        yield from (Text(line, style) for line in wrapped)


def _wrapped(text: str, width: int, first: str = "", indent: str = "") -> list[str]:
    """Lines of at most `width` characters, but where a single word is longer.

    A number and its unit stay together.
    """
    lines = textwrap.wrap(
        _NUMBER_AND_UNIT.sub("\N{NO-BREAK SPACE}", text),
        width,
        initial_indent=first,
        subsequent_indent=indent or " " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines] or [first]


def _kept_together(text: str) -> list[str]:
    """What no line breaks: words, and numbers with their units (`p95 (ms)`)."""
    return _NUMBER_AND_UNIT.sub("\N{NO-BREAK SPACE}", text).split(" ")


@dataclass(frozen=True)
class _Column:
    """A column of a table: its texts, and between which widths it may be set.

    `priority` is that of `Table.priorities`; a column that may be folded says so.
    """

    name: str
    cells: tuple[str, ...]
    kind: Kind
    least: int
    most: int
    priority: int
    folds: bool

    @classmethod
    def of(
        cls, name: str, cells: Sequence[str], kind: Kind, priority: int = 0, *, folds: bool = False
    ) -> _Column:
        longest = max(map(cell_len, cells), default=0)
        least = longest
        if kind == "w":
            words = (cell_len(word) for cell in cells for word in _kept_together(cell))
            least = min(longest, max(WRAPPED, *words, 0))
        head = max(map(cell_len, _kept_together(name)), default=0)
        most = max(longest, cell_len(name))
        return cls(name, tuple(cells), kind, max(least, head), most, priority, folds)


def _columns(table: Table) -> list[_Column]:
    return [
        _Column.of(
            legible(name),
            [legible(text_of(row[i])) for row in table.rows],
            kind,
            table.priorities[i] if table.priorities else 0,
            folds=i in table.foldable,
        )
        for i, (name, kind) in enumerate(zip(table.columns, kinds(table), strict=True))
    ]


def _table(table: Table, width: int | None) -> Iterator[Text]:
    if table.caption:
        yield from _prose(table.caption, width, style="bold")
    columns = _columns(table)
    fitted, left_out = (columns, []) if width is None else _fitted(columns, width)
    if not fitted:
        yield from _stacked(table, columns, width)
        return
    widths = _widths(fitted, width)
    yield from _set([column.name for column in fitted], fitted, widths, "bold")
    for index in range(len(table.rows)):
        cells = [column.cells[index] for column in fitted]
        yield from _set(cells, fitted, widths, "dim" if index in table.muted else "")
    if left_out and not table.brief:
        names = ", ".join(dict.fromkeys(left_out))
        yield from _prose(
            f"Not shown at this width: {names}. A wider terminal or `| less -S` shows them.",
            width,
            style="dim",
        )


def _fitted(columns: Sequence[_Column], width: int) -> tuple[list[_Column], list[str]]:
    """The columns that are shown, and the names of those that are not.

    No column where not even those that are always needed fit.
    """
    shown = list(columns)
    left_out: list[str] = []
    while sum(c.least for c in shown) + len(_GAP) * (len(shown) - 1) > width:
        last = max(reversed(shown), key=lambda column: column.priority)
        if last.folds:
            shown = _folded(shown)
        elif last.priority:
            shown.remove(last)
            left_out.insert(0, last.name)
        else:
            return [], []
    return shown, left_out


def _folded(columns: Sequence[_Column]) -> list[_Column]:
    """With one column of `name=value` in place of all that fold."""
    folding = [column for column in columns if column.folds]
    names = [column.name.partition(" (")[0] for column in folding]
    cells = [
        " ".join(f"{name}={cell}" for name, cell in zip(names, row, strict=True) if cell != "-")
        for row in zip(*(column.cells for column in folding), strict=True)
    ]
    at = columns.index(folding[0])
    folded = _Column.of(", ".join(column.name for column in folding), cells, "w")
    rest = [column for column in columns if not column.folds]
    return [*rest[:at], folded, *rest[at:]]


def _widths(columns: Sequence[_Column], width: int | None) -> list[int]:
    """Each column as wide as it wants to be, as far as there is room."""
    if width is None:
        return [column.most for column in columns]
    widths = [column.least for column in columns]
    spare = width - sum(widths) - len(_GAP) * (len(widths) - 1)
    while spare > 0 and (below := [i for i, c in enumerate(columns) if widths[i] < c.most]):
        for i in below[:spare]:
            widths[i] += 1
        spare -= len(below)
    return widths


def _set(
    cells: Sequence[str], columns: Sequence[_Column], widths: Sequence[int], style: str
) -> Iterator[Text]:
    """One row, on as many lines as its longest cell needs."""
    parts = [
        [cell] if cell_len(cell) <= width else _wrapped(cell, width)
        for cell, width in zip(cells, widths, strict=True)
    ]
    for k in range(max(map(len, parts), default=0)):
        texts = (
            _padded(part[k] if k < len(part) else "", width, right=column.kind == "n")
            for part, column, width in zip(parts, columns, widths, strict=True)
        )
        yield Text(_GAP.join(texts).rstrip(), style)


def _padded(text: str, width: int, *, right: bool = False) -> str:
    blanks = " " * (width - cell_len(text))
    return blanks + text if right else text + blanks


def _stacked(table: Table, columns: Sequence[_Column], width: int | None) -> Iterator[Text]:
    """Each row as a list of its own, under its first cell."""
    for index in range(len(table.rows)):
        first, *rest = ((column.name, column.cells[index]) for column in columns)
        style = "dim" if index in table.muted else ""
        yield from _prose(" ".join(first).strip(), width, style=style or "bold")
        yield from _facts(Facts(tuple(rest)), width, _GAP, style)


_SET: dict[type, Callable[[Any, int | None], Iterator[Text]]] = {
    Words: _words,
    Facts: _facts,
    Points: _points,
    Table: _table,
    Figure: _figure,
    Scatter: _scatter,
    Log: _log,
    Commands: _log,
    Section: _section,
    Page: _page,
}
