"""Blocks on a terminal: at any width nothing is cut, and a pipe has everything on one line."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from tuner.pages.blocks import Facts, Link, Log, Points, Section, Table, Words
from tuner.render.terminal import plain_text, show

WIDTHS = (80, 120, 200)

WORDS = st.text("abcdefghi", min_size=1, max_size=14)
NUMBERS = st.floats(0.001, 1e6).map(lambda x: f"{x:.3g} ({0.9 * x:.3g}-{1.1 * x:.3g})")
PROSE = st.lists(WORDS, min_size=1, max_size=20).map(" ".join)
TITLES = st.tuples(WORDS, st.sampled_from(["", " (ms)", " (% of host)", " (requests/s)"])).map(
    "".join
)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Tables of up to twenty columns of numbers, words or prose, with priorities or without."""
    count = draw(st.integers(1, 20))
    titles = draw(st.lists(TITLES, min_size=count, max_size=count))
    columns = tuple(f"{title}{i}" for i, title in enumerate(titles))
    kinds = [draw(st.sampled_from([WORDS, NUMBERS, PROSE])) for _ in columns]
    rows = tuple(tuple(draw(kind) for kind in kinds) for _ in range(draw(st.integers(0, 4))))
    priorities = tuple(draw(st.integers(0, 3)) for _ in columns)
    return Table(columns, rows, priorities=draw(st.sampled_from([(), priorities])))


def words_of(text: str) -> list[str]:
    return sorted(text.split())


@pytest.mark.parametrize("width", WIDTHS)
@settings(max_examples=60, deadline=None)
@given(table=tables())
def test_a_table_fits_and_no_essential_word_of_it_is_cut(width: int, table: Table) -> None:
    text = plain_text([table], width)
    assert max((len(line) for line in text.splitlines()), default=0) <= width
    assert "…" not in text
    there = text.split()
    for i, column in enumerate(table.columns):
        if not table.priorities or table.priorities[i] == 0:
            for cell in (column, *(str(row[i]) for row in table.rows)):
                if table.rows:
                    assert set(cell.split()) <= set(there), cell


@settings(max_examples=60, deadline=None)
@given(table=tables())
def test_a_pipe_has_every_column_and_a_line_for_each_row(table: Table) -> None:
    head, *rows = plain_text([table]).splitlines() or [""]
    assert len(rows) == len(table.rows)
    assert words_of(head) == words_of(" ".join(table.columns))
    for line, row in zip(rows, table.rows, strict=True):
        assert words_of(line) == words_of(" ".join(map(str, row)))


TABLE = Table(
    ("trial", "cpu (cores)", "ART (ms)", "p95 (ms)", "said of it"),
    (
        (Link("12", "trial-12"), "0.5", "5.71 (4.52-7.21)", "9.11", "VALID"),
        ("13", "1", "15.7 (14.5-17.2)", "30.5", "the host had drifted while it was measured"),
    ),
    "Every trial",
    priorities=(0, 1, 0, 2, 1),
)


def test_columns_are_left_out_by_priority_and_named() -> None:
    assert "Not shown" not in plain_text([TABLE], 80)
    assert plain_text([TABLE], 50).splitlines() == [
        "Every trial",
        "trial  cpu (cores)          ART (ms)",
        "   12          0.5  5.71 (4.52-7.21)",
        "   13            1  15.7 (14.5-17.2)",
        "Not shown at this width: said of it, p95 (ms). A",
        "wider terminal or `| less -S` shows them.",
    ]
    assert plain_text([TABLE], 30).splitlines()[:4] == [
        "Every trial",
        "trial          ART (ms)",
        "   12  5.71 (4.52-7.21)",
        "   13  15.7 (14.5-17.2)",
    ]


def test_columns_fold_into_one_before_a_row_is_a_list() -> None:
    table = Table(
        ("trial", "cpu (cores)", "memory (MiB)", "concurrency", "size", "ART (ms)"),
        (("12", "0.5", "256", "16", "4", "5.71 (4.52-7.21)"), ("13", "1", "512", "1", "-", "15.7")),
        priorities=(0, 1, 1, 1, 1, 0),
        foldable=(1, 2, 3, 4),
    )
    assert plain_text([table], 47).splitlines() == [
        "trial  cpu (cores), memory             ART (ms)",
        "       (MiB), concurrency,",
        "       size",
        "   12  cpu=0.5 memory=256      5.71 (4.52-7.21)",
        "       concurrency=16 size=4",
        "   13  cpu=1 memory=512                    15.7",
        "       concurrency=1",
    ]


def test_a_row_stands_as_a_list_where_its_columns_do_not_fit() -> None:
    assert plain_text([TABLE], 22).splitlines()[:6] == [
        "Every trial",
        "trial 12",
        "  cpu (cores)  0.5",
        "  ART (ms)     5.71 (4.52-7.21)",
        "  p95 (ms)     9.11",
        "  said of it   VALID",
    ]


def test_prose_wraps_on_a_terminal_and_keeps_numbers_with_their_units() -> None:
    text = "Average response time is 5.7 (4.5-7.2) ms at P 0.93, 96 MiB of memory. " * 3
    wrapped = plain_text([Words(text)], 40)
    assert max(map(len, wrapped.splitlines())) <= 40
    for whole in ("5.7 (4.5-7.2) ms", "P 0.93", "96 MiB"):
        assert wrapped.count(whole) == 3, wrapped
    assert plain_text([Words(text)]) == text


def test_each_block_has_its_form() -> None:
    section = Section(
        "about",
        "About it",
        (
            Facts((("study", "mnist"), ("trials", Link("60", "trials"))), "Facts"),
            Points("What is open", ("a first thing", "a second thing")),
            Log("Next", "tune show --study mnist --storage 'sqlite:////a/path/that/is/long.db'"),
        ),
    )
    assert plain_text([section], 40).splitlines() == [
        "About it",
        "Facts",
        "  study   mnist",
        "  trials  60",
        "",
        "What is open",
        "- a first thing",
        "- a second thing",
        "",
        "Next",
        "    tune show --study mnist --storage 'sqlite:////a/path/that/is/long.db'",
    ]


def test_a_pipe_gets_no_colour_and_no_control_character() -> None:
    stream = io.StringIO()
    blocks = Words("\x1b[31mred\x07", "doubt"), Log("Log", "\x1b]0;title\x07 line")
    show(*blocks, on=Console(file=stream, force_terminal=False))
    assert not re.search("[\x00-\x09\x0b-\x1f]", stream.getvalue())
    colours = io.StringIO()
    show(*blocks, on=Console(file=colours, force_terminal=True, color_system="standard"))
    assert "\x1b[33m" in colours.getvalue()
    assert "\x1b]" not in colours.getvalue()
    assert "\x07" not in colours.getvalue()
