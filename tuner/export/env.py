"""One configuration as KEY=VALUE lines for a shell and for `docker run --env-file`."""

from __future__ import annotations

import re

from tuner.errors import InputError
from tuner.export.header import header
from tuner.export.served import Served
from tuner.results.predicted_front import Predicted
from tuner.spec.space import as_text

_PLAIN = re.compile(r"[A-Za-z0-9_./:,@%+=-]*")
"""Values that need no quotes. A shell removes quotes, but `--env-file` keeps them."""

_ACTED_UPON = re.compile(
    r"PATH|IFS|ENV|CDPATH|HOME|SHELLOPTS|PS4|PROMPT_COMMAND|(BASH|DOCKER|LD)_.*"
)


def to_env(served: Served, predicted: Predicted | None = None) -> str:
    """The image, its ports, each parameter, each server flag, and the variables of the containers.

    These are `TUNE_IMAGE`, `TUNE_REST_PORT`, `TUNE_GRPC_PORT`, `TUNE_CONFIG_<PARAMETER>` in the
    parameter's unit (scenario parameters included), `TUNE_FLAG_<FLAG>`, and the containers'
    variables under their own names. Raises InputError for a value that a shell and `--env-file`
    read differently, and for a name that two entries would have.
    """
    entries = [
        ("TUNE_IMAGE", served.plan.image),
        *((f"TUNE_{name.upper()}_PORT", str(port)) for name, port in served.plan.ports.items()),
        *((_key("TUNE_CONFIG", n), as_text(v)) for n, v in served.trial.configuration.items()),
        *((_key("TUNE_FLAG", n), v) for n, v in served.flags.items()),
        *served.plan.environment.items(),
    ]
    variables: dict[str, str] = {}
    for name, value in entries:
        if name in variables:
            raise InputError(
                f"two entries of trial {served.trial.number} would have the name {name}",
                "rename the flag or variable in the study, or use another format",
            )
        variables[name] = _plain(name, value)
    notes = [
        "For `. FILE` in a shell (set -a exports it) and for docker run --env-file FILE.",
        "TUNE_CONFIG_* are the configuration, TUNE_FLAG_* the server's flags; TUNE_REST_PORT and",
        "TUNE_GRPC_PORT are ports of each container, and the rest are its variables.",
    ]
    lines = "".join(f"{name}={value}\n" for name, value in variables.items())
    return f"{header(served, predicted, notes)}\n{lines}"


def _key(prefix: str, name: str) -> str:
    return f"{prefix}_{re.sub('[^A-Za-z0-9]', '_', name).upper()}"


def _plain(name: str, value: str) -> str:
    if _ACTED_UPON.fullmatch(name):
        raise InputError(
            f"the variable {name} would change how a shell works that reads the file",
            "export compose, kubernetes, docker-run or json, which set it only in containers",
        )
    if _PLAIN.fullmatch(value) is None:
        raise InputError(
            f"the value {value!r} of {name} has characters that a shell and --env-file read"
            " differently",
            "export compose, kubernetes, docker-run or json, which can hold any value",
        )
    return value
