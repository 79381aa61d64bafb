"""Text from elsewhere stays text."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from tuner.pages.blocks import Block, Facts, Link, Log, Page, Points, Section, Table, Words
from tuner.render.markdown import inert, to_markdown

ESCAPED = re.compile(r"\\[!-/:-@\[-`{-~]")


@given(st.text())
def test_nothing_in_it_means_anything(text: str) -> None:
    line = inert(text)
    assert "\n" not in line
    assert not set(ESCAPED.sub("", line)) & set("\\`*_{}[]<>()#|~!&$^")
    assert not re.search(r"://\w|www\.|@\w", ESCAPED.sub("x", line))


@given(st.text(st.characters(exclude_categories=["Cc", "Cf", "Zl", "Zp", "Zs", "Cs"])))
def test_it_reads_the_same(text: str) -> None:
    shown = re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", inert(text)).replace("\u2060", "")
    assert shown == text


def written(*blocks: Block) -> list[str]:
    """The lines of a section that has these blocks."""
    page = Page("t", "", (Section("s", "S", blocks),))
    text = to_markdown(page, lambda name: f"to?{name}" if name == "here" else None)
    return text.removeprefix("# t\n\n## S\n\n").split("\n")


@given(st.lists(st.tuples(st.text(), st.text()), max_size=5))
def test_every_row_of_a_table_has_its_cells(rows: list[tuple[str, str]]) -> None:
    lines = written(Table(("a", "b"), tuple(rows)))
    assert len(lines) == 2 + len(rows)
    assert all(ESCAPED.sub("", line).count("|") == 3 for line in lines)


@given(st.text())
def test_no_paragraph_or_item_begins_a_list_or_a_heading(text: str) -> None:
    for block in (Words(text), Words(text, "lead"), Points("", (text,)), Facts(((text, text),))):
        lines = written(block)
        assert len(lines) == 1
        line = lines[0].removeprefix("- ")
        assert not re.match(r"(\d+[.)]|[-+=]|#)", line)


def test_a_link_leads_where_its_address_is_and_is_text_elsewhere() -> None:
    table = Table(("a", "b"), ((Link("7", "here"), Link("8", "nowhere")),))
    assert written(table)[-1] == "| [7](to?here) | 8 |"


def test_a_log_stays_within_its_fence() -> None:
    lines = written(Log("L", "a\n```\n# b"))
    assert lines == ["### L", "", "````", "a", "```", "# b", "````"]
