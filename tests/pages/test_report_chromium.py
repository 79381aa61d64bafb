"""A report as people see it: opened from its file in the system's Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect

from tests.pages.conftest import HOSTILE
from tuner.pages.report import report
from tuner.render.html import to_html
from tuner.results.reserving import idle_replicas, reservation
from tuner.results.study_file import FinishedStudy
from tuner.results.summary import summarise
from tuner.results.wording import deployment_text, scenario_text

Scheme = Literal["light", "dark"]
DRAWN = ".plot[data-drawn]"

DRAWN_INK = "plot => plot._fullLayout.font.color"
INK: dict[Scheme, str] = {"light": "#1c2128", "dark": "#e3e8ee"}


@pytest.fixture(scope="module")
def written(small: FinishedStudy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _written(small, tmp_path_factory)


@pytest.fixture(scope="module")
def evil(hostile: FinishedStudy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _written(hostile, tmp_path_factory)


def _written(study: FinishedStudy, factory: pytest.TempPathFactory) -> Path:
    path = factory.mktemp("page") / "report.html"
    path.write_bytes(to_html(report(study)).encode())
    return path


class Visits:
    """Pages from their files, and what went wrong on any of them."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self.wrong: list[str] = []

    def __call__(
        self, path: Path, width: int = 1440, scheme: Scheme = "light", at: str = ""
    ) -> Page:
        context = self._browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, has_touch=width < 500
        )
        self._contexts.append(context)
        page = context.new_page()
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("request", lambda asked: self._asked(asked.url, path))
        page.goto(path.as_uri() + at)
        return page

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.wrong.append(message.text)

    def _asked(self, url: str, path: Path) -> None:
        if not url.startswith((path.as_uri(), "data:", "blob:")):
            self.wrong.append(url)

    def end(self) -> None:
        """No error was said, and nothing but the file was asked for."""
        for context in self._contexts:
            context.close()
        assert self.wrong == []


@pytest.fixture
def opened(browser: Browser) -> Iterator[Visits]:
    visits = Visits(browser)
    yield visits
    visits.end()


@pytest.fixture(scope="module")
def _one(browser: Browser, written: Path) -> Iterator[Page]:
    visits = Visits(browser)
    yield visits(written)
    visits.end()


@pytest.fixture
def page(_one: Page, written: Path) -> Page:
    """The report at its beginning; it is not loaded again for each test."""
    _one.goto(written.as_uri() + "#report")
    return _one


def unfold(page: Page) -> None:
    """Open every section."""
    page.evaluate("for (const it of document.querySelectorAll('.fold')) it.open = true")


def scroll(page: Page) -> None:
    """From the top to the bottom, as a reader would, until everything is drawn."""
    unfold(page)
    for plot in page.locator(".plot:visible").all():
        plot.scroll_into_view_if_needed()
        expect(plot).to_have_attribute("data-drawn", "")


@pytest.mark.parametrize("width", [1440, pytest.param(390, marks=pytest.mark.thorough)])
def test_every_figure_is_drawn_and_nothing_is_wider_than_the_screen(
    opened: Visits, written: Path, width: int
) -> None:
    page = opened(written, width)
    scroll(page)
    figures = page.locator("#report .plot").count()
    assert figures == page.locator(f"#report {DRAWN}").count() > 5
    expect(page.get_by_text("SIMULATED").first).to_be_visible()
    for scheme, colour in INK.items():
        page.emulate_media(color_scheme=scheme)
        expect(page.locator("html")).to_have_attribute("data-theme", scheme)
        assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
        for plot in page.locator(f"#report {DRAWN}").all():
            box = plot.locator(".main-svg").first.bounding_box()
            assert box is not None
            assert box["width"] <= width
            assert plot.evaluate(DRAWN_INK) == colour


TOO_WIDE = """() => [...document.querySelectorAll('.scroll')]
    .filter(table => table.offsetParent && table.scrollWidth > table.clientWidth)
    .map(table => table.getAttribute('aria-label'))"""
"""The names of the visible tables that are wider than their column."""


def test_no_table_is_wider_than_its_column(opened: Visits, written: Path) -> None:
    page = opened(written, 1440)
    page.evaluate("for (const it of document.querySelectorAll('details')) it.open = true")
    articles = page.locator("article.page").evaluate_all("all => all.map(one => one.id)")
    assert len(articles) > 3
    for name in ("report", *articles):
        page.evaluate("name => { location.hash = name }", name)
        expect(page.locator(f"#{name} .scroll:visible").first).to_be_visible()
        assert page.evaluate(TOO_WIDE) == [], name


def test_a_sub_page_opens_by_click_and_one_comes_back_to_where_one_was(page: Page) -> None:
    unfold(page)
    link = page.locator('#fronts a[href^="#trial-"]:visible').first
    link.scroll_into_view_if_needed()
    before = page.evaluate("window.scrollY")
    link.click()
    (name,) = page.evaluate("[location.hash.slice(1)]")
    sub = page.locator(f"article#{name}")
    expect(sub).to_be_visible()
    expect(page.locator("#report")).to_be_hidden()
    expect(sub.locator("h2")).to_be_focused()
    scroll(page)
    assert sub.locator(".plot").count() == sub.locator(DRAWN).count() > 0
    page.go_back()
    expect(page.locator("#report")).to_be_visible()
    expect(link).to_be_focused()
    assert abs(page.evaluate("window.scrollY") - before) < 5


def test_everything_can_be_reached_by_keyboard(page: Page) -> None:
    skip = page.locator(".skip")
    skip.focus()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#report")).to_be_focused()
    page.locator("nav summary").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    sub = page.locator("article.page:visible")
    expect(sub).to_have_count(1)
    expect(sub.locator("h2")).to_be_focused()
    page.keyboard.press("Tab")
    page.locator("article.page:visible .around a").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#report")).to_be_visible()


def test_a_sub_page_can_be_named_in_the_address(opened: Visits, written: Path, page: Page) -> None:
    name = page.locator("article.page").last.get_attribute("id")
    other = opened(written, at=f"#{name}")
    expect(other.locator(f"#{name}")).to_be_visible()
    expect(other.locator("#report")).to_be_hidden()
    other.goto(written.as_uri() + "#no-such")
    expect(other.locator("#report")).to_be_visible()


def test_an_axis_is_switched_between_logarithmic_and_linear(page: Page) -> None:
    unfold(page)
    button = page.locator("button[data-axis=y]").first
    button.scroll_into_view_if_needed()
    figure = page.locator("figure", has=button).first
    expect(figure.locator(DRAWN)).to_be_attached()
    shown = "figure => figure.querySelector('.plot')._fullLayout.yaxis.type"
    for _ in range(2):
        before = figure.evaluate(shown)
        assert button.get_attribute("aria-pressed") == str(before == "log").lower()
        button.focus()
        page.keyboard.press("Enter")
        expect(button).to_have_attribute("aria-pressed", str(before != "log").lower())
        assert figure.evaluate(shown) == ("linear" if before == "log" else "log")
        assert figure.evaluate("figure => figure.querySelectorAll('.plot .ytick').length") > 1


def test_colours_follow_the_switch_which_is_remembered(opened: Visits, written: Path) -> None:
    page = opened(written, at="#fronts")
    plot = page.locator(f"#fronts {DRAWN}").first
    expect(plot).to_be_visible()
    assert plot.evaluate(DRAWN_INK) == INK["light"]
    page.locator("#theme").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert plot.evaluate(DRAWN_INK) == INK["dark"]
    page.evaluate("location.hash = document.querySelector('article.page').id")
    page.set_viewport_size({"width": 1000, "height": 900})
    page.locator("#theme").click()
    page.go_back()
    assert plot.evaluate(DRAWN_INK) == INK["light"]
    box = plot.locator(".main-svg").first.bounding_box()
    assert box is not None
    assert 700 < box["width"] < 1000
    page.locator("#theme").click()
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_print_has_every_figure_and_leaves_the_page_as_it_was(page: Page) -> None:
    page.emulate_media(color_scheme="dark")
    assert page.pdf(format="A4").startswith(b"%PDF")
    expect(page.locator("#report .plot:not([data-drawn])")).to_have_count(0)
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.emulate_media(color_scheme="light")


def test_only_the_answer_is_unfolded_and_links_and_prints_open_the_rest(
    opened: Visits, written: Path
) -> None:
    page = opened(written)
    open_ = page.locator("#report > section:has(> .fold[open])")
    expect(page.locator("#answer .plot[data-drawn]")).to_be_visible()
    assert open_.evaluate_all("all => all.map(one => one.id)") == ["answer"]
    assert page.evaluate("document.documentElement.scrollHeight") < 3000
    page.pdf(format="A4")
    expect(page.locator("#report .plot:not([data-drawn])")).to_have_count(0)
    expect(open_).to_have_count(1)
    page.locator("nav a[href='#progress']").click()
    expect(page.locator("#progress .plot[data-drawn]").first).to_be_in_viewport()
    page.goto(written.as_uri() + "#why")
    expect(page.locator("#why .fold")).to_have_attribute("open", "")
    expect(page.locator("#why h2")).to_be_in_viewport()


def test_what_is_unfolded_in_other_colours_is_drawn_in_them(page: Page) -> None:
    fold = page.locator("#progress > .fold")
    if fold.get_attribute("open") is None:
        page.locator("#progress summary").first.click()
    plot = page.locator("#progress .plot").first
    plot.scroll_into_view_if_needed()
    expect(plot).to_have_attribute("data-drawn", "")
    page.locator("#progress summary").first.click()
    page.locator("#theme").click()
    page.locator("#progress summary").first.click()
    expect(plot).to_be_visible()
    assert plot.evaluate(DRAWN_INK) == INK["dark"]
    page.locator("#theme").click()


def test_commands_are_copied_without_a_network(opened: Visits, written: Path) -> None:
    page = opened(written)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator(".commands button").click()
    expect(page.locator(".commands button")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator(".commands pre").inner_text()
    assert re.fullmatch(r"tune export .*\ntune verify .*", copied)


def test_a_view_shows_its_own_marks(page: Page) -> None:
    unfold(page)
    figure = page.locator("#requests-in-order")
    figure.scroll_into_view_if_needed()
    expect(figure.locator(DRAWN)).to_be_attached()
    first = (
        "plot => Math.min(...plot._fullData.filter(t => t.visible).flatMap(t => Array.from(t.x)))"
    )
    for left_out, name in enumerate(("none", "the first", "the first two")):
        figure.locator("[data-views]").select_option(name)
        assert figure.locator(".plot").evaluate(first) == left_out + 1
    figure.locator("[data-views]").select_option("none")


SEEN = """plot => plot._fullData.filter(t => t.visible === true && t.ids).flatMap(
    t => t.ids.map((id, k) => [id, [t.marker.opacity].flat()[k] ?? t.marker.opacity]))"""


def test_a_bound_dims_what_misses_it_and_names_the_cheapest(
    opened: Visits, written: Path, small: FinishedStudy
) -> None:
    study, summary = small.record, summarise(small.record)
    page = opened(written)
    figure, plot = page.locator("#answer-front"), page.locator("#answer-front .plot")
    sentence = figure.locator("[data-cheapest]")
    expect(plot).to_have_attribute("data-drawn", "")
    figure.locator("[data-metric]").select_option("ART")
    for number, scenario in enumerate(_scenarios(figure)):
        figure.locator("[data-views]").select_option(index=number)
        group = {
            str(p.representative.number): p
            for p in summary.pooled.values()
            if p.eligible
            and scenario_text(study.search_space, study.scenario_of(p.configuration)) == scenario
        }
        limit = float(f"{np.median([p.values[0] for p in group.values()]):.4g}")
        figure.locator("[data-bound]").fill(str(limit))
        holding = {n: p for n, p in group.items() if p.values[0] <= limit}
        if not holding:
            expect(sentence).to_contain_text("nothing that was measured holds it")
            continue
        cheapest = min(
            holding.values(),
            key=lambda p: (
                idle_replicas(study, p.configuration) > 0,
                reservation(study, p.configuration),
                p.values[0],
            ),
        )
        decision = study.decision_of(cheapest.configuration)
        expect(sentence).to_contain_text(f": {deployment_text(study.search_space, decision)}, ART")
        expect(sentence).to_contain_text(f"{len(holding)} of {len(group)} measured")
        seen = dict(plot.evaluate(SEEN))
        assert {n for n, opacity in seen.items() if opacity == 1} == set(holding)
        ring = plot.evaluate("plot => plot._fullData.at(-1).x[0]")
        assert ring == pytest.approx(cheapest.values[0], rel=1e-6)
    figure.locator("[data-bound]").fill("")
    expect(sentence).to_contain_text("With a bound")
    assert {opacity for _, opacity in plot.evaluate(SEEN)} == {1}


def test_a_bound_can_be_slid_and_is_answered_in_every_scenario(page: Page) -> None:
    figure = page.locator("#answer-front")
    expect(figure.locator(".plot")).to_have_attribute("data-drawn", "")
    figure.locator("[data-slide]").fill("500")
    assert float(figure.locator("[data-bound]").input_value()) > 0
    figure.locator(".elsewhere summary").click()
    expect(figure.locator("[data-elsewhere] li")).to_have_count(len(_scenarios(figure)))
    figure.locator("[data-slide]").fill("1000")
    assert figure.locator("[data-bound]").input_value() == ""
    expect(figure.locator(".elsewhere")).to_be_hidden()


def _scenarios(figure: Locator) -> list[str]:
    return figure.locator("[data-views] option").all_inner_texts()


def test_a_figure_is_saved_without_a_network(page: Page, tmp_path: Path) -> None:
    button = page.locator("button[data-save=svg]").first
    with page.expect_download() as saved:
        button.click()
    saved.value.save_as(tmp_path / "saved")
    name = page.locator("figure").first.get_attribute("id")
    assert saved.value.suggested_filename == f"{name}.svg"
    text = (tmp_path / "saved").read_text()
    assert text.startswith("<svg")
    assert "rgb(255, 255, 255)" in text


def test_without_scripts_the_tables_can_be_read(browser: Browser, written: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(written.as_uri())
    expect(page.locator("article.page").first).to_be_visible()
    expect(page.get_by_text("Figures need JavaScript")).to_be_visible()
    expect(page.locator(".plot:visible")).to_have_count(0)
    page.locator("figure summary:visible").first.click()
    expect(page.locator("figure table").first).to_be_visible()
    context.close()


def test_a_hostile_study_does_nothing(opened: Visits, evil: Path) -> None:
    page = opened(evil)
    scroll(page)
    name = page.locator("article.page").first.get_attribute("id")
    page.goto(evil.as_uri() + f"#{name}")
    scroll(page)
    assert page.evaluate("window.__pwned") is None
    documents = page.locator(".plot, .asking")
    assert page.locator("script").count() == 3 + documents.count()
    assert page.locator("[onerror], iframe, object, embed, form").count() == 0
    assert page.locator("a[href^='javascript'], svg a").count() == 0
    assert "{{7*7}}" in page.locator("h1").inner_text()
    assert HOSTILE[:35] in page.locator("h1").inner_text()
