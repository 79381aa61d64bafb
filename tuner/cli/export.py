"""`tune export`: what is said about a file on the way to it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import cast

from tuner.errors import InputError
from tuner.export.render import Asked, ExportFormat, render
from tuner.measure.record import StudyRecord
from tuner.results.study_file import SUFFIX, FinishedStudy, is_study_file, write_study


def text(study: StudyRecord, form: str, asked: Asked) -> str:
    """The file's text; what there is to remark goes to standard error."""
    exported = render(study, cast("ExportFormat", form), asked)
    for line in exported.remarks:
        print(f"note: {line}", file=sys.stderr)
    return exported.text


def whole_study(study: FinishedStudy, output: Path | None) -> None:
    """Write the study file. Raises InputError without a name that a study file has."""
    if output is None or not is_study_file(output.name):
        raise InputError(
            "a study file is written to a file, whose name ends in .zip",
            f"give --output {study.record.name}{SUFFIX}",
        )
    write_study(output, study)
    print(f"wrote {output}", file=sys.stderr)
