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


def comparison_page(found: TwoStudies) -> Page:
    """What differs between A and B, the ratios where both measured, and both fronts."""
    simulated = "simulated" in (*found.a.backends, *found.b.backends)
    return Page(
        title=f"{found.a.name} and {found.b.name}",
        subtitle="Two studies side by side: A is blue, B is orange",
        sections=(
            Section("summary", "In short", tuple(_summary(found))),
            Section("differences", "What differs between them", tuple(_differences(found))),
            Section("ratios", "Configuration by configuration", tuple(_ratios(found))),
            Section("fronts-of-both", "Fronts", tuple(_fronts(found))),
        ),
        notice=SIMULATED if simulated else "",
    )


def _summary(found: TwoStudies) -> Iterator[Block]:
    for sentence in sentences(found):
        yield Words(sentence, "lead")
    for caution in found.cautions:
        yield Words(caution, "doubt")
    yield Table(("", "A", "B"), tuple(_told(found.a, found.b)), "The two studies")


def _told(a: Told, b: Told) -> Iterator[tuple[str, str, str]]:
    yield "study", a.name, b.name
    yield "model", a.model, b.model
    yield "measured by", _backends(a), _backends(b)
    yield "trials", str(a.trials), str(b.trials)
    yield "configurations", str(a.configurations), str(b.configurations)
    yield "configurations that both can have", str(a.common), str(b.common)


def _backends(told: Told) -> str:
    return ", ".join(told.backends) or "nothing"


def _differences(found: TwoStudies) -> Iterator[Block]:
    if not found.differences:
        yield Words("Nothing differs in what was asked, of which model, and on which host.")
        return
    for matters, caption in (
        (True, "What can change a measurement"),
        (False, "What changes only which configurations are measured, and how long"),
    ):
        rows = tuple(_row(d) for d in found.differences if d.matters is matters)
        if rows:
            yield Table(("what", "A", "B"), rows, caption)


def _row(difference: Difference) -> tuple[str, str, str]:
    return difference.key, shortened(difference.a), shortened(difference.b)


def _ratios(found: TwoStudies) -> Iterator[Block]:
    yield Words(
        "Where both measured a configuration to the end, its values are compared as ratios. The"
        " noise of a ratio is that within bursts and between bursts of one configuration; what"
        " else changed between the two times of measuring is in the ratio itself."
        f" {100 * LEVEL:.0f} % of what is said to differ may not."
    )
    for objective in found.objectives:
        yield Words(ratio_sentence(found, objective.metric))
        figure = ratio_figure(found, objective.metric)
        if figure is not None:
            yield figure
    unstable = [pair for pair in found.pairs if pair.unstable]
    if unstable:
        yield Table(
            ("configuration", "why nothing was tested"),
            tuple((str(pair.configuration), pair.unstable) for pair in unstable),
            "Configurations whose bursts do not agree",
        )
    if found.one_sided:
        yield Table(
            ("configuration", "serves in", "in the other"),
            tuple((str(o.configuration), o.serves, o.reason) for o in found.one_sided),
            "Configurations that serve, and keep the constraints, in one study only",
        )


def _fronts(found: TwoStudies) -> Iterator[Block]:
    yield Words(front_sentence(found))
    for figure in (fronts_figure(found), volume_figure(found)):
        if figure is not None:
            yield figure
