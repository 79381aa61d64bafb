"""The verbs of `tune`."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tuner import __version__
from tuner.cli.models import models

if TYPE_CHECKING:
    from tuner.record import StudyRecord
    from tuner.spec.study import StudySpec

app = typer.Typer(
    name="tune",
    help="Bayesian design-space exploration of model serving.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # Rich's help pages take 0.4 s to import
)
image = typer.Typer(help="The serving image.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(image, name="image")
app.add_typer(models, name="models")


class BackendChoice(StrEnum):
    docker = "docker"
    simulated = "simulated"


class Format(StrEnum):
    json = "json"
    yaml = "yaml"
    csv = "csv"
    compose = "compose"


StudyOption = Annotated[
    str, typer.Option("--study", "-s", help="Name of a study, or the path of its study.yaml.")
]
StorageOption = Annotated[
    str | None,
    typer.Option(
        "--storage",
        help="Optuna storage URL. [default: SQLite in studies/NAME/results]",
        show_default=False,
    ),
]
BackendOption = Annotated[
    BackendChoice,
    typer.Option("--backend", help="Real containers, or a computed host (clearly labelled)."),
]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="File to write. [default: standard output]"),
]


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if show:
        print(f"tune {__version__}")
        raise typer.Exit


@app.command()
def run(
    study: StudyOption,
    storage: StorageOption = None,
    backend: BackendOption = BackendChoice.docker,
    trials: Annotated[
        int | None,
        typer.Option(min=1, help="So many more trials, instead of the study's budget."),
    ] = None,
    repeat: Annotated[
        list[int] | None,
        typer.Option(help="Measure this trial's configuration once more (may be given again)."),
    ] = None,
) -> None:
    """Run a study, or resume it, until its budget is used up."""
    from tuner.cli.run import run as verb

    raise typer.Exit(
        verb(
            _specification(study),
            _url(study, storage, backend),
            backend.value,
            trials,
            repeat or [],
        )
    )


@app.command()
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
            help="A parameter (cpu=1 replicas=2 concurrency=8 loss=1) or a key of `load`"
            " (max_seconds=20). More may follow.",
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="The model to measure.")] = None,
    study: Annotated[
        str | None,
        typer.Option("--study", "-s", help="Take model, serving, load and baseline from a study."),
    ] = None,
    trial: Annotated[
        int | None, typer.Option(help="Begin with the configuration of this trial of the study.")
    ] = None,
    repeat: Annotated[
        int, typer.Option(min=1, help="Deploy and measure so many times, all anew.")
    ] = 1,
    steps: Annotated[
        str | None,
        typer.Option(
            metavar="LEVELS",
            help="Explore: levels of load in turn, such as 1,2,4,8 (connections; requests/s where"
            " a rate is set).",
        ),
    ] = None,
    ramp: Annotated[
        str | None,
        typer.Option(metavar="FROM:TO", help="Explore: a level that changes evenly, in ten parts."),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=1, help="Length of each step or part of a ramp.")
    ] = 5,
    backend: BackendOption = BackendChoice.docker,
    storage: StorageOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Measure one configuration by hand: intervals, validity, and where the time went."""
    from tuner.cli.measure import explore, stages
    from tuner.cli.measure import measure as verb
    from tuner.errors import InputError

    exploring = steps is not None or ramp is not None
    if exploring and (repeat > 1 or as_json):
        raise InputError("--repeat and --json do not go with --steps or --ramp", "leave them out")
    levels = stages(steps, ramp, seconds) if exploring else ()
    spec = _by_hand(model, study, trial, [*(set_ or ()), *(settings or ())], backend, storage)
    if exploring:
        raise typer.Exit(explore(spec, backend.value, levels))
    raise typer.Exit(verb(spec, backend.value, repeat, as_json=as_json))


@app.command()
def plan(
    study: StudyOption,
    storage: StorageOption = None,
    backend: BackendOption = BackendChoice.docker,
) -> None:
    """Tell the size of the full grid, what it would take, and what the budget will take."""
    from tuner.cli import tables
    from tuner.study.plan import plan as estimate
    from tuner.study.storage import finished_trials

    spec = _specification(study)
    tables.show_plan(
        spec, estimate(spec, finished_trials(spec.name, _url(study, storage, backend)))
    )


@app.command()
def check(
    study: StudyOption,
    storage: StorageOption = None,
    backend: BackendOption = BackendChoice.docker,
) -> None:
    """Look for everything that a run needs; each line is ok or says how to mend it."""
    from tuner.cli import BAD_INPUT, tables
    from tuner.spec.load import results_directory
    from tuner.study.check import checks

    spec = _specification(study)
    found = checks(spec, results_directory(spec), _url(study, storage, backend))
    if not tables.show_checks(found):
        raise typer.Exit(BAD_INPUT)


@app.command()
def show(
    study: StudyOption,
    trial: Annotated[int | None, typer.Argument(help="Trial to show in full.")] = None,
    storage: StorageOption = None,
    backend: BackendOption = BackendChoice.docker,
) -> None:
    """Show a study's fronts and trials, or one trial in full."""
    from tuner.cli import tables
    from tuner.cli.trial_page import show_failed, show_trial
    from tuner.errors import InputError

    record = _record(study, storage, backend)
    if trial is None:
        tables.show_study(record)
        return
    found = record.trial(trial)
    failed = next((f for f in record.failed if f.number == trial), None)
    if failed is not None:
        show_failed(record, failed)
        return
    if found is None:
        numbers = f"0 to {record.trials[-1].number}" if record.trials else "there are none"
        raise InputError(
            f"study {record.name!r} has no finished trial {trial}", f"trials: {numbers}"
        )
    show_trial(record, found)


@app.command(name="list")
def list_(storage: StorageOption = None) -> None:
    """List the studies that can be run, and the trials that they have."""
    from tuner.cli import tables
    from tuner.spec.load import list_studies, results_directory
    from tuner.study.storage import found_studies

    urls = [storage] if storage else None
    tables.show_list(found_studies(list_studies(), results_directory, urls))


@app.command()
def dashboard(
    study: StudyOption,
    storage: StorageOption = None,
    backend: BackendOption = BackendChoice.docker,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8080,
) -> None:
    """Start optuna-dashboard on 127.0.0.1 for a study and print its address."""
    print("starting optuna-dashboard, which takes some seconds ...", file=sys.stderr)
    from tuner.cli.dashboard import serve

    serve(_specification(study).name, _url(study, storage, backend), port)


@app.command()
def export(
    study: StudyOption,
    format_: Annotated[Format, typer.Option("--format", "-f", help="What to write.")] = Format.json,
    pick: Annotated[
        str,
        typer.Option(help="knee (the recommended trial), all (every front's trials), or a number."),
    ] = "knee",
    storage: StorageOption = None,
    backend: BackendOption = BackendChoice.docker,
    output: OutputOption = None,
) -> None:
    """Write Pareto-optimal configurations: as data, or as a compose file that starts one."""
    from tuner.export.render import render
    from tuner.spec.load import load_model

    record = _record(study, storage, backend)
    versions = load_model(record.model).versions.resolve()
    _write(render(record, format_.value, pick, versions), output)


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="Name of the new study.")],
    model: Annotated[str, typer.Option(help="The model that it serves.")] = "mnist",
) -> None:
    """Write a commented study to start from, into studies/ and search_spaces/."""
    from tuner.spec.scaffold import scaffold

    for path in scaffold(name, model=model):
        print(f"wrote {path}")
    print(f"next: tune plan --study {name}")


@image.command("build")
def build_image(
    base: Annotated[
        str,
        typer.Option(help="auto, pull (from a registry) or bootstrap (with debootstrap, as root)."),
    ] = "auto",
) -> None:
    """Build the serving image on this machine's engine, unless it is there."""
    from tuner.deploy.engine import connect
    from tuner.errors import InputError
    from tuner.serving.image import build_image as build

    if base not in ("auto", "pull", "bootstrap"):
        raise InputError(f"--base {base!r} is unknown", "give auto, pull or bootstrap")
    with connect() as client:
        print(build(client, print, base))  # type: ignore[arg-type] # checked just above


def _specification(study: str) -> StudySpec:
    from tuner.spec.host import Host
    from tuner.spec.load import load_study

    return load_study(study, Host.this())


def _by_hand(
    model: str | None,
    study: str | None,
    trial: int | None,
    settings: list[str],
    backend: BackendChoice,
    storage: str | None,
) -> StudySpec:
    from tuner.errors import InputError
    from tuner.spec.by_hand import by_model, by_study
    from tuner.spec.host import Host

    if (model is None) == (study is None):
        raise InputError("expected --model or --study, one of them", "such as: --model mnist")
    if model is not None:
        if trial is not None:
            raise InputError("--trial goes with --study only", "name the study of the trial")
        return by_model(model, settings, Host.this())
    assert study is not None
    start = None
    if trial is not None:
        record = _record(study, storage, backend)
        known = record.trial(trial)
        if known is None:
            raise InputError(
                f"study {record.name!r} has no finished trial {trial}", "see tune show"
            )
        start = known.configuration
    return by_study(study, settings, Host.this(), start)


def _url(study: str, storage: str | None, backend: BackendChoice) -> str:
    from tuner.spec.load import results_directory
    from tuner.study.storage import default_url

    return storage or default_url(results_directory(_specification(study)), backend.value)


def _record(study: str, storage: str | None, backend: BackendChoice) -> StudyRecord:
    from tuner.study.storage import open_storage, read_study

    name = _specification(study).name
    return read_study(name, open_storage(_url(study, storage, backend), create=False))


def _write(text: str, output: Path | None) -> None:
    """To standard output, or whole to a file: never half of it."""
    if output is None:
        sys.stdout.write(text)
        return
    from tuner.errors import InputError

    try:
        partial = output.with_name(output.name + ".partial")
        partial.write_text(text)
        partial.replace(output)
    except OSError as error:
        raise InputError(
            f"--output {output} cannot be written: {error.strerror}",
            "name a file in a directory that exists",
        ) from error
    print(f"wrote {output}", file=sys.stderr)
