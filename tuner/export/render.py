"""One exported text, by format and choice of trials."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tuner.export.compose import to_compose
from tuner.export.documents import to_csv, to_json, to_yaml
from tuner.export.pick import only, pick
from tuner.record import StudyRecord

Format = Literal["json", "yaml", "csv", "compose"]

_DOCUMENTS = {"json": to_json, "yaml": to_yaml, "csv": to_csv}


def render(study: StudyRecord, form: Format, choice: str, model_versions: Path) -> str:
    """The trials that `choice` picks (`tuner.export.pick`), written as `form`.

    `model_versions` is the directory that a compose file mounts. Raises InputError when nothing
    can be picked, or for a compose file more than one trial.
    """
    trials = pick(study, choice)
    if form == "compose":
        return to_compose(study, only(trials), model_versions)
    return _DOCUMENTS[form](study, trials)
