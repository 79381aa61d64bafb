"""Two studies side by side as a page: `tune compare A B --output FILE.html`."""

from __future__ import annotations

from collections.abc import Iterator

from tuner.pages.blocks import Block, Page, Section, Table, Words
from tuner.pages.comparison_fronts import fronts_figure
from tuner.pages.comparison_ratios import ratio_figure
from tuner.pages.comparison_volumes import volume_figure
from tuner.results.in_words import SIMULATED
from tuner.results.ratios import LEVEL
from tuner.results.study_differences import Difference
from tuner.results.two_studies import (
    Told,
    TwoStudies,
    front_sentence,
    ratio_sentence,
    sentences,
    shortened,
)


def comparison_page(comparison: TwoStudies) -> Page:
    """The page of two studies: what differs, the ratios of B to A, and both fronts."""
    simulated = "simulated" in (*comparison.a.backends, *comparison.b.backends)
    return Page(
        title=f"{comparison.a.name} and {comparison.b.name}",
        subtitle="Two studies side by side: A is blue, B is orange",
        sections=(
            Section("summary", "In short", tuple(_summary(comparison))),
            Section("differences", "What differs between them", tuple(_differences(comparison))),
            Section("ratios", "Configuration by configuration", tuple(_ratios(comparison))),
            Section("fronts-of-both", "Fronts", tuple(_fronts(comparison))),
        ),
        notice=SIMULATED if simulated else "",
    )


def _summary(comparison: TwoStudies) -> Iterator[Block]:
    verdict, *details = sentences(comparison)
    yield Words(verdict, "lead")
    yield from map(Words, details)
    for caution in comparison.cautions:
        yield Words(caution, "doubt")
    yield Table(("", "A", "B"), tuple(_told(comparison.a, comparison.b)), "The two studies")


def _told(a: Told, b: Told) -> Iterator[tuple[str, str, str]]:
    yield "study", a.name, b.name
    yield "model", a.model, b.model
    yield "measured by", _backends(a), _backends(b)
    yield "trials", str(a.trials), str(b.trials)
    yield "configurations", str(a.configurations), str(b.configurations)
    yield "configurations that both can have", str(a.common), str(b.common)


def _backends(study: Told) -> str:
    return ", ".join(study.backends) or "nothing"


def _differences(comparison: TwoStudies) -> Iterator[Block]:
    if not comparison.differences:
        yield Words("Nothing differs in what was asked, of which model, and on which host.")
        return
    for matters, caption in (
        (True, "What can change a measurement"),
        (False, "What changes only which configurations are measured, and how long"),
    ):
        rows = tuple(_row(d) for d in comparison.differences if d.matters is matters)
        if rows:
            yield Table(("what", "A", "B"), rows, caption)


def _row(difference: Difference) -> tuple[str, str, str]:
    return difference.key, shortened(difference.a), shortened(difference.b)


def _ratios(comparison: TwoStudies) -> Iterator[Block]:
    yield Words(
        "Where both measured a configuration to the end, its values are compared as ratios. The"
        " noise of a ratio is that within bursts and between bursts of one configuration; what"
        " else changed between the two times of measuring is in the ratio itself."
        f" {100 * LEVEL:.0f} % of what is said to differ may not."
    )
    for objective in comparison.objectives:
        yield Words(ratio_sentence(comparison, objective.metric))
        figure = ratio_figure(comparison, objective.metric)
        if figure is not None:
            yield figure
    unstable = [pair for pair in comparison.pairs if pair.unstable]
    if unstable:
        yield Table(
            ("configuration", "why nothing was tested"),
            tuple((str(pair.configuration), pair.unstable) for pair in unstable),
            "Configurations whose bursts do not agree",
        )
    if comparison.one_sided:
        yield Table(
            ("configuration", "serves in", "in the other"),
            tuple((str(o.configuration), o.serves, o.reason) for o in comparison.one_sided),
            "Configurations that serve, and keep the constraints, in one study only",
        )


def _fronts(comparison: TwoStudies) -> Iterator[Block]:
    yield Words(front_sentence(comparison))
    for figure in (fronts_figure(comparison), volume_figure(comparison)):
        if figure is not None:
            yield figure
