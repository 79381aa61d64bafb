"""Whether trials can be compared: the same model and images, on hosts that are alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from optuna.study import Study
from optuna.trial import TrialState

from tuner.errors import InputError
from tuner.measure.record import ATTRIBUTE
from tuner.spec.study import StudySpec
from tuner.study.storage import ENVIRONMENT_OF

_THINGS = {
    "model checksum": "model_checksum",
    "image": "image",
    "images": "images",
    "endpoint": "endpoint",
}
"""What must be the same on every host, by its key in an environment."""

_CPUS = {"CPU model": ("cpu", "cpu_model"), "CPUs": ("cpus",)}
"""What makes a host another one, by its keys in the environment's `host`."""


def refuse_unlike(spec: StudySpec, study: Study, environment: Mapping[str, Any]) -> None:
    """Raise InputError where complete trials of the study were measured with another model or image
    than a run with this `environment` has or, where its hosts must be alike, on other CPUs.

    The message names what differs. What one of both does not tell is taken to be the same.
    """
    stored = study.user_attrs
    for key in sorted(environments_of(study)):
        before: Mapping[str, Any] = stored.get(ENVIRONMENT_OF + key, {})
        things = list(_differing(_told(before), _told(environment)))
        cpus = list(_differing(_cpus(before), _cpus(environment))) if spec.hosts == "alike" else []
        if things or cpus:
            raise InputError(
                f"study {study.study_name!r} was measured with something else, so its trials cannot"
                f" be compared with those of this host: {'; '.join(things + cpus)}",
                (
                    "give every host the same model and images (`tune models build`, `tune image"
                    " build`), or start afresh: name the study anew or give another --storage"
                )
                if things
                else (
                    "say `hosts: any` in a study of its own, which then learns how much more one"
                    " kind of host takes than another; or run a study on each kind and compare"
                    " them (`tune compare`)"
                ),
            )


def environments_of(study: Study) -> set[str]:
    """The keys of the environments in which its complete trials were measured."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    keys = (trial.user_attrs.get(ATTRIBUTE, {}).get("environment") for trial in complete)
    return {key for key in keys if key}


def host_kind(environment: Mapping[str, Any]) -> str:
    """What a host is, as far as trials on it can be compared: "AMD EPYC, 2 CPUs".

    Empty where the environment does not say all of it.
    """
    cpus = _cpus(environment)
    return f"{cpus['CPU model']}, {cpus['CPUs']} CPUs" if len(cpus) == len(_CPUS) else ""


def _told(environment: Mapping[str, Any]) -> dict[str, str]:
    told = {}
    for name, key in _THINGS.items():
        value = environment.get(key)
        if key == "images" and value:
            value = ", ".join(str(facts["image"]) for _, facts in sorted(value.items()))
        elif key == "endpoint" and value:
            value = value.get("url")
        if value:
            told[name] = str(value)
    return told


def _cpus(environment: Mapping[str, Any]) -> dict[str, str]:
    host = environment.get("host", {})
    found = {name: [host[key] for key in keys if host.get(key)] for name, keys in _CPUS.items()}
    return {name: str(values[0]) for name, values in found.items() if values}


def _differing(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name in before:
        if name in now and before[name] != now[name]:
            yield f"{name} was {before[name]}, is {now[name]}"
