"""Blocks as Markdown, of which the text that came from elsewhere stays text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from tuner.pages.blocks import (
    Block,
    Cell,
    Commands,
    Facts,
    Figure,
    Link,
    Log,
    Page,
    Points,
    Table,
    Words,
)

_MEANS_SOMETHING = re.compile(r"([\\`*_{}\[\]<>()#|~!&$^])")
_OPENS_SOMETHING = re.compile(r"^(\d*)([-+=.:])")
"""What at the beginning of a line makes a list, a rule or a heading of what is above it."""
_INVISIBLE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]+")
_LINKS_ITSELF = re.compile(r"(://|www|@)(?=[\w.\\])", re.IGNORECASE)
"""What GitHub's Markdown makes a link without being asked, even of escaped text."""

Address = Callable[[str], str | None]
"""Where what a `Link` names is to be found; None where that is nowhere: then it is text."""


def to_markdown(page: Page, address: Address) -> str:
    """`page` without its sub-pages: headings, paragraphs, lists and tables, no drawing."""
    parts = [f"# {inert(page.title)}"]
    parts += [f"**{inert(text)}**" for text in (page.notice,) if text]
    parts += [_line(text) for text in (page.subtitle,) if text]
    for section in page.sections:
        parts.append(f"## {inert(section.title)}")
        for block in section.blocks:
            parts += _parts(block, address)
    return "\n\n".join(parts)


def inert(text: object) -> str:
    """`text` in one line that reads the same and means nothing, within a sentence or a cell.

    Not for the beginning of a line, where a digit or a hyphen would make a list.
    """
    line = _INVISIBLE.sub(" ", str(text)).strip()
    escaped = _MEANS_SOMETHING.sub(r"\\\1", line)
    return _LINKS_ITSELF.sub("\\1\u2060", escaped)  # a word joiner, which has no width


def _parts(block: Block, address: Address) -> Iterator[str]:
    match block:
        case Words(text, tone):
            yield f"**{inert(text)}**" if tone == "lead" else _line(text)
        case Facts(rows, title):
            yield from _heading(title)
            facts = (f"**{inert(name)}:** {_cell(value, address)}" for name, value in rows)
            yield _items(facts)
        case Points(title, items):
            yield from _heading(title)
            yield _items(map(_line, items))
        case Table():
            yield from _captioned(block, address)
        case Figure():
            yield from _captioned(block.table, address)
        case Log(title, text) | Commands(title, text):
            yield from _heading(title)
            yield _fenced(text)


def _line(text: str) -> str:
    """`text` as a line of its own."""
    return _OPENS_SOMETHING.sub(r"\1\\\2", inert(text))


def _heading(title: str) -> Iterator[str]:
    if title:
        yield f"### {inert(title)}"


def _items(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _captioned(table: Table, address: Address) -> Iterator[str]:
    columns = [inert(name) for name in table.columns]
    yield _table(columns, [[_cell(cell, address) for cell in row] for row in table.rows])
    if table.caption:
        yield _line(f"{table.caption}.")


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(cell: Cell, address: Address) -> str:
    if not isinstance(cell, Link):
        return inert(cell)
    target = address(cell.to)
    return inert(cell.text) if target is None else f"[{inert(cell.text)}]({target})"


def _fenced(text: str) -> str:
    """Between fences that are longer than any in `text`."""
    longest = max(map(len, re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"
