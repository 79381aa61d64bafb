from __future__ import annotations

import itertools
import json
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pages.conftest import HOSTILE
from tuner.pages import theme
from tuner.pages.blocks import (
    Block,
    Commands,
    Facts,
    Figure,
    Link,
    Log,
    Page,
    Points,
    Section,
    Table,
    Words,
)
from tuner.render import inert
from tuner.render.columns import folded
from tuner.render.html import MANY, to_html
from tuner.render.legible import legible


def figure(name: str = "front", text: str = "trial", **layout: object) -> Figure:
    plot = theme.plot(x="ART (ms)", y="CPU usage (%)")
    plot.add_scatter(
        x=np.arange(4.0),
        y=[1, 2, 3, 4],
        name=text,
        customdata=np.array([[text, 1]] * 4, dtype=object),
        hovertemplate="<b>%{customdata[0]}</b><br>%{x}<extra></extra>",
    )
    plot.update_layout(**layout)
    return Figure(name, f"Figure {text}", f"What to see: {text}", plot, table(text))


def table(text: str = "a", rows: int = 2) -> Table:
    return Table(("trial", text), tuple((str(i), text) for i in range(rows)), f"Caption {text}")


def page(*blocks: Block, pages: tuple[Section, ...] = (), text: str = "t") -> Page:
    return Page(f"Title {text}", f"Below {text}", (Section("summary", "Summary", blocks),), pages)


class Elements(HTMLParser):
    """Every start tag of a page with its attributes, and what stands in scripts and in texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.texts: list[str] = []
        self._inside: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag in {"script", "style"}:
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._inside and self._inside[-1] == tag:
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        if not self._inside:
            self.texts.append(data)
        elif self._inside == ["script"]:
            attributes, text = self.scripts[-1]
            self.scripts[-1] = attributes, text + data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def drawing(self, name: str) -> dict[str, Any]:
        """The figure's JSON document."""
        (text,) = (t for a, t in self.scripts if a.get("id") == f"{name}-data")
        found: dict[str, Any] = json.loads(text)
        return found


def test_a_page_asks_nobody_and_runs_only_its_own_scripts() -> None:
    elements = Elements(to_html(page(figure())))
    outside = [a for _, a in elements.tags if {"src", "srcset", "action", "ping"} & a.keys()]
    assert outside == []
    links = [a["href"] for _, a in elements.tags if "href" in a]
    assert all(link and link.startswith(("#", "data:")) for link in links)
    (policy,) = (a["content"] for a in elements.all("meta") if a.get("http-equiv"))
    assert policy
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy
    assert "unsafe-inline" not in policy.partition("style-src")[0]
    running = [text for a, text in elements.scripts if "type" not in a]
    assert len(running) == 3
    assert len(re.findall("'sha256-", policy)) == 3


def test_the_same_page_gives_the_same_text() -> None:
    assert to_html(page(figure(), table())) == to_html(page(figure(), table()))


def test_texts_of_users_stay_texts() -> None:
    t = HOSTILE
    blocks: tuple[Block, ...] = (
        Words(t),
        Facts(((t, t), (t, Link(t, "front"))), t),
        Points(t, (t,)),
        table(t),
        Log(t, t),
        Commands(t, t),
        figure(text=t),
    )
    harmless, hostile = (
        Elements(to_html(page(*some, text=text, pages=(Section("trial-1", text, some[:1]),))))
        for text, some in (
            ("t", tuple(_harmless(b) for b in blocks)),
            (t, blocks),
        )
    )
    # Where a long name may go on in another line says nothing.
    tags = [[tag for tag, _ in one.tags if tag not in {"wbr", "br"}] for one in (hostile, harmless)]
    assert tags[0] == tags[1]
    assert "{{7*7}}" in "".join(hostile.texts)
    assert "49" not in "".join(hostile.texts)
    assert not any(name.startswith("on") for _, a in hostile.tags for name in a)
    assert hostile.drawing("front").keys() == harmless.drawing("front").keys()


def _harmless(block: Block) -> Block:
    match block:
        case Words():
            return Words("t")
        case Facts():
            return Facts((("t", "t"), ("t", Link("t", "front"))), "t")
        case Points():
            return Points("t", ("t",))
        case Table():
            return table("t")
        case Log() | Commands():
            return type(block)("t", "t")
        case Figure():
            return figure(text="t")


def test_what_plotly_draws_has_the_tags_that_figures_use_and_no_other() -> None:
    drawing = json.dumps(Elements(to_html(page(figure(text=HOSTILE)))).drawing("front"))
    tags = set(re.findall("<[^>]*>", drawing))
    assert tags == {"<b>", "</b>", "<br>", "<extra>", "</extra>"}
    assert "&lt;script>" in drawing


@given(st.text())
def test_a_plain_text_is_drawn_as_it_was_written(text: str) -> None:
    drawn = inert.inert_text(theme.plotly_text(text))
    assert "<" not in drawn
    read = drawn.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert read == legible(text)


@given(st.text(alphabet="<>/abrisupxe tn&;"))
def test_only_bare_tags_are_markup(text: str) -> None:
    for tag in re.findall("<[^>]*>?", inert.inert_text(text)):
        assert re.fullmatch(r"</?(b|i|sub|sup|extra)>|<br ?/?>", tag)


def test_arrays_stay_small() -> None:
    plot = theme.plot(x="a", y="b")
    plot.add_scatter(x=np.linspace(0, 1, 2000), y=np.linspace(0, 1, 2000))
    drawn = Figure("many", "Many", "Many", plot, table())
    (trace,) = Elements(to_html(page(drawn))).drawing("many")["data"]
    assert trace["x"].keys() == {"dtype", "bdata"}
    assert len(trace["x"]["bdata"]) < 11 * 2000


def test_each_figure_says_what_it_is_and_has_its_table() -> None:
    elements = Elements(to_html(page(figure(meta={"log_switch": ["y"]}))))
    (drawn,) = (a for a in elements.all("div") if a.get("role") == "img")
    assert drawn["aria-label"] == "Figure trial. What to see: trial"
    assert drawn["style"] == "min-height: 420px"
    switches = [a["data-axis"] for a in elements.all("button") if "data-axis" in a]
    assert switches == ["y"]
    assert "Table: Caption trial (2 rows)" in "".join(elements.texts)
    assert {a["scope"] for a in elements.all("th")} == {"col", "row"}


def test_headings_do_not_skip_a_level_and_landmarks_are_there() -> None:
    elements = Elements(to_html(page(figure(), table(), Log("log", "x"), Facts((), "facts"))))
    levels = [int(tag[1]) for tag, _ in elements.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))
    assert [len(elements.all(tag)) for tag in ("header", "nav", "main", "h1")] == [1, 1, 1, 1]
    assert elements.all("html")[0]["lang"] == "en"
    assert elements.all("a")[0] == {"class": "skip", "href": "#report"}


def test_parameters_of_a_wide_table_stand_in_one_column() -> None:
    names = [f"p{i} (MiB)" for i in range(15)]
    row = ("7", *map(str, range(14)), "-", "2.5")
    wide = Table(("trial", *names, "ART (ms)"), (row,), foldable=tuple(range(1, 16)))
    found = folded(wide)
    assert found.columns == ("trial", "configuration", "ART (ms)")
    assert found.rows == (("7", " ".join(f"p{i}={i}" for i in range(14)), "2.5"),)
    assert folded(found) == found


def test_a_long_table_is_folded_away() -> None:
    short, long = (Elements(to_html(page(table(rows=n)))) for n in (MANY, MANY + 1))
    assert not short.all("details")
    assert len(long.all("details")) == 1
    assert len(long.all("tr")) == MANY + 2


def test_numbers_stand_at_the_right_and_long_texts_wrap() -> None:
    cells = ("1.2 (0.9-1.5)", "-12 % (-20 to +3) p", "2 replicas", "x" * 31, "-")
    names = tuple(f"c{i}" for i in range(len(cells)))
    elements = Elements(to_html(page(Table(names, (cells, ("-",) * len(cells))))))
    assert [a.get("class") for a in elements.all("th") if a["scope"] == "col"] == [
        "n",
        "n",
        None,
        "w",
        None,
    ]


def test_a_link_leads_to_what_is_there_and_is_text_elsewhere() -> None:
    there = Section("trial-3", "Trial 3", (Words("x"),))
    blocks = Facts((("a", Link("three", "trial-3")), ("b", Link("four", "trial-4"))))
    elements = Elements(to_html(page(blocks, pages=(there,))))
    links = [a["href"] for a in elements.all("a")]
    assert links.count("#trial-3") == 2  # in the facts, and in the list of all sub-pages
    assert "#trial-4" not in links
    assert "four" in elements.texts
    ids = [a["id"] for _, a in elements.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert all(link and link[1:] in ids for link in links)


def test_a_name_stands_for_one_thing() -> None:
    with pytest.raises(ValueError, match="front"):
        to_html(page(figure(), figure()))


def test_an_empty_page_is_a_page() -> None:
    assert "Nothing to list" in to_html(page(Table(("a",), ())))


def test_a_notice_stands_above_everything() -> None:
    text = to_html(Page("t", "s", (), notice="SIMULATED: no containers"))
    assert 0 < text.index("SIMULATED") < text.index("<main>")
