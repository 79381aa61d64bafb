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
    from tuner.study_file import FinishedStudy

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
    replay = "replay"


class Sampler(StrEnum):
    bayes = "bayes"
    tpe = "tpe"
    gp = "gp"
    nsga2 = "nsga2"
    random = "random"
    qmc = "qmc"
    grid = "grid"


class Format(StrEnum):
    json = "json"
    yaml = "yaml"
    csv = "csv"
    compose = "compose"
    replay = "replay"
    study = "study"


StudyOption = Annotated[
    str, typer.Option("--study", "-s", help="Name of a study, or the path of its study.yaml.")
]
FinishedOption = Annotated[
    str,
    typer.Option(
        "--study",
        "-s",
        help="Name of a study, the path of its study.yaml, or a study file (NAME.study.zip).",
    ),
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
    typer.Option(
        "--backend",
        help="Real containers, a computed host or a recorded grid (both clearly labelled).",
    ),
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
    sampler: Annotated[
        Sampler | None,
        typer.Option(
            help="Instead of the study's. grid measures every configuration, whatever the budget,"
            " into a database of its own."
        ),
    ] = None,
    passes: Annotated[
        int | None,
        typer.Option(min=1, help="How often --sampler grid measures the grid. [default: 1]"),
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The recorded grid that --backend replay takes the trials from."
        ),
    ] = None,
    warm_start: Annotated[
        str | None,
        typer.Option(
            metavar="STUDY",
            help="Begin with what the model of another study knows: its name, or URL#NAME.",
        ),
    ] = None,
) -> None:
    """Run a study, or resume it, until its budget is used up."""
    from dataclasses import replace

    from tuner.cli.run import run as verb
    from tuner.errors import InputError

    grid = sampler is Sampler.grid
    if (replay is None) == (backend is BackendChoice.replay):
        raise InputError("--backend replay and --replay FILE go together", "give both, or neither")
    if passes is not None and not grid:
        raise InputError("--passes is for the full grid only", "give --sampler grid, or leave it")
    spec = _specification(study)
    if sampler is not None:
        spec = replace(spec, search=replace(spec.search, sampler=sampler.value))
    raise typer.Exit(
        verb(
            spec,
            _url(study, storage, backend, grid=grid),
            backend.value,
            trials,
            repeat or [],
            (passes or 1) if grid else 0,
            replay,
            warm_start,
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
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show a study's fronts, measured and predicted, and its trials; or one trial in full."""
    from tuner.cli.show import show as verb

    verb(_record(study, storage, backend), trial, as_json=as_json)


@app.command()
def confirm(
    study: StudyOption,
    top: Annotated[
        int, typer.Option(min=1, help="So many candidates for the fronts are measured again.")
    ] = 8,
    reps: Annotated[int, typer.Option(min=1, help="How often each, and the baseline.")] = 3,
    storage: StorageOption = None,
    backend: BackendOption = BackendChoice.docker,
    replay: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The recorded grid, with --backend replay."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Measure candidates for the fronts again, among the baseline, and tell which of them stay."""
    from tuner.cli.confirm import confirm as verb

    raise typer.Exit(
        verb(
            _specification(study),
            _url(study, storage, backend),
            backend.value,
            top,
            reps,
            as_json=as_json,
            replay=replay,
        )
    )


@app.command()
def explain(
    study: StudyOption,
    objective: Annotated[
        str | None,
        typer.Option(help="Of this one only, such as art_ms. [default: all]", show_default=False),
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Hold a parameter at a value, such as loss=0 (may be given again).",
        ),
    ] = None,
    storage: StorageOption = None,
    backend: BackendOption = BackendChoice.docker,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Tell which parameters matter, how objectives depend on them, and what that means."""
    from tuner.cli.explain import explain as verb

    verb(_record(study, storage, backend), objective, at or [], as_json=as_json)


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
    sampler: Annotated[
        Sampler | None,
        typer.Option(help="grid: of the full grid, which has a database of its own."),
    ] = None,
    storage: StorageOption = None,
    backend: BackendOption = BackendChoice.docker,
    output: OutputOption = None,
) -> None:
    """Write Pareto-optimal configurations: as data, or as a compose file that starts one.

    Format replay is a Parquet file of every trial of the full grid (or of what --storage names),
    whatever is picked; `tune run --backend replay` serves them again.
    """
    if format_ is Format.replay:
        from tuner.cli.grids import export_table

        url = _url(study, storage, backend, grid=True)
        export_table(_specification(study).name, url, output)
        return
    from tuner.export.render import render
    from tuner.spec.load import load_model

    record = _record(study, storage, backend, grid=sampler is Sampler.grid)
    versions = load_model(record.model).versions.resolve()
    text = render(record, format_.value, pick, versions)  # type: ignore[arg-type] # a text, by now
    _write(text, output)


@app.command()
def compare(
    study: Annotated[str, typer.Argument(help="Name of a study, or the path of its study.yaml.")],
    against: Annotated[
        str,
        typer.Option(
            help="grid (the study's own full grid), a file FILE.parquet that export --format replay"
            " wrote, another study's name, or a storage URL (URL#NAME for another study in it)."
        ),
    ] = "grid",
    storage: StorageOption = None,
    backend: BackendOption = BackendChoice.docker,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Compare a study's fronts and cost with a recorded full grid."""
    from tuner.cli.compare import compare as verb

    verb(_record(study, storage, backend), against, backend.value, as_json=as_json)


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


def _url(study: str, storage: str | None, backend: BackendChoice, *, grid: bool = False) -> str:
    from tuner.spec.load import results_directory
    from tuner.study.storage import default_url

    results = results_directory(_specification(study))
    return storage or default_url(results, backend.value, grid=grid)


def _record(
    study: str, storage: str | None, backend: BackendChoice, *, grid: bool = False
) -> StudyRecord:
    return _finished(study, storage, backend, grid=grid).record


def _finished(
    study: str, storage: str | None, backend: BackendChoice, *, grid: bool = False
) -> FinishedStudy:
    """The study's trials, from its storage or from a study file."""
    from tuner.study_file import is_study_file, read_study

    if is_study_file(study):
        return read_study(Path(study))
    from tuner.spec.load import results_directory
    from tuner.study.storage import finished_study, open_storage

    spec = _specification(study)
    url = _url(study, storage, backend, grid=grid)
    return finished_study(spec.name, open_storage(url, create=False), results_directory(spec))


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
