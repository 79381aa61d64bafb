"""A specification as JSON-able data, and a fingerprint of what makes trials comparable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from tuner.files import content_checksum
from tuner.spec.space import Parameter, SearchSpace
from tuner.spec.study import LoadSpec, ServingSpec, StudySpec
from tuner.spec.typed import WrongTypeError, mapping_at, typed

# These keys of a parameter do not change a measurement.
_NOT_COMPARED = ("role", "unit", "description")

# These keys of the load neither. Bursts of one sender and of several agree.
_JUDGES = ("max_foreign_percent", "senders")


def to_dict(spec: StudySpec) -> dict[str, Any]:
    """The whole specification as JSON-able data, without paths."""
    data: dict[str, Any] = _plain(spec)
    data["search_space"] = {p.pop("name"): p for p in data["search_space"]["parameters"]}
    if spec.serving.server == ServingSpec.server:
        # Studies from before there was a choice of servers stay comparable.
        del data["serving"]["server"]
    if spec.serving.placement == ServingSpec.placement:  # as above
        del data["serving"]["placement"]
    if spec.endpoint is None:
        del data["endpoint"]
    for key in ("requests", "template", "time_scale"):
        if data["load"][key] == getattr(LoadSpec, key):  # as above
            del data["load"][key]
    return data


_RENAMED: Mapping[str, Mapping[str, str]] = {"load": {"placement": "cpu_placement"}}
"""By section, keys that were called otherwise in what earlier versions stored."""


def in_todays_words(specification: Mapping[str, Any]) -> Mapping[str, Any]:
    """A stored specification, or the comparable part of one, with the names that keys have now."""
    return {
        section: {_RENAMED[section].get(key, key): value for key, value in keys.items()}
        if section in _RENAMED and isinstance(keys, Mapping)
        else keys
        for section, keys in specification.items()
    }


def space_of(specification: Mapping[str, Any]) -> SearchSpace:
    """The search space in a specification that `to_dict` made.

    Raises WrongTypeError where it is none.
    """
    from tuner.spec.space_faults import space_faults  # noqa: PLC0415 -- only readers need Pydantic

    at = ("specification", "search_space")
    space = SearchSpace(
        tuple(
            typed(Parameter, {**mapping_at(keys, (*at, name)), "name": name}, (*at, name))
            for name, keys in mapping_at(specification.get("search_space"), at).items()
        )
    )
    for fault in space_faults(space):
        raise WrongTypeError((*at, *fault.key), fault.text)
    return space


def study_of(specification: Mapping[str, Any]) -> StudySpec:
    """The study that a whole specification describes, as `to_dict` made it; without its paths.

    Raises WrongTypeError where it is none.
    """
    at, space = ("specification",), space_of(specification)
    model = mapping_at(specification.get("model"), (*at, "model"))
    held = {
        **_OLDEST,
        **specification,
        "path": "",
        "model": {"description": "", **model, "directory": "", "built": ""},
        "search_space": {"parameters": []},
    }
    return replace(typed(StudySpec, held, at), search_space=space)


_OLDEST: Mapping[str, Any] = {"name": "", "description": "", "budget": {}, "seed": 0}
"""For what the specifications of the earliest versions lacked."""


def comparable(spec: StudySpec) -> dict[str, Any]:
    """The part of `to_dict` that must stay the same while a study grows.

    That is model, resolved search space, serving, load, objectives and constraints. Budget, search,
    seed, roles, units and descriptions may change between runs, and so may what only judges a
    measurement (`without_judges`). Of recorded requests and a template in a file it is the content,
    wherever they are; None where it cannot be read.
    """
    data = to_dict(spec)
    for parameter in data["search_space"].values():
        for key in _NOT_COMPARED:
            del parameter[key]
    data = without_judges(data)
    for key in ("requests", "template"):
        if data["load"].get(key):
            data["load"][key] = _content(spec.path.parent / data["load"][key], data["load"][key])
    return {
        "model": {
            key: data["model"][key]
            for key in ("name", "signature", "http")
            if data["model"].get(key) is not None
        },
        **{
            key: data[key]
            for key in (
                *("search_space", "serving", "load", "objectives", "constraints"),
                *(["endpoint"] if spec.endpoint else []),
            )
        },
    }


def _content(path: Path, text: str) -> str | None:
    """The checksum of a file or directory; of a template that is no file but itself, the text."""
    if text.lstrip().startswith(("{", "[", '"')):
        return text
    try:
        return f"sha256:{content_checksum(path)}"
    except OSError:
        return None


def without_judges(specification: Mapping[str, Any]) -> dict[str, Any]:
    """A specification, or the comparable part of one, less the settings that change no
    measurement, but only whether it is trusted, or how what is exported is watched.
    """
    load = {key: value for key, value in specification["load"].items() if key not in _JUDGES}
    model = dict(specification["model"])
    if model.get("http") is not None:
        model["http"] = {key: value for key, value in model["http"].items() if key != "health"}
    return {**specification, "load": load, "model": model}


def fingerprint(spec: StudySpec) -> str:
    """16 hexadecimal digits, equal for specifications whose `comparable` is equal."""
    text = json.dumps(comparable(spec), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:  # noqa: ANN401 - any part of a specification
    if is_dataclass(value) and not isinstance(value, type):
        parts = {f.name: getattr(value, f.name) for f in fields(value)}
        return {key: _plain(part) for key, part in parts.items() if not isinstance(part, Path)}
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return value
