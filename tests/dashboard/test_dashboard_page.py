"""The dashboard in a real browser, while a study runs."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urljoin

from playwright.sync_api import Browser, BrowserContext, expect

from tests.dashboard.processes import dashboard, running, until
from tests.dashboard.shown import Shown, look
from tests.study.small import specification, url_of
from tests.study.talking import talking
from tuner.dashboard.http_server import dashboard as serving
from tuner.results.summary import summarise
from tuner.spec.load import results_directory
from tuner.study.storage import finished_trials

SMALL = ("--study", "small", "--backend", "simulated")
ENDLESS = ("choices: [0.25, 0.5, 1]", "low: 0.1, high: 2"), ("trials: 8", "trials: 100000")

WAIT = 40_000
"""ms; the page asks for news every 10 s."""

DRAWN = "plot => plot.data.flatMap(trace => trace.x.filter(Number.isFinite)).length"
"""The points of the Pareto plot."""

HOSTILE = "<img src=x onerror=pwned=1> | `x` **b**"


@contextmanager
def looking(browser: Browser) -> Iterator[BrowserContext]:
    """For pages that say of no error; they are closed before what serves them ends."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    context.set_default_timeout(WAIT)
    errors: list[str] = []
    context.on("weberror", lambda error: errors.append(str(error.error)))
    context.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    with context:
        yield context
    assert errors == []


@contextmanager
def served(shown: Shown) -> Iterator[str]:
    """The address of its study's page, served from a thread."""
    results = results_directory(shown.spec)
    with serving("small", shown.storage, results, "127.0.0.1", 0) as (server, address):
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield address
        finally:
            server.shutdown()
            thread.join()


def number(text: str) -> int:
    """The first that is in it."""
    found = re.search(r"\d+", text)
    assert found is not None
    return int(found.group())


def test_a_study_is_looked_at_while_it_runs(browser: Browser) -> None:
    spec = specification(*ENDLESS)
    with running(*SMALL):
        until(lambda: len(finished_trials("small", url_of(spec))) > 2)
        with dashboard(*SMALL) as (address, _), looking(browser) as context:
            page, note = context.new_page(), context.new_page()
            page.goto(f"{address}/trials")
            counted = page.get_by_text(re.compile(r"^\d+ Trials$"))
            before = counted.inner_text()
            note.goto(f"{address}/note")
            said = note.get_by_text(re.compile(r"^After \d+ trials:"))
            first = said.inner_text()
            # Nothing is loaded anew by hand.
            for text, old in ((counted, before), (said, first)):
                expect(text).not_to_have_text(old, timeout=WAIT)
                assert number(text.inner_text()) > number(old)


def test_plots_note_and_artifacts_of_a_study(browser: Browser, shown: Shown) -> None:
    summary = summarise(shown.record)
    first = summary.front[0]
    with served(shown) as address, looking(browser) as context:
        page = context.new_page()
        page.goto(address)
        plot = page.locator("#graph-pareto-front")
        expect(plot.locator(".scatterlayer .point").first).to_be_visible()
        for axis in ("ART (ms)", "CPU usage (% of host)"):
            expect(page.get_by_role("combobox").filter(has_text=axis).first).to_be_visible()
        expect(page.locator(".legendtext", has_text="Pruned")).to_be_attached()
        assert any(trial.imputed for trial in shown.record.trials)
        assert plot.evaluate(DRAWN) == sum(not trial.imputed for trial in shown.record.trials)

        page.goto(f"{address}/note")
        expect(page.get_by_role("heading", name="What to deploy")).to_be_visible()
        front = page.get_by_role("table").nth(1)
        assert [number(row) for row in front.get_by_role("link").all_inner_texts()] == [
            t.number for t in summary.front
        ]
        front.get_by_role("link", name=f"{first.number}", exact=True).click()

        expect(page.get_by_role("heading", name=f"Trial {first.number} ")).to_be_visible()
        expect(page.get_by_text("summary ART (ms)")).to_be_visible()
        figure = page.locator("img[src^='/artifacts/']")
        expect(figure).to_be_visible()
        page.wait_for_function(
            "document.querySelector('img[src^=\"/artifacts/\"]').naturalWidth > 500"
        )
        links = page.locator("a[href^='/artifacts/']").all()
        replies = [page.request.get(urljoin(address, link.get_attribute("href"))) for link in links]
        assert all(reply.ok for reply in replies)
        assert {reply.headers["content-type"] for reply in replies} == {
            "image/png",
            "text/plain; charset=utf-8",
        }


def test_texts_of_a_hostile_study_stay_texts(browser: Browser) -> None:
    described = f"description: '{HOSTILE}'\nsearch_space:"
    shown = look(3, lambda spec: talking(spec, HOSTILE), ("search_space:", described))
    with served(shown) as address, looking(browser) as context:
        page = context.new_page()
        page.goto(f"{address}/note")
        expect(page.get_by_text(HOSTILE)).to_be_visible()
        assert page.locator("main img, main script").count() == 0
        assert page.locator("main code").all_inner_texts() == ["tune dashboard"]
        links = page.locator("main").get_by_role("link").all()
        assert all(str(link.get_attribute("href")).startswith("trials?numbers=") for link in links)

        page.goto(f"{address}/trials?numbers=0")
        log = page.locator("a[download='containers.log.txt']").get_attribute("href")
        expect(page.get_by_text("summary ART (ms)")).to_be_visible()
        page.goto(urljoin(address, log))
        expect(page.get_by_text(HOSTILE)).to_be_visible()
        assert page.locator("img").count() == 0
        assert page.evaluate("typeof pwned") == "undefined"
