"""No text can steer the terminal or the page on which it stands."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tuner.pages.blocks import Block, Facts, Log, Points, Table, Words
from tuner.render.legible import legible
from tuner.render.terminal import lines

HOSTILE = (
    "a\x1b]0;title\x07b\x1b[2J\x9b31mc\rd\u202ee\u2066f\u2028g[red]h[/red]<script>alert(1)</script>"
)


@given(st.text())
def test_what_is_legible_steers_nothing(text: str) -> None:
    steering = {c for c in legible(text) if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"}}
    assert steering <= {"\t", "\n"}
    assert not {unicodedata.bidirectional(c) for c in legible(text)} & {"LRO", "RLO", "LRE", "RLE"}


@pytest.mark.parametrize("width", [None, 40, 200])
def test_a_block_on_a_terminal_steers_nothing(width: int | None) -> None:
    blocks: list[Block] = [
        Words(HOSTILE),
        Facts(((HOSTILE, HOSTILE),), HOSTILE),
        Points(HOSTILE, (HOSTILE,)),
        Table((HOSTILE, "b"), ((HOSTILE, "1"),), HOSTILE),
        Log(HOSTILE, HOSTILE),
    ]
    console = Console(force_terminal=True, width=width or 80, color_system=None, markup=False)
    with console.capture() as captured:
        for line in lines(blocks, width):
            console.print(line, soft_wrap=True)
    shown = captured.get()
    assert legible(shown) == shown
    assert "[red]h[/red]" in shown
