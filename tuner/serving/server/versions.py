"""The versions of a model: which are served, loading what appears, leaving out what is corrupt.

The states and policies are those of TensorFlow Serving's `config/model_server_config.proto` and
`core/availability_preserving_policy.h`: a new version is loaded before an old one is given up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from .model import ServedModel
from .numbered import numbered_versions
from .status import Code, StatusError, invalid
from .tensorflow_c import SavedModel

log = logging.getLogger(__name__)

Policy = Callable[[Collection[int]], set[int]]
"""Which of the versions that there are shall be served."""


def latest(count: int) -> Policy:
    return lambda versions: set(sorted(versions)[-count:])


def specific(wanted: Collection[int]) -> Policy:
    return lambda versions: set(versions) & set(wanted)


def every() -> Policy:
    return set


class State(IntEnum):
    """`ModelVersionStatus.State`."""

    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True)
class VersionStatus:
    """What is said of one version; `code` and `message` say why it could not be loaded."""

    version: int
    state: State
    code: Code = Code.OK
    message: str = ""


@dataclass(frozen=True)
class ModelConfig:
    """A model to serve: where its numbered directories are and which of them to load."""

    name: str
    base_path: Path
    policy: Policy = field(default_factory=lambda: latest(1))
    labels: Mapping[str, int] = field(default_factory=dict)


class Model:
    """The versions of one model.

    `refresh` is called by one thread at a time; the other methods by any, also meanwhile. A version
    that is given up is freed when the last request that uses it is done.
    """

    def __init__(self, config: ModelConfig, load: Callable[[Path], SavedModel]) -> None:
        self.config = config
        self._load = load
        # Replaced as a whole, never changed, so that reading needs no lock.
        self._served: Mapping[int, ServedModel] = {}
        self._status: Mapping[int, VersionStatus] = {}
        # Versions that could not be loaded, with the stamp of what was tried.
        self._failed: dict[int, object] = {}

    @property
    def status(self) -> list[VersionStatus]:
        """Of each version that was ever served or tried, by number."""
        return [status for _, status in sorted(self._status.items())]

    @property
    def served(self) -> Mapping[int, ServedModel]:
        return self._served

    def find(self, version: int | None = None, label: str | None = None) -> ServedModel:
        """The version asked for, the highest by default.

        Raises StatusError: INVALID_ARGUMENT for an unknown label, NOT_FOUND for a version that is
        not served.
        """
        name = self.config.name
        if label is not None:
            if label not in self.config.labels:
                raise invalid(f"Unrecognized servable version label: {label}")
            version = self.config.labels[label]
        served = self._served
        if version is None:
            found = served[max(served)] if served else None
        else:
            found = served.get(version)
        if found is None:
            raise not_servable(name, version)
        return found

    def refresh(self) -> None:
        """Look at the directory once: load what the policy asks for, then give up the rest.

        Where a version cannot be loaded, the policy chooses among the others. Raises StatusError
        (NOT_FOUND) where the directory cannot be read; what is served stays.
        """
        found = numbered_versions(self.config.base_path)
        for version, stamp in list(self._failed.items()):
            if version not in found or _stamp(found[version]) != stamp:
                del self._failed[version]
        while True:
            aspired = self.config.policy(found.keys() - self._failed.keys())
            missing = aspired - self._served.keys()
            if not missing:
                break
            self._try(max(missing), found[max(missing)])
        for version in self._served.keys() - aspired:
            self._served = {v: m for v, m in self._served.items() if v != version}
            self._say(VersionStatus(version, State.END))
            log.info("model %s version %d is no longer served", self.config.name, version)

    def _try(self, version: int, path: Path) -> None:
        stamp = _stamp(path)
        self._say(VersionStatus(version, State.LOADING))
        try:
            saved_model = self._load(path)
        except StatusError as error:
            self._failed[version] = stamp
            self._say(VersionStatus(version, State.END, error.code, error.message))
            log.error(  # noqa: TRY400 the reason is in the message, a traceback tells no more
                "model %s version %d cannot be loaded: %s", self.config.name, version, error.message
            )
            return
        self._served = {
            **self._served,
            version: ServedModel(self.config.name, version, saved_model),
        }
        self._say(VersionStatus(version, State.AVAILABLE))
        log.info("model %s version %d is available", self.config.name, version)

    def _say(self, status: VersionStatus) -> None:
        self._status = {**self._status, status.version: status}


def not_servable(name: str, version: int | None) -> StatusError:
    which = f"Latest({name})" if version is None else f"Specific({name}, {version})"
    return StatusError(Code.NOT_FOUND, f"Servable not found for request: {which}")


def _stamp(path: Path) -> object:
    """Something that differs when the files of a version have been changed."""
    stamps = []
    for file in (path, path / "saved_model.pb", path / "variables"):
        try:
            stamps.append(file.stat().st_mtime_ns)
        except FileNotFoundError:
            stamps.append(0)
    return stamps
