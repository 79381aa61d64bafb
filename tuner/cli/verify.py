"""`tune verify`: whether an exported file does what was predicted, and holds the constraints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tuner.cli import CANNOT_SAY, CONSTRAINT_FAILS, NOT_AS_PREDICTED
from tuner.cli.measure import status
from tuner.cli.options import (
    DEFAULT_BACKEND,
    BackendOption,
    FinishedOption,
    GridOption,
    JsonOption,
    SendersOnOption,
    StorageOption,
    opened,
)
from tuner.cli.output import print_json

_CODES = {"as predicted": 0, "not as predicted": NOT_AS_PREDICTED, "cannot say": CANNOT_SAY}


def verify(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A compose file or docker-run script that tune export wrote."
        ),
    ],
    study: FinishedOption,
    repeat: Annotated[
        int, typer.Option(min=1, help="How often to deploy and measure, each time anew.")
    ] = 1,
    sampler: GridOption = None,
    storage: StorageOption = None,
    backend: BackendOption = DEFAULT_BACKEND,
    senders_on: SendersOnOption = None,
    as_json: JsonOption = False,
) -> None:
    """Deploy an exported file as it stands, measure it, and judge it twice.

    Is it as predicted, and does it hold every constraint of the study? The deployment is removed
    afterwards. Exit code 4: a value is outside its predicted interval, or the file brings up
    something else than was measured. Exit code 5: no measurement can be trusted. Exit code 6: a
    constraint fails, whatever was predicted.

    Example: tune verify compose.yaml --study mnist
    """
    from tuner.render.terminal import show
    from tuner.trial import TrialResult
    from tuner.verify.answer import file_blocks, measured_again, verified_blocks
    from tuner.verify.exported_file import read_exported

    chosen = opened(study, storage, backend, sampler=sampler, senders_on=senders_on)

    def again(result: TrialResult) -> None:
        if not as_json:
            show(measured_again(result))

    if not as_json:
        simulated = backend == "simulated"
        show(*file_blocks(file, read_exported(file).provenance, simulated=simulated))
    with status(quiet=as_json) as observe:
        verified = chosen.verify(file, repeat, on_event=observe, on_invalid=again)
    fails = any(c.verdict == "fails" for c in verified.judged_constraints)
    code = CONSTRAINT_FAILS if fails else _CODES[verified.verdict]
    if as_json:
        print_json({**verified.to_json(), "exit_code": code})
    else:
        show(*verified_blocks(verified))
    raise typer.Exit(code)
