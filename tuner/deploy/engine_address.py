"""Where the Docker Engine is, by the rules of Docker's own command line.

`DOCKER_HOST` wins over the context that `DOCKER_CONTEXT` names, and that over the one that `docker
context use` has written to Docker's configuration.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker.errors import TLSParameterError
from docker.tls import TLSConfig
from docker.utils import kwargs_from_env

from tuner.addresses import address_parts
from tuner.deploy.ssh import ENGINE_SOCKET
from tuner.errors import SetupError

_DEFAULT = "default"
"""The name of the context that is none."""


@dataclass(frozen=True)
class EngineAddress:
    """`host` is an URL as `DOCKER_HOST` has it, `tls` what the engine there asks for.

    `said_by` names what decided: a variable, a file, or nothing.
    """

    host: str
    tls: TLSConfig | None = None
    said_by: str = ""

    def __str__(self) -> str:
        return f"{self.host} ({self.said_by})" if self.said_by else self.host


def engine_address() -> EngineAddress:
    """The engine that Docker's command line would use now. Raises SetupError for a bad context."""
    if not os.environ.get("DOCKER_HOST"):
        name, said_by = _context()
        if name != _DEFAULT:
            return _of_context(name, said_by)
    try:
        _require_address(os.environ.get("DOCKER_HOST", ""), "DOCKER_HOST")
        known = kwargs_from_env()
    except TLSParameterError as error:
        raise SetupError(
            f"DOCKER_CERT_PATH or DOCKER_TLS_VERIFY is wrong: {error.msg}",
            "let DOCKER_CERT_PATH name the directory of ca.pem, cert.pem and key.pem",
        ) from error
    return EngineAddress(known.get("base_url", f"unix://{ENGINE_SOCKET}"), known.get("tls"))


def _require_address(host: str, said_by: str) -> None:
    if address_parts(host) is None:
        raise SetupError(
            f"{said_by}: {host!r} is not the address of a Docker Engine",
            f"give one such as unix://{ENGINE_SOCKET} or ssh://user@host",
        )


def _directory() -> Path:
    """The directory of Docker's configuration."""
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


def _context() -> tuple[str, str]:
    """The name of the context, and what says so."""
    if name := os.environ.get("DOCKER_CONTEXT"):
        return name, "DOCKER_CONTEXT"
    path = _directory() / "config.json"
    if not path.is_file():
        return _DEFAULT, ""
    return str(_read(path).get("currentContext") or _DEFAULT), f"currentContext in {path}"


def _of_context(name: str, said_by: str) -> EngineAddress:
    identity = hashlib.sha256(name.encode()).hexdigest()
    contexts = _directory() / "contexts"
    path = contexts / "meta" / identity / "meta.json"
    mend = (
        "`docker context ls` shows the contexts there are; `docker context use default` uses none"
    )
    if not path.is_file():
        raise SetupError(f"{said_by}: there is no Docker context {name}", mend)
    endpoint = _read(path).get("Endpoints", {})
    endpoint = endpoint.get("docker", {}) if isinstance(endpoint, dict) else {}
    host = endpoint.get("Host") if isinstance(endpoint, dict) else None
    if not isinstance(host, str) or not host:
        raise SetupError(f"{path}: context {name} has no Endpoints.docker.Host", mend)
    _require_address(host, f"{path}: context {name}")
    verify = not endpoint.get("SkipTLSVerify", False)
    tls = _tls(contexts / "tls" / identity / "docker", verify)
    return EngineAddress(host, tls, f"context {name}")


def _tls(directory: Path, verify: bool) -> TLSConfig | None:
    """What is in a context's directory of certificates; None where that is not there."""
    if not directory.is_dir():
        return None
    ca, certificate, key = (directory / name for name in ("ca.pem", "cert.pem", "key.pem"))
    pair = (str(certificate), str(key)) if certificate.is_file() and key.is_file() else None
    return TLSConfig(pair, str(ca) if ca.is_file() else None, verify)


def _read(path: Path) -> Mapping[str, Any]:
    """A file of Docker's configuration. Raises SetupError where it is not a JSON object."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SetupError(f"{path} cannot be read: {error}", "mend or remove it") from error
    if not isinstance(found, dict):
        raise SetupError(f"{path}: expected a JSON object", "mend or remove it")
    return found
