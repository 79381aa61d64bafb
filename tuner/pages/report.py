"""The report of a finished study: its sections in the order in which they are read."""

from __future__ import annotations

from tuner.pages.blocks import Page
from tuner.pages.cause_section import why
from tuner.pages.effects import effects
from tuner.pages.environment import environment
from tuner.pages.front_section import fronts_section
from tuner.pages.progress_figure import progress
from tuner.pages.requests import requests
from tuner.pages.sources import Sources
from tuner.pages.summary_section import answer, asked
from tuner.pages.trials import trial_pages
from tuner.results.in_words import not_measured
from tuner.results.study_file import FinishedStudy
from tuner.results.wording import counted

_SECTIONS = (
    answer,
    asked,
    fronts_section,
    effects,
    why,
    requests,
    progress,
    environment,
)


def report(study: FinishedStudy) -> Page:
    """The whole page, from the finished trials alone; the same study makes the same page."""
    sources = Sources.of(study)
    record = sources.record
    about = str(record.specification.get("description", ""))
    trials = counted(len(record.trials), "trial")
    return Page(
        title=f"Study {record.name}",
        subtitle=". ".join(filter(None, (about.rstrip("."), f"Model {record.model}, {trials}"))),
        sections=tuple(section(sources) for section in _SECTIONS),
        pages=trial_pages(sources),
        notice=" ".join(not_measured(record)),
        pages_title="Front configurations",
        folds=True,
    )
