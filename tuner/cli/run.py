"""`tune run`: run a study, or resume it."""

from __future__ import annotations

import shlex
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tuner.cli import INTERRUPTED, NOTHING_FEASIBLE
from tuner.cli.completion import study_names
from tuner.cli.options import (
    DEFAULT_BACKEND,
    BackendOption,
    MayLoadOption,
    OnOption,
    ReplayOption,
    Sampler,
    SendersOnOption,
    StorageOption,
    StudyOption,
    hosts_options,
    kept_record,
    opened,
)

if TYPE_CHECKING:
    from tuner.api import Study


def run(
    study: StudyOption,
    storage: StorageOption = None,
    backend: BackendOption = DEFAULT_BACKEND,
    on: OnOption = None,
    senders_on: SendersOnOption = None,
    trials: Annotated[
        int | None,
        typer.Option(min=1, help="Run so many more trials, whatever the study's budget."),
    ] = None,
    repeat: Annotated[
        list[int] | None,
        typer.Option(
            help="Measure the configuration of this trial once more. May be given several times."
        ),
    ] = None,
    sampler: Annotated[
        Sampler | None,
        typer.Option(
            help="Use this sampler in place of the study's. grid measures every configuration,"
            " whatever the budget, into a storage of its own."
        ),
    ] = None,
    passes: Annotated[
        int | None,
        typer.Option(
            min=1, help="With --sampler grid: how often to measure the whole grid. [default: 1]"
        ),
    ] = None,
    replay: ReplayOption = None,
    may_load: MayLoadOption = False,
    warm_start: Annotated[
        str | None,
        typer.Option(
            metavar="STUDY",
            help="Start with what the model of another study knows. Give its name, or URL#NAME for"
            " a study in another storage.",
            autocompletion=study_names,
        ),
    ] = None,
) -> None:
    """Run a study until its budget is used up. Resumes a study that was interrupted.

    Exit code 3: no feasible configuration was found.

    Example: tune run --study mnist --trials 20
    """
    from tuner.backends.absence import StayedAway
    from tuner.cli.live import live_view
    from tuner.errors import InputError
    from tuner.pages.run_page import converged, interrupted
    from tuner.pages.study_page import end_blocks
    from tuner.render.terminal import show
    from tuner.results.summary import summarise

    grid = sampler is Sampler.grid
    if (replay is None) == (backend == "replay"):
        raise InputError("--backend replay and --replay FILE go together", "give both, or neither")
    if passes is not None and not grid:
        raise InputError("--passes is for the full grid only", "give --sampler grid, or leave it")
    chosen = opened(
        study,
        storage,
        backend,
        sampler=sampler,
        replay=replay,
        may_load=may_load,
        on=on,
        senders_on=senders_on,
    )
    resume = _resume(chosen, passes or 1, replay, may_load=may_load)
    whole = False
    with suppress(KeyboardInterrupt):
        with live_view(chosen) as view:
            try:
                chosen.run(
                    trials,
                    repeat=repeat or [],
                    passes=passes or 1,
                    warm_start=warm_start,
                    on_event=view.observe,
                )
            except StayedAway as gone:
                gone.name_command(resume)
                raise
        whole = True
    if not whole:
        record = kept_record(chosen)
        if record is not None and record.trials:
            show(*end_blocks(record, summarise(record)))
        show(*interrupted(record, resume))
        raise typer.Exit(INTERRUPTED)
    show(*converged(view.reasons))
    raise typer.Exit(_end(chosen, resume))


def _resume(study: Study, passes: int, replay: Path | None, *, may_load: bool) -> str:
    """The command that resumes this run."""
    grid = f" --sampler grid --passes {passes}" if study.grid else ""
    recorded = "" if replay is None else f" --replay {shlex.quote(str(replay))}"
    allowed = " --i-may-load-this" if may_load else ""
    return f"tune run {study.selecting()}{hosts_options(study)}{grid}{recorded}{allowed}"


def _end(study: Study, resume: str) -> int:
    """Print the answer and what to do next; the exit code."""
    from tuner.pages.run_page import next_steps
    from tuner.pages.study_page import end_blocks
    from tuner.render.terminal import show
    from tuner.results.summary import summarise

    record = study.record
    summary = summarise(record)
    show(*end_blocks(record, summary))
    show(*next_steps(record, summary, study.selecting(grid=False), resume))
    return 0 if summary.front else NOTHING_FEASIBLE
