"""The comments at the top of an exported file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tuner.export.names import comments
from tuner.export.provenance import Provenance, provenance
from tuner.export.served import Served, image_of
from tuner.measure.measurement import Estimate
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.results.predicted_front import Predicted
from tuner.results.recommendation import sureness
from tuner.results.summary import summarise
from tuner.results.wording import difference, interval, label
from tuner.spec.metrics import title

_RULE = "!" * 88


def header(
    served: Served,
    predicted: Predicted | None,
    notes: Sequence[str],
) -> str:
    """Comment lines: the trial, its figures, `notes` on how to use the file, and the provenance.

    Every line begins with `#`, whatever is in the study.
    """
    study, trial = served.study, served.trial
    origin = provenance(study, trial, predicted)
    lines = [*_warning(origin), *_about(study, trial, origin), "", *notes]
    return f"{comments(lines)}{origin.to_line()}\n"


def _about(study: StudyRecord, trial: TrialRecord, origin: Provenance) -> list[str]:
    """The study, the configuration and what was measured of it, in a line each."""
    how = "simulated" if origin.backend == "simulated" else "measured"
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
        lines.append(f"{how.capitalize()}: {_figure(name, origin.objectives.get(name))}")
        by = summary.against_baseline[trial.configuration][index]
        if by is not None and trial.configuration != study.search_space.baseline():
            lines[-1] += f", {difference(by)} against the baseline"
        if name in origin.predicted:
            expected = _figure(name, origin.predicted[name])
            lines.append(f"Predicted by the model: {expected}")
    chosen = summary.recommendations.get(scenario)
    if chosen is not None and chosen.configuration == trial.configuration:
        lines.append(f"Recommended there: {sureness(study, chosen)}.")
    return [
        *lines,
        f"Scenario in which that was {how}: {scenario or 'none'}",
        "In parentheses: 95 % intervals.",
        "Figures are for all replicas together; this file sets no network loss and no load.",
        f"{how.capitalize()} {origin.measured} on {_named(origin)}, by tune {origin.version}",
        f"Image {origin.image} {origin.image_id or '(no digest: none was run)'}",
        f"Model checksum {origin.model_checksum or 'unknown: none was run'}",
        *_page_cache(study),
    ]


def needs_image(served: Served) -> str:
    """A line on where the image comes from."""
    image, measured = served.plan.image, image_of(served.study, served.trial)
    if image == measured:
        return f"Needs the image {image} (`tune image build` makes tune's own)."
    return f"Needs the image {image}, which must be what was measured as {measured}."


def model_note(versions: Path | None) -> list[str]:
    """A line on where the model is; none where the image has it inside."""
    return [] if versions is None else [f"Needs the model's versions in {versions.resolve()}"]


def metrics_note(served: Served) -> list[str]:
    """A line on where Prometheus finds metrics; none where the image may have none."""
    path = served.plan.metrics_path
    return [] if path is None else [f"Metrics for Prometheus: {path} on the REST port."]


def _warning(origin: Provenance) -> list[str]:
    if origin.backend != "simulated":
        return []
    return [
        _RULE,
        "WARNING: SIMULATED. No container of this configuration was run: the figures below",
        "are those of a modelled host. Measure it (--backend docker) before you rely on it.",
        _RULE,
        "",
    ]


def _named(origin: Provenance) -> str:
    host = origin.host
    return f"{host.get('name', 'an unnamed host')} ({host.get('cpus', '?')} CPUs)"


def _page_cache(study: StudyRecord) -> list[str]:
    if study.environment.get("page_cache") != "shared":
        return []
    return [
        "Memory limits were measured while another container owned the pages of the image's and",
        "the model's files (page_cache: shared). Alone on a host, the first replica pays for them:",
        "if it is slow to start or killed, raise its limit.",
    ]


def _figure(name: str, estimate: Estimate | None) -> str:
    if estimate is None:
        return f"{label(name)} not measured"
    return f"{title(name)} {interval(estimate)}"
