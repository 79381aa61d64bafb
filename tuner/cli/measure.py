"""`tune measure`: one configuration by hand, as often as you like."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from tuner.cli import NOTHING_FEASIBLE
from tuner.cli.completion import model_names, study_names
from tuner.cli.options import (
    DEFAULT_BACKEND,
    BackendOption,
    JsonOption,
    MayLoadOption,
    RequestsOption,
    SendersOnOption,
    StorageOption,
    TemplateOption,
    opened,
)
from tuner.cli.output import print_json

if TYPE_CHECKING:
    from tuner.api import Study
    from tuner.spec.study import Stage
    from tuner.trial import Observe, TrialResult

T = TypeVar("T")

_RAMP_STAGES = 10


def measure(
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=VALUE]...", help="More settings, as after --set."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Set a parameter (cpu=1 replicas=2 concurrency=8 loss=1) or a key of the load"
            " (max_seconds=20). Several may follow one --set.",
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The model to measure.", autocompletion=model_names)
    ] = None,
    study: Annotated[
        str | None,
        typer.Option(
            "--study",
            "-s",
            help="Take model, serving, load and default configuration from this study.",
            autocompletion=study_names,
        ),
    ] = None,
    trial: Annotated[
        int | None,
        typer.Option(help="With --study: start from the configuration of this trial."),
    ] = None,
    repeat: Annotated[
        int, typer.Option(min=1, help="How often to deploy and measure, each time anew.")
    ] = 1,
    steps: Annotated[
        str | None,
        typer.Option(
            metavar="LEVELS",
            help="Measure at these levels of load in turn, such as 1,2,4,8. A level is a number of"
            " connections, or requests/s for a study that sets a rate.",
        ),
    ] = None,
    ramp: Annotated[
        str | None,
        typer.Option(
            metavar="FROM:TO", help="Measure while the level rises or falls evenly, in ten parts."
        ),
    ] = None,
    seconds: Annotated[
        float,
        typer.Option(min=1, max=86_400, help="Length of each step, or of each part of a ramp."),
    ] = 5,
    capacity: Annotated[
        bool,
        typer.Option(
            "--capacity",
            help="Find the highest rate of requests at which it holds the constraints.",
        ),
    ] = False,
    slo: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help="With --capacity: a constraint in place of the study's, such as 'p95_ms <= 15'."
            " May be repeated.",
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0.1, help="With --capacity: say how many replicas so many requests/s need."
        ),
    ] = None,
    requests: RequestsOption = None,
    template: TemplateOption = None,
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Measure a service that is there already, with --requests. Nothing is deployed.",
        ),
    ] = None,
    concurrency: Annotated[
        str | None,
        typer.Option(
            metavar="LEVELS",
            help="With --url: measure with so many connections in turn, such as 1,4,16, each until"
            " ART is known well.",
        ),
    ] = None,
    container: Annotated[
        str,
        typer.Option(metavar="NAME", help="With --url: count CPU and memory of this container."),
    ] = "",
    ca: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="With --url: the certificate of your own authority, for https."
        ),
    ] = None,
    most_rps: Annotated[
        float,
        typer.Option(min=0.1, max=999_999, help="With --url: send no more requests per second."),
    ] = 10_000,
    may_load: MayLoadOption = False,
    senders_on: SendersOnOption = None,
    backend: BackendOption = DEFAULT_BACKEND,
    storage: StorageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure one configuration by hand: values with intervals, doubts, and where time went.

    Example: tune measure --model mnist --set cpu=1 replicas=2 --repeat 3
    """
    from tuner.api import Study
    from tuner.errors import InputError

    exploring = steps is not None or ramp is not None
    if (exploring or capacity) and (repeat > 1 or as_json):
        raise InputError(
            "--repeat and --json do not go with --steps, --ramp or --capacity", "leave them out"
        )
    if exploring and capacity:
        raise InputError("--capacity chooses the levels itself", "leave out --steps and --ramp")
    if not capacity and (slo or rate is not None):
        raise InputError("--slo and --rate are for --capacity", "give it too, or leave them out")
    levels = _stages(steps, ramp, seconds) if exploring else ()
    changes = [*(set_ or ()), *(settings or ())]
    if url is not None:
        _require_alone(model, study, trial)
        narrowed = Study.of_endpoint(
            url,
            _required(requests),
            template=template,
            container=container,
            ca=ca,
            most_rps=most_rps,
            may_load=may_load,
            senders_on=senders_on,
        ).narrowed(changes)
    else:
        chosen = _opened(model, study, trial, backend, storage, senders_on)
        narrowed = chosen.narrowed(changes, trial=trial, requests=requests, template=template)
    if concurrency is not None:
        _require_levels(url, other=exploring or capacity or repeat > 1)
        raise typer.Exit(_concurrency(narrowed, _levels(concurrency), as_json=as_json))
    if capacity:
        raise typer.Exit(_capacity(narrowed, slo or (), rate))
    raise typer.Exit(
        _explore(narrowed, levels) if exploring else _measure(narrowed, repeat, as_json=as_json)
    )


def _require_alone(model: str | None, study: str | None, trial: int | None) -> None:
    from tuner.errors import InputError

    if model is not None or study is not None or trial is not None:
        raise InputError("--url goes with neither --model nor --study", "give one of them")


def _required(requests: Path | None) -> Path:
    from tuner.errors import InputError

    if requests is None:
        raise InputError("--url needs the requests to send", "name a file of them: --requests FILE")
    return requests


def _require_levels(url: str | None, *, other: bool) -> None:
    from tuner.errors import InputError

    if url is None:
        raise InputError(
            "--concurrency is for --url", "for a model, say --set concurrency=4 or --steps 1,4,16"
        )
    if other:
        raise InputError(
            "--concurrency goes with none of --steps, --ramp, --capacity and --repeat",
            "leave them out",
        )


def _opened(
    model: str | None,
    study: str | None,
    trial: int | None,
    backend: str,
    storage: str | None,
    senders_on: str | None,
) -> Study:
    from tuner.api import Study
    from tuner.errors import InputError

    if (model is None) == (study is None):
        raise InputError(
            "expected --model, --study or --url, one of them", "such as: --model mnist"
        )
    if model is not None:
        if trial is not None:
            raise InputError("--trial goes with --study only", "name the study of the trial")
        if senders_on is not None:
            raise InputError("--senders-on goes with --study and --url", "leave it out")
        return Study.of_model(model, backend=backend)
    assert study is not None
    return opened(study, storage, backend, senders_on=senders_on)


def _measure(study: Study, times: int, *, as_json: bool) -> int:
    """Measure and print; the exit code."""
    from tuner.pages.by_hand import about, repeat_line, repeats_blocks
    from tuner.render.legible import legible
    from tuner.render.terminal import show

    if not as_json:
        show(*about(study.specification, study.backend))

    def each(index: int, result: TrialResult) -> None:
        if not as_json:
            print(legible(f"[{index + 1}/{times}] {repeat_line(result)}"), flush=True)

    with status(quiet=as_json) as observe:
        repeats = study.measure(times, on_event=observe, on_result=each)
    if as_json:
        print_json(repeats.to_json())
    else:
        show(*repeats_blocks(repeats))
    return 0 if repeats.measurements else NOTHING_FEASIBLE


def _watched(study: Study, measure: Callable[[Observe], T]) -> T | None:
    """What one deployment gives, with its status while it is measured.

    None where it cannot serve, which is then said.
    """
    from tuner.errors import Infeasible
    from tuner.pages.by_hand import about, could_not_serve
    from tuner.render.terminal import show

    show(*about(study.specification, study.backend))
    try:
        with status(quiet=False) as observe:
            return measure(observe)
    except Infeasible as reason:
        show(could_not_serve(reason))
        return None


def _concurrency(study: Study, levels: Sequence[int], *, as_json: bool) -> int:
    """Measure at each number of connections and print a row for each; the exit code."""
    from tuner.pages.by_hand import about, concurrency_blocks, repeat_line
    from tuner.render.legible import legible
    from tuner.render.terminal import show

    if not as_json:
        show(*about(study.specification, study.backend))

    def each(level: int, result: TrialResult) -> None:
        if not as_json:
            print(legible(f"{level}: {repeat_line(result)}"), flush=True)

    with status(quiet=as_json) as observe:
        results = study.measure_concurrency(levels, on_event=observe, on_result=each)
    measured = {n: r.measurement for n, r in results.items() if r.measurement is not None}
    if as_json:
        print_json(
            {
                "format": 1,
                "levels": [{"concurrency": n} | r.to_json() for n, r in results.items()],
            }
        )
    elif measured:
        show(*concurrency_blocks(study.specification, measured))
    return 0 if measured else NOTHING_FEASIBLE


def _levels(text: str) -> list[int]:
    """Numbers of connections from `1,4,16`. Raises InputError."""
    from tuner.errors import InputError
    from tuner.spec.built_in import BUILT_INS

    rule = BUILT_INS["concurrency"]
    try:
        levels = [int(part) for part in text.split(",")]
    except ValueError:
        levels = []
    if not levels or not all(rule.at_least <= level < rule.below for level in levels):
        raise InputError(
            f"--concurrency {text}: not numbers of connections", "such as --concurrency 1,4,16"
        )
    return list(dict.fromkeys(levels))


def _explore(study: Study, stages: tuple[Stage, ...]) -> int:
    """Measure at one level of load after another and print a row for each; the exit code."""
    from tuner.pages.by_hand import stage_blocks
    from tuner.render.terminal import show

    measurements = _watched(study, lambda observe: study.measure_levels(stages, on_event=observe))
    if measurements is None:
        return NOTHING_FEASIBLE
    show(*stage_blocks(study.specification, stages, measurements))
    return 0


def _capacity(study: Study, constraints: Sequence[str], rate: float | None) -> int:
    """Search for the capacity and print each step; the exit code."""
    from tuner.pages.by_hand import capacity_blocks
    from tuner.render.terminal import show

    found = _watched(study, lambda observe: study.measure_capacity(constraints, on_event=observe))
    if found is None:
        return NOTHING_FEASIBLE
    replicas = int(study.specification.search_space.baseline().get("replicas", 1))
    show(*capacity_blocks(found, replicas, rate))
    return 0 if found.search.held else NOTHING_FEASIBLE


def _stages(steps: str | None, ramp: str | None, seconds: float) -> tuple[Stage, ...]:
    """Stages of `seconds` each from `--steps 1,2,4` or `--ramp 10:500`; raises InputError."""
    from tuner.errors import InputError
    from tuner.spec.built_in import BUILT_INS
    from tuner.spec.study import Stage

    try:
        if steps is not None:
            levels = [float(text) for text in steps.split(",")]
            stages = tuple(Stage(seconds, level, level) for level in levels)
        else:
            first, last = (float(text) for text in str(ramp).split(":"))
            ends = [first + (last - first) * i / _RAMP_STAGES for i in range(_RAMP_STAGES + 1)]
            stages = tuple(Stage(seconds, a, b) for a, b in itertools.pairwise(ends))
    except ValueError as error:
        option = f"--steps {steps}" if steps is not None else f"--ramp {ramp}"
        raise InputError(
            f"{option}: not levels of load", "give numbers: --steps 1,2,4,8 or --ramp 10:500"
        ) from error
    most = BUILT_INS["concurrency"].below
    if not all(0 < level < most for stage in stages for level in (stage.start, stage.end)):
        raise InputError(
            f"a level of load must be more than 0 and less than {most:g}", "see --steps and --ramp"
        )
    return stages


@contextmanager
def status(*, quiet: bool) -> Iterator[Observe]:
    """The phase and the burst's progress, on a terminal; nothing elsewhere."""
    from rich.text import Text

    from tuner.pages.run_page import burst_line
    from tuner.render.terminal import console

    if quiet or not console.is_terminal:
        yield lambda _: None
        return
    with console.status("preparing") as shown:
        yield lambda e: shown.update(Text(e if isinstance(e, str) else burst_line(e)))
