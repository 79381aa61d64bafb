"""What of a study's attributes is shown: short texts, in place of whole JSON documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuner.study.storage import BACKEND, ENVIRONMENT, SPECIFICATION


def study_attributes(stored: Mapping[str, Any]) -> dict[str, str]:
    """By name; what is not known is left out. `stored` are those of a study of `tune`."""
    asked: Mapping[str, Any] = stored[SPECIFICATION]
    made: Mapping[str, Any] = stored.get(ENVIRONMENT, {})
    search, budget = asked.get("search", {}), asked.get("budget", {})
    known = {
        "description": asked.get("description"),
        "model": asked["model"].get("name"),
        "model checksum": made.get("model_checksum"),
        "backend": stored.get(BACKEND),
        "sampler": search.get("sampler"),
        "seed": asked.get("seed"),
        "budget": _listed(budget),
        "host": _listed(made.get("host", {})),
        "engine": made.get("engine"),
        "image": made.get("image"),
    }
    return {name: str(value) for name, value in known.items() if value not in (None, "")}


def _listed(of: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in of.items() if value is not None)
