"""`tune show`: a study, or one of its trials in full."""

from __future__ import annotations

from typing import Annotated

import typer

from tuner.cli.options import (
    DEFAULT_BACKEND,
    BackendOption,
    FinishedOption,
    JsonOption,
    StorageOption,
    opened,
)
from tuner.cli.output import print_json


def show(
    study: FinishedOption,
    trial: Annotated[int | None, typer.Argument(help="Number of a trial to show in full.")] = None,
    storage: StorageOption = None,
    backend: BackendOption = DEFAULT_BACKEND,
    as_json: JsonOption = False,
) -> None:
    """Show what a study found: its Pareto fronts, measured and predicted, and every trial.

    Example: tune show --study mnist 12
    """
    from tuner.errors import InputError
    from tuner.export.findings_document import document, numbered_document
    from tuner.pages import trial_page as page
    from tuner.pages.study_page import study_blocks
    from tuner.render import terminal

    record = opened(study, storage, backend).record
    if trial is None:
        if as_json:
            print_json(document(record))
        else:
            terminal.show(*study_blocks(record))
        return
    measured = record.trial(trial)
    failed = next((f for f in record.failed if f.number == trial), None)
    if measured is None and failed is None:
        numbers = f"0 to {record.trials[-1].number}" if record.trials else "there are none"
        raise InputError(
            f"study {record.name!r} has no finished trial {trial}", f"trials: {numbers}"
        )
    if as_json:
        print_json(numbered_document(record, trial))
    elif failed is not None:
        terminal.show(*page.failed_trial_blocks(record, failed))
    elif measured is not None:
        terminal.show(*page.trial_blocks(record, measured))
