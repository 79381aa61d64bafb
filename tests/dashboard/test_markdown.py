"""Text from elsewhere stays text."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from tuner.dashboard.markdown import inert, table

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


@given(st.lists(st.tuples(st.text(), st.text()), max_size=5))
def test_every_row_of_a_table_has_its_cells(rows: list[tuple[str, str]]) -> None:
    lines = table(("a", "b"), [tuple(map(inert, row)) for row in rows]).split("\n")
    assert len(lines) == 2 + len(rows)
    assert all(ESCAPED.sub("", line).count("|") == 3 for line in lines)
