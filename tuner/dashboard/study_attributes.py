"""What of a study's attributes is shown: short texts, in place of whole JSON documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuner.study.storage import BACKEND, ENVIRONMENT, SPECIFICATION


def study_attributes(stored: Mapping[str, Any]) -> dict[str, str]:
    """The study's attributes by name, without those that are unknown.

    `stored` are the user attributes that `tune` wrote to the study.
    """
    specification: Mapping[str, Any] = stored[SPECIFICATION]
    environment: Mapping[str, Any] = stored.get(ENVIRONMENT, {})
    search, budget = specification.get("search", {}), specification.get("budget", {})
    attributes = {
        "description": specification.get("description"),
        "model": specification["model"].get("name"),
        "model checksum": environment.get("model_checksum"),
        "backend": stored.get(BACKEND),
        "sampler": search.get("sampler"),
        "seed": specification.get("seed"),
        "budget": _listed(budget),
        "host": _listed(environment.get("host", {})),
        "engine": environment.get("engine"),
        "image": environment.get("image"),
    }
    return {name: str(value) for name, value in attributes.items() if value not in (None, "")}


def _listed(of: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in of.items() if value is not None)
