"""What an exported file says about itself to people, above what machines read."""

from __future__ import annotations

from collections.abc import Sequence

from tuner.export.names import comments
from tuner.export.provenance import Provenance, provenance
from tuner.export.served import image_of
from tuner.measure.measurement import Estimate
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.results.predicted_front import Predicted
from tuner.results.summary import summarise
from tuner.results.wording import difference, interval, label
from tuner.spec.metrics import title

_RULE = "!" * 88


def header(
    study: StudyRecord,
    trial: TrialRecord,
    predicted: Predicted | None,
    notes: Sequence[str],
) -> str:
    """Comment lines: the trial, its figures, `notes` on how to use the file, and the provenance.

    Every line begins with `#`, whatever is in the study.
    """
    found = provenance(study, trial, predicted)
    lines = [*_warning(found), *_about(study, trial, found), "", *notes]
    return f"{comments(lines)}{found.to_line()}\n"


def _about(study: StudyRecord, trial: TrialRecord, found: Provenance) -> list[str]:
    """The study, the configuration and what was measured of it, in a line each."""
    how = "simulated" if found.backend == "simulated" else "measured"
    units = {p.name: p.unit for p in study.search_space}
    scenario = study.scenario_of(trial.configuration)
    lines = [
        f"Study {study.name}, model {study.model}, trial {trial.number}.",
        f"Configuration: {trial.configuration}",
        "Units: " + ", ".join(f"{n} {units[n]}" for n in trial.configuration if units.get(n)),
    ]
    summary = summarise(study)
    for index, objective in enumerate(study.objectives):
        name = objective.metric
        lines.append(f"{how.capitalize()}: {_figure(name, found.objectives.get(name))}")
        by = summary.against_baseline[trial.configuration][index]
        if by is not None and trial.configuration != study.search_space.baseline():
            lines[-1] += f", {difference(by)} against the baseline"
        if name in found.predicted:
            expected = _figure(name, found.predicted[name])
            lines.append(f"Predicted by the model: {expected}")
    return [
        *lines,
        f"Scenario in which that was {how}: {scenario or 'none'}",
        "In parentheses: 95 % intervals.",
        "Figures are for all replicas together; this file sets no network loss and no load.",
        f"{how.capitalize()} {found.measured} on {_named(found)}, by tune {found.version}",
        f"Image {found.image} {found.image_id or '(no digest: none was run)'}",
        f"Model checksum {found.model_checksum or 'unknown: none was run'}",
        *_page_cache(study),
    ]


def needs_image(study: StudyRecord) -> str:
    """Where the image comes from, in a line."""
    return f"Needs the image {image_of(study)} (`tune image build` makes tune's own)."


def _warning(found: Provenance) -> list[str]:
    if found.backend != "simulated":
        return []
    return [
        _RULE,
        "WARNING: SIMULATED. No container of this configuration was run: the figures below",
        "are those of a modelled host. Measure it (--backend docker) before you rely on it.",
        _RULE,
        "",
    ]


def _named(found: Provenance) -> str:
    host = found.host
    return f"{host.get('name', 'an unnamed host')} ({host.get('cpus', '?')} CPUs)"


def _page_cache(study: StudyRecord) -> list[str]:
    if study.environment.get("page_cache") != "shared":
        return []
    return [
        "Memory limits were measured while another container owned the pages of the image's and",
        "the model's files (page_cache: shared). Alone on a host, the first replica pays for them:",
        "if it is slow to start or killed, raise its limit.",
    ]


def _figure(name: str, found: Estimate | None) -> str:
    if found is None:
        return f"{label(name)} not measured"
    return f"{title(name)} {interval(found)}"
