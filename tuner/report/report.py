"""The report of a finished study: its sections in the order in which they are read."""

from __future__ import annotations

from tuner.analysis.in_words import not_measured
from tuner.reading.wording import counted
from tuner.report.causes import why
from tuner.report.effects import effects
from tuner.report.environment import environment
from tuner.report.fronts import fronts
from tuner.report.page import Page
from tuner.report.progress import progress
from tuner.report.requests import requests
from tuner.report.sources import Sources
from tuner.report.summary import summary
from tuner.report.trials import trial_pages
from tuner.study_file import FinishedStudy

_SECTIONS = (summary, fronts, requests, effects, why, progress, environment)


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
    )
