"""Makes what an export writes, by format and choice of trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tuner.errors import InputError
from tuner.export.autoscaler import autoscaling_for
from tuner.export.compose import to_compose
from tuner.export.docker_run import to_docker_run
from tuner.export.env import to_env
from tuner.export.helm import to_helm
from tuner.export.kserve import to_kserve
from tuner.export.kubernetes import to_kubernetes
from tuner.export.kustomize import to_kustomize
from tuner.export.model_files import model_versions
from tuner.export.names import check_deployed_name
from tuner.export.pick import only, pick
from tuner.export.provenance import provenance
from tuner.export.published import FIRST_PORT
from tuner.export.remarks import remarks
from tuner.export.served import Served, served_by
from tuner.export.stack import to_stack
from tuner.export.trial_documents import to_csv, to_json, to_yaml
from tuner.export.workload import ClusterWorkload, workload
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.results.findings import Findings, find
from tuner.results.predicted_front import Predicted
from tuner.results.summary import summarise

ExportFormat = Literal[
    "json",
    "yaml",
    "csv",
    "compose",
    "stack",
    "docker-run",
    "env",
    "kubernetes",
    "helm",
    "kustomize",
    "kserve",
]

DIRECTORY_FORMATS: tuple[ExportFormat, ...] = ("helm", "kustomize")
"""The formats that are several files in a directory."""

_DATA: tuple[ExportFormat, ...] = ("json", "yaml", "csv")
_ENGINE: tuple[ExportFormat, ...] = ("compose", "stack", "docker-run")
_CLUSTER: tuple[ExportFormat, ...] = ("kubernetes", "helm", "kustomize", "kserve")

_TAKEN_BY: Mapping[str, tuple[ExportFormat, ...]] = {
    "balancer": ("compose",),
    "model_path": _ENGINE,
    "port": _ENGINE,
    "grpc_port": _ENGINE,
    "image": (*_ENGINE, *_CLUSTER, "env"),
    "name": (*_ENGINE, *_CLUSTER),
    "namespace": ("kubernetes", "kustomize", "kserve"),
    "claim": _CLUSTER,
    "model_source": _CLUSTER,
    "init_image": _CLUSTER,
    "autoscale": _CLUSTER,
}


@dataclass(frozen=True)
class ExportOptions:
    """The options of an export. Those that only some formats take are None by default.

    `balancer` and `init_image` are images, and `image` is another reference of the measured one.
    `claim` is a PersistentVolumeClaim, `model_path` the directory of the model's versions,
    `model_source` a URI of it. `port` and `grpc_port` are the first published ports. `name` and
    `namespace` are those of what is deployed. `autoscale` is the most requests/s to scale for.
    """

    pick: str | None = None
    when: str | None = None
    balancer: str | None = None
    claim: str | None = None
    model_path: Path | None = None
    port: int | None = None
    grpc_port: int | None = None
    image: str | None = None
    name: str | None = None
    namespace: str | None = None
    model_source: str | None = None
    init_image: str | None = None
    autoscale: float | None = None


@dataclass(frozen=True)
class Exported:
    """The text of the file, or the files of a directory by their paths; remarks for the user."""

    text: str
    remarks: tuple[str, ...]
    files: Mapping[str, str] = field(default_factory=dict)


def render(study: StudyRecord, form: ExportFormat, options: ExportOptions) -> Exported:
    """The picked trials (`tuner.export.pick`) in the format `form`.

    Raises InputError where nothing can be picked, where several trials are picked for a format that
    holds one configuration, and for an option that the format does not take.
    """
    _refuse_untaken(form, options)
    # Data hold any number of configurations: by default what is recommended in every scenario.
    choice = options.pick or ("recommended" if form in _DATA else "knee")
    trials = pick(study, choice, options.when)
    trial = None if form in _DATA else only(trials)
    findings = find(study)
    listed = choice[:1].isdigit()
    said = tuple(remarks(study, summarise(study), trials, options.when, listed=listed))
    if trial is None:
        return Exported(_document(study, form, trials, findings), said)
    served = served_by(study, trial, options.image)
    predicted = findings.predicted(trial.configuration) if findings else None
    if form in DIRECTORY_FORMATS:
        write = to_helm if form == "helm" else to_kustomize
        return Exported("", said, write(_workload(served, predicted, form, options)))
    text, about_model = _file(served, predicted, form, options)
    return Exported(text, (*said, *about_model))


def _refuse_untaken(form: ExportFormat, options: ExportOptions) -> None:
    for name, formats in _TAKEN_BY.items():
        if getattr(options, name) is None or form in formats:
            continue
        option = f"--{name.replace('_', '-')}"
        if (form, name) == ("helm", "namespace"):
            raise InputError(
                "a chart has no namespace of its own, so the format helm does not take --namespace",
                "leave it out, and give it to helm: helm install ... --namespace",
            )
        raise InputError(
            f"the format {form} does not take {option}",
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
    served: Served, predicted: Predicted | None, form: ExportFormat, options: ExportOptions
) -> tuple[str, list[str]]:
    """The file that serves one configuration, and remarks about the model that it mounts."""
    if form == "kubernetes":
        return to_kubernetes(_workload(served, predicted, form, options)), []
    if form == "kserve":
        return to_kserve(_workload(served, predicted, form, options)), []
    if form == "env":
        return to_env(served, predicted), []
    versions, about_model = model_versions(served, options.model_path)
    first, first_grpc = options.port, options.grpc_port
    if first is None:
        first = FIRST_PORT
    name = None if options.name is None else check_deployed_name(options.name)
    if form == "docker-run":
        text = to_docker_run(
            served, versions, first, predicted, first_grpc_port=first_grpc, name=name
        )
        return text, about_model
    if form == "stack":
        return to_stack(
            served, versions, first, predicted, first_grpc_port=first_grpc, name=name
        ), about_model
    text = to_compose(
        served,
        versions,
        first,
        options.balancer,
        predicted,
        first_grpc_port=first_grpc,
        name=name,
    )
    return text, about_model


def _workload(
    served: Served, predicted: Predicted | None, form: ExportFormat, options: ExportOptions
) -> ClusterWorkload:
    if options.model_source is not None and options.init_image is None and form != "kserve":
        raise InputError(
            f"in the format {form} nothing fetches what --model-source names",
            "add --init-image IMAGE, such as KServe's storage initializer, or give --claim NAME",
        )
    return workload(
        served,
        predicted,
        name=options.name,
        namespace=options.namespace,
        claim=options.claim,
        model_source=options.model_source,
        init_image=options.init_image,
        autoscaling=None
        if options.autoscale is None
        else autoscaling_for(served, options.autoscale),
    )
