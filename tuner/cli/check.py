"""`tune check`: whether everything is there that a run needs."""

from __future__ import annotations

import typer

from tuner.cli import BAD_INPUT
from tuner.cli.options import (
    DEFAULT_BACKEND,
    BackendOption,
    JsonOption,
    MayLoadOption,
    OnOption,
    SendersOnOption,
    StorageOption,
    StudyOption,
    hosts_options,
    opened,
)
from tuner.cli.output import print_json


def check(
    study: StudyOption,
    storage: StorageOption = None,
    backend: BackendOption = DEFAULT_BACKEND,
    on: OnOption = None,
    senders_on: SendersOnOption = None,
    may_load: MayLoadOption = False,
    as_json: JsonOption = False,
) -> None:
    """Check that everything is there that a run needs, and say what to do about what is missing.

    Exit code 2: something is missing.

    Example: tune check --study mnist
    """
    from tuner.export.verb_documents import check_document
    from tuner.pages.check_page import check_blocks
    from tuner.render.terminal import show

    chosen = opened(study, storage, backend, may_load=may_load, on=on, senders_on=senders_on)
    checks = chosen.check()
    if as_json:
        print_json(check_document(chosen.specification, checks))
    else:
        hosts = hosts_options(chosen)
        show(*check_blocks(chosen.name, checks, f"{chosen.selecting()}{hosts}"))
    if not all(each.ok for each in checks):
        raise typer.Exit(BAD_INPUT)
