"""`tune confirm`: measure candidates for the fronts again."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import typer

from tuner.cli import INTERRUPTED
from tuner.cli.options import (
    DEFAULT_BACKEND,
    BackendOption,
    JsonOption,
    MayLoadOption,
    OnOption,
    ReplayOption,
    SendersOnOption,
    StorageOption,
    StudyOption,
    kept_record,
    opened,
)
from tuner.cli.output import print_json


def confirm(
    study: StudyOption,
    top: Annotated[
        int, typer.Option(min=1, help="How many candidates for the fronts to measure again.")
    ] = 8,
    reps: Annotated[
        int, typer.Option(min=1, help="How often to measure each of them, and the baseline.")
    ] = 3,
    storage: StorageOption = None,
    backend: BackendOption = DEFAULT_BACKEND,
    on: OnOption = None,
    senders_on: SendersOnOption = None,
    replay: ReplayOption = None,
    may_load: MayLoadOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure the best configurations and the baseline again, and say which stay on a front.

    Example: tune confirm --study mnist --top 5 --reps 3
    """
    from tuner.api import Begun
    from tuner.cli.live import live_view
    from tuner.export.verb_documents import confirmation_document
    from tuner.pages.confirmation_page import confirmation_blocks, confirming
    from tuner.pages.run_page import interrupted
    from tuner.render.terminal import show
    from tuner.study.loop import Event

    chosen = opened(
        study, storage, backend, replay=replay, may_load=may_load, on=on, senders_on=senders_on
    )
    confirmation = None
    with suppress(KeyboardInterrupt):
        if as_json:
            confirmation = chosen.confirm(top, reps)
        else:
            with live_view(chosen) as view:

                def observe(event: Begun | Event) -> None:
                    view.observe(event)
                    if isinstance(event, Begun):
                        show(confirming(event.goal, event.record, reps))

                confirmation = chosen.confirm(top, reps, on_event=observe)
    if confirmation is None:
        show(*interrupted(kept_record(chosen), f"tune run {chosen.selecting()} --trials N"))
        raise typer.Exit(INTERRUPTED)
    record = chosen.record
    if as_json:
        print_json(confirmation_document(record, confirmation))
    else:
        show(*confirmation_blocks(record, confirmation))
