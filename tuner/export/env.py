"""One configuration as KEY=VALUE lines that a shell and `docker run --env-file` read alike."""

from __future__ import annotations

import re

from tuner.errors import InputError
from tuner.export.header import header
from tuner.export.served import served_by
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.results.predicted_front import Predicted
from tuner.spec.space import as_text

_PLAIN = re.compile(r"[A-Za-z0-9_./:,@%+=-]*")
"""What needs no quotes: to a shell quotes are none of the value, to an engine they are."""

_ACTED_UPON = re.compile(
    r"PATH|IFS|ENV|CDPATH|HOME|SHELLOPTS|PS4|PROMPT_COMMAND|(BASH|DOCKER|LD)_.*"
)


def to_env(study: StudyRecord, trial: TrialRecord, predicted: Predicted | None = None) -> str:
    """The image, each parameter, each server flag, and the variables of the containers.

    `TUNE_IMAGE`, `TUNE_CONFIG_<PARAMETER>` in the parameter's unit (scenario parameters too),
    `TUNE_FLAG_<FLAG>`, and the containers' own variables under their names. Raises InputError for a
    value that the two kinds of reader would not read alike, and for a name that stands for two.
    """
    what = served_by(study, trial)
    entries = [
        ("TUNE_IMAGE", what.plan.image),
        *((_key("TUNE_CONFIG", n), as_text(v)) for n, v in trial.configuration.items()),
        *((_key("TUNE_FLAG", n), v) for n, v in what.flags.items()),
        *what.plan.environment.items(),
    ]
    known: dict[str, str] = {}
    for name, value in entries:
        if name in known:
            raise InputError(
                f"{name} stands for two things of trial {trial.number}",
                "rename the flag or variable in the study, or use another format",
            )
        known[name] = _plain(name, value)
    notes = [
        "For `. FILE` in a shell (set -a exports it) and for docker run --env-file FILE.",
        "TUNE_CONFIG_* are the configuration, TUNE_FLAG_* the server's flags; the rest are the",
        "variables of each container.",
    ]
    lines = "".join(f"{name}={value}\n" for name, value in known.items())
    return f"{header(study, trial, predicted, notes)}\n{lines}"


def _key(prefix: str, name: str) -> str:
    return f"{prefix}_{re.sub('[^A-Za-z0-9]', '_', name).upper()}"


def _plain(name: str, value: str) -> str:
    if _ACTED_UPON.fullmatch(name):
        raise InputError(
            f"{name} would change what the shell that reads it does",
            "export compose, kubernetes, docker-run or json, which set it in containers only",
        )
    if _PLAIN.fullmatch(value) is None:
        raise InputError(
            f"the value {value!r} of {name} has characters that a shell and --env-file read"
            " differently",
            "export compose, kubernetes, docker-run or json, which hold any value",
        )
    return value
