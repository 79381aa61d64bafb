"""Makes the text of an exported file, by format and choice of trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tuner.errors import InputError
from tuner.export.compose import FIRST_PORT, to_compose
from tuner.export.docker_run import to_docker_run
from tuner.export.env import to_env
from tuner.export.kubernetes import to_kubernetes
from tuner.export.model_files import model_versions
from tuner.export.pick import only, pick
from tuner.export.provenance import provenance
from tuner.export.remarks import remarks
from tuner.export.trial_documents import to_csv, to_json, to_yaml
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.results.findings import Findings, find

ExportFormat = Literal["json", "yaml", "csv", "compose", "kubernetes", "docker-run", "env"]

_TAKEN_BY: dict[str, tuple[ExportFormat, ...]] = {
    "balancer": ("compose",),
    "claim": ("kubernetes",),
    "model_path": ("compose", "docker-run"),
    "port": ("compose", "docker-run"),
}


@dataclass(frozen=True)
class Asked:
    """The options of an export. Those that only some formats take are None by default.

    `balancer` is an image, `claim` a PersistentVolumeClaim, `model_path` the directory of the
    model's versions, `port` the first published port.
    """

    choice: str = "knee"
    when: str | None = None
    balancer: str | None = None
    claim: str | None = None
    model_path: Path | None = None
    port: int | None = None


@dataclass(frozen=True)
class Exported:
    """The text of the file, and remarks for the user."""

    text: str
    remarks: tuple[str, ...]


def render(study: StudyRecord, form: ExportFormat, options: Asked) -> Exported:
    """The picked trials (`tuner.export.pick`) in the format `form`.

    Raises InputError where nothing can be picked, where several trials are picked for a format that
    holds one configuration, and for an option that the format does not take.
    """
    _refuse_untaken(form, options)
    trials = pick(study, options.choice, options.when)
    trial = None if form in ("json", "yaml", "csv") else only(trials)
    findings = find(study)
    listed = options.choice[:1].isdigit()
    said = remarks(study, trials, findings, options.when, listed=listed)
    if trial is None:
        return Exported(_document(study, form, trials, findings), tuple(said))
    text, about_model = _file(study, trial, form, options, findings)
    return Exported(text, (*said, *about_model))


def _refuse_untaken(form: ExportFormat, options: Asked) -> None:
    for name, formats in _TAKEN_BY.items():
        if getattr(options, name) is not None and form not in formats:
            raise InputError(
                f"the format {form} does not take --{name.replace('_', '-')}",
                f"leave it out, or export {' or '.join(formats)}",
            )


def _document(
    study: StudyRecord, form: ExportFormat, trials: Sequence[TrialRecord], findings: Findings | None
) -> str:
    if form == "csv":
        return to_csv(study, trials)
    if form == "json":
        return to_json(study, trials)
    lines = (
        provenance(study, t, findings.predicted(t.configuration) if findings else None).to_line()
        for t in trials
    )
    return "".join(f"{line}\n" for line in lines) + to_yaml(study, trials)


def _file(
    study: StudyRecord,
    trial: TrialRecord,
    form: ExportFormat,
    options: Asked,
    findings: Findings | None,
) -> tuple[str, list[str]]:
    """The file that serves one configuration, and remarks about the model that it mounts."""
    predicted = findings.predicted(trial.configuration) if findings else None
    if form == "kubernetes":
        return to_kubernetes(study, trial, options.claim, predicted), []
    if form == "env":
        return to_env(study, trial, predicted), []
    versions, said = model_versions(study, options.model_path)
    port = FIRST_PORT if options.port is None else options.port
    if form == "docker-run":
        return to_docker_run(study, trial, versions, port, predicted), said
    return to_compose(study, trial, versions, port, options.balancer, predicted), said
