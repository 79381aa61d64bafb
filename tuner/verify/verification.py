"""Deploys an exported file unchanged, sends the study's load, and judges the result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from tuner.backends.backend import Backend, BackendOptions, run_until_valid
from tuner.backends.docker import docker_backend
from tuner.backends.simulated import simulated_backend
from tuner.backends.swarm import swarm_backend
from tuner.deploy.adopted import AdoptingDeployer
from tuner.deploy.adopted_stack import StackDeployer
from tuner.errors import InputError, TrialFailed
from tuner.export.provenance import Provenance, backend_of
from tuner.interrupts import ended_whole
from tuner.measure.record import StudyRecord
from tuner.results.pooled import Pooled, pooled
from tuner.serving.servers.table import container_plan
from tuner.spec.study import StudySpec
from tuner.study.alike import host_kind
from tuner.trial import Observe, TrialRequest, TrialResult, deployment_spec
from tuner.verify.bring_up import bring_up
from tuner.verify.differences import FileDifference, elsewhere, file_differences
from tuner.verify.exported_file import ExportedFile
from tuner.verify.prediction import predict_bursts
from tuner.verify.result import Verified
from tuner.verify.specification import specification_of

Adopting = AdoptingDeployer | StackDeployer


def verify_file(
    study: StudyRecord,
    file: ExportedFile,
    where: str,
    times: int = 1,
    observe: Observe = lambda _: None,
    again: Callable[[TrialResult], None] = lambda _: None,
    senders_on: str | None = None,
) -> Verified:
    """Bring the file up, send a burst, take it down; `times` times.

    `where` is the backend: `docker`, `swarm` or `simulated`. An INVALID measurement is repeated
    once, after `again` got it. The hosts of the Dask cluster `senders_on` send, where one is named.
    On a simulated host nothing is brought up: the file's configuration is computed anew. Raises
    InputError where the study has not measured the file's configuration, SetupError where the file
    cannot be brought up.
    """
    of = file.provenance
    measured = _measured(study, file, where)
    spec = specification_of(study)
    adopted = None if where == "simulated" else _adopting(spec, file, where)
    backend = _backend(spec, adopted, BackendOptions(senders_on=senders_on))
    results: list[TrialResult] = []
    differing: dict[FileDifference, None] = {}
    broken = ""
    with ended_whole(backend):
        observe("calibrate")
        backend.calibrate()
        environment = backend.environment()
        kind = host_kind(environment)
        here = study.on(kind) if kind in study.host_kinds else study
        for number in range(times):
            request = TrialRequest(
                of.configuration, f"verify-{number}", fresh=True, observe=observe
            )
            try:
                results.append(run_until_valid(backend, request, again).result)
            except TrialFailed as error:
                broken = error.message
            differing |= dict.fromkeys(_differences(adopted, spec, of))
            if broken:
                break
    return Verified(
        study.name,
        str(file.path),
        where,
        of,
        environment,
        predict_bursts(here, of.configuration),
        tuple(results),
        tuple(differing),
        broken,
        tuple(_notes(study, of, measured, environment, adopted)),
        study.constraints,
    )


def _measured(study: StudyRecord, file: ExportedFile, where: str) -> Pooled:
    """The study's bursts of the file's configuration. Raises InputError where there are none."""
    of = file.provenance
    measured = next((p for p in pooled(study) if p.configuration == of.configuration), None)
    if of.model != study.model:
        raise InputError(
            f"{file.path} serves the model {of.model}, study {study.name!r} measured {study.model}",
            f"name the study that the file comes from: --study {of.study}",
        )
    if measured is None or not measured.bursts:
        raise InputError(
            f"study {study.name!r} has not measured the configuration of {file.path}, which is"
            f" trial {of.trial} of study {of.study!r}: {of.configuration}",
            "name the study, or the study file, that the file comes from (--study, --storage)",
        )
    kinds = {of.backend, *(backend_of(study, t) for t in measured.bursts)}
    if (where == "simulated") != ("simulated" in kinds) or (
        len(kinds) > 1 and "simulated" in kinds
    ):
        raise InputError(
            f"the figures of {file.path} and of study {study.name!r} are"
            f" {' and '.join(sorted(kinds))}, which {where} cannot verify",
            "use --backend simulated for simulated figures, and only for those",
        )
    return measured


def _adopting(spec: StudySpec, file: ExportedFile, where: str) -> Adopting:
    """Raises InputError where the backend cannot bring up a file of that kind."""
    serving = deployment_spec(spec, file.provenance.configuration).serving
    if (file.kind == "stack") != (where == "swarm"):
        right = "swarm" if file.kind == "stack" else "docker"
        raise InputError(
            f"{file.path} is a {file.kind} file, which the backend {where} does not bring up",
            f"use --backend {right}",
        )
    if file.kind == "stack":
        return StackDeployer(bring_up(file), spec.model, serving, "verify")
    return AdoptingDeployer(bring_up(file), spec.model, serving, "verify", spec.load.cpu_placement)


def _backend(spec: StudySpec, adopted: Adopting | None, options: BackendOptions) -> Backend:
    if adopted is None:
        # Another seed than the study's, which would repeat its noise.
        return simulated_backend(replace(spec, seed=spec.seed + 1))
    make = swarm_backend if isinstance(adopted, StackDeployer) else docker_backend
    return make(spec, options, deployer=adopted)


def _differences(
    adopted: Adopting | None, spec: StudySpec, of: Provenance
) -> tuple[FileDifference, ...]:
    if adopted is None or not adopted.inspected:
        return ()
    deployment = deployment_spec(spec, of.configuration)
    plan = container_plan(deployment.serving, spec.model, of.image)
    return file_differences(adopted.inspected, deployment, plan, of)


def _notes(
    study: StudyRecord,
    of: Provenance,
    measured: Pooled,
    environment: Mapping[str, Any],
    adopted: Adopting | None,
) -> Iterator[str]:
    if study.name != of.study:
        yield f"the file is from study {of.study}, the prediction from study {study.name}"
    elif study.trial(of.trial) is None:
        yield f"trial {of.trial}, from which the file comes, is not in study {study.name}"
    if study.environment.get("model_checksum") != of.model_checksum:
        yield "the study's last run served a model with another checksum than the file's trial"
    host = study.environment.get("host")
    known = len(study.host_kinds) > 1 and host_kind(environment) in study.host_kinds
    other = elsewhere(environment["host"], host) if isinstance(host, Mapping) and not known else ""
    if other:
        yield f"the prediction is for another host than this one: {other}"
    if measured.unstable:
        yield f"the study found this configuration unstable: {measured.unstable}"
    if adopted is not None and adopted.others:
        yield f"was up too, but is no replica and got no load: {', '.join(adopted.others)}"
    clients = [str(of.get("client", "")) for of in (study.environment, environment)]
    if isinstance(adopted, StackDeployer) and all(clients) and clients[0] != clients[1]:
        yield f"the study's load came from elsewhere ({clients[0]}) than this one ({clients[1]})"
    if environment.get("cpus", {}).get("placement") == "apart":
        yield (
            "the study's replicas were kept off the load engine's CPU; those of the file are not"
        )
