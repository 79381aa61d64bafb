"""The containers of an exported configuration, from a study and one of its trials."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tuner.errors import InputError
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.serving.container_plan import ContainerPlan
from tuner.serving.image import image_tag
from tuner.serving.servers.server import Server
from tuner.serving.servers.table import container_plan, server_named
from tuner.spec.http_service import HttpService
from tuner.spec.study import ModelSpec, ServingSpec
from tuner.spec.typed import typed

_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@\[\]-]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_READY_SECONDS = ServingSpec.ready_seconds


@dataclass(frozen=True)
class Served:
    """`replicas` containers of `plan`, each with `cpu` cores and `memory_mib` MiB.

    `ready_seconds` is the time that a replica had to become ready, `flags` are the server's flags.
    """

    study: StudyRecord
    trial: TrialRecord
    plan: ContainerPlan
    flags: dict[str, str]
    replicas: int
    cpu: float
    memory_mib: int
    ready_seconds: float

    @property
    def server(self) -> Server:
        return server_that_ran(self.study, self.trial)


def served_by(study: StudyRecord, trial: TrialRecord, image: str | None = None) -> Served:
    """The containers of `trial`. `image` is another reference of the image that was measured.

    Raises InputError where the study sets what tune itself sets, or what no container can have.
    """
    if study.of_endpoint:
        raise InputError(
            f"study {study.name!r} measured a service that is there already: tune does not know how"
            " it is deployed",
            "switch it by the command of endpoint.apply; the formats csv, json and yaml hold what"
            " was measured",
        )
    flags = {name: str(value) for name, value in study.serving.get("flags", {}).items()}
    env = {name: str(value) for name, value in study.serving.get("env", {}).items()}
    set_flags, set_env = study.search_space.settings(trial.configuration)
    serving = ServingSpec(
        _asked(study), _server_name(study, trial), flags=flags | set_flags, env=env | set_env
    )
    plan = container_plan(serving, recorded_model(study), image_of(study, trial))
    if image is not None:
        plan = replace(plan, image=image)
    _refuse_impossible(plan)
    return Served(
        study=study,
        trial=trial,
        plan=plan,
        flags=dict(serving.flags),
        replicas=int(trial.configuration["replicas"]),
        cpu=float(trial.configuration["cpu"]),
        memory_mib=int(trial.configuration["memory"]),
        ready_seconds=float(study.serving.get("ready_seconds", _READY_SECONDS)),
    )


def image_of(study: StudyRecord, trial: TrialRecord) -> str:
    """The image that ran; for a simulated study, the image that would run."""
    image, recipe = _asked(study), server_that_ran(study, trial).image
    if image == "tune" and recipe is not None:
        image = image_tag(recipe)
    return str(image_facts(study, trial).get("image") or image)


def image_facts(study: StudyRecord, trial: TrialRecord) -> Mapping[str, Any]:
    """What the study knows of the image that ran: `image`, `image_id`, `image_digests`.

    A study with the parameter `server` knows that of each.
    """
    environment = study.environment
    facts: Mapping[str, Any] = environment.get("images", {}).get(_server_name(study, trial))
    return facts or environment


def server_that_ran(study: StudyRecord, trial: TrialRecord) -> Server:
    return server_named(_server_name(study, trial))


def recorded_model(study: StudyRecord) -> ModelSpec:
    """The model as the study served it, without its files."""
    held = study.specification.get("model", {}).get("http")
    http = None if held is None else typed(HttpService, held, ("specification", "model", "http"))
    # What an earlier version measured, and a simulated study, do not say is taken to be the first.
    version = str(study.environment.get("model_version") or 1)
    return ModelSpec(study.model, "", Path(), Path(), http=http, version=version)


def check_reference(image: str) -> str:
    """`image` itself. Raises InputError where it is not an image reference, such as an option."""
    if _REFERENCE.fullmatch(image) is None:
        raise InputError(
            f"{image!r} is not an image reference", "give one such as registry/name:tag"
        )
    return image


def _asked(study: StudyRecord) -> str:
    return str(study.serving.get("image", "tune"))


def _server_name(study: StudyRecord, trial: TrialRecord) -> str:
    own = study.serving.get("server", ServingSpec.server)
    return str(trial.configuration.get("server", own))


def _refuse_impossible(plan: ContainerPlan) -> None:
    check_reference(plan.image)
    for name, value in plan.environment.items():
        if _VARIABLE.fullmatch(name) is None:
            raise InputError(
                f"{name!r} is not the name of an environment variable",
                "use letters, digits and underscores in the study's serving variables",
            )
        _refuse_nul(f"the variable {name}", value)
    for word in plan.command:
        _refuse_nul("a server flag", word)


def _refuse_nul(name: str, text: str) -> None:
    if "\0" in text:
        raise InputError(f"{name} has a NUL character, which no process can receive", "remove it")
