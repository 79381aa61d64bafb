"""The verbs of `tune`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tuner import __version__
from tuner.cli.completion import finished_names, model_names, study_names
from tuner.cli.models import models
from tuner.cli.named import by_hand, finished, record_of, specification, storage_url, write_text
from tuner.cli.options import (
    BackendChoice,
    BackendOption,
    FinishedOption,
    Format,
    GridOption,
    ImageFormat,
    JsonOption,
    OutputOption,
    Sampler,
    StorageOption,
    StudyOption,
)

if TYPE_CHECKING:
    from tuner.measure.record import StudyRecord

app = typer.Typer(
    name="tune",
    help="Bayesian design-space exploration of model serving.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # Rich's help pages take 0.4 s to import
)
image = typer.Typer(help="The serving image.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(image, name="image")
app.add_typer(models, name="models")


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
            autocompletion=study_names,
        ),
    ] = None,
) -> None:
    """Run a study, or resume it, until its budget is used up.

    Example: tune run --study mnist --trials 20
    """
    from dataclasses import replace

    from tuner.cli.run import run as verb
    from tuner.errors import InputError

    grid = sampler is Sampler.grid
    if (replay is None) == (backend is BackendChoice.replay):
        raise InputError("--backend replay and --replay FILE go together", "give both, or neither")
    if passes is not None and not grid:
        raise InputError("--passes is for the full grid only", "give --sampler grid, or leave it")
    spec = specification(study)
    if sampler is not None:
        spec = replace(spec, search=replace(spec.search, sampler=sampler.value))
    raise typer.Exit(
        verb(
            spec,
            storage_url(study, storage, backend, grid=grid),
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
    model: Annotated[
        str | None, typer.Option(help="The model to measure.", autocompletion=model_names)
    ] = None,
    study: Annotated[
        str | None,
        typer.Option(
            "--study",
            "-s",
            help="Take model, serving, load and baseline from a study.",
            autocompletion=study_names,
        ),
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
    as_json: JsonOption = False,
) -> None:
    """Measure one configuration by hand: intervals, validity, and where the time went.

    Example: tune measure --model mnist --set cpu=1 replicas=2 --repeat 3
    """
    from tuner.cli.measure import explore, stages
    from tuner.cli.measure import measure as verb
    from tuner.errors import InputError

    exploring = steps is not None or ramp is not None
    if exploring and (repeat > 1 or as_json):
        raise InputError("--repeat and --json do not go with --steps or --ramp", "leave them out")
    levels = stages(steps, ramp, seconds) if exploring else ()
    spec = by_hand(model, study, trial, [*(set_ or ()), *(settings or ())], backend, storage)
    if exploring:
        raise typer.Exit(explore(spec, backend.value, levels))
    raise typer.Exit(verb(spec, backend.value, repeat, as_json=as_json))


@app.command()
def plan(
    study: StudyOption,
    storage: StorageOption = None,
    backend: BackendOption = BackendChoice.docker,
    as_json: JsonOption = False,
) -> None:
    """Tell the size of the full grid, what it would take, and what the budget will take.

    Example: tune plan --study mnist
    """
    from tuner.cli import documents, tables
    from tuner.study.plan import plan_study as estimate
    from tuner.study.storage import finished_trials

    spec = specification(study)
    found = estimate(spec, finished_trials(spec.name, storage_url(study, storage, backend)))
    if as_json:
        documents.print_document(documents.plan_document(spec, found))
    else:
        tables.show_plan(spec, found)


@app.command()
def check(
    study: StudyOption,
    storage: StorageOption = None,
    backend: BackendOption = BackendChoice.docker,
    as_json: JsonOption = False,
) -> None:
    """Look for everything that a run needs; each line is ok or says how to mend it.

    Example: tune check --study mnist
    """
    from tuner.cli import BAD_INPUT, documents, tables
    from tuner.spec.load import results_directory
    from tuner.study.check import checks

    spec = specification(study)
    found = checks(spec, results_directory(spec), storage_url(study, storage, backend))
    if as_json:
        told = documents.check_document(spec, list(found))
        documents.print_document(told)
        good = bool(told["ok"])
    else:
        good = tables.show_checks(found)
    if not good:
        raise typer.Exit(BAD_INPUT)


@app.command()
def show(
    study: FinishedOption,
    trial: Annotated[int | None, typer.Argument(help="Trial to show in full.")] = None,
    storage: StorageOption = None,
    backend: BackendOption = BackendChoice.docker,
    as_json: JsonOption = False,
) -> None:
    """Show a study's fronts, measured and predicted, and its trials; or one trial in full.

    Example: tune show --study mnist 12
    """
    from tuner.cli.show import show as verb

    verb(record_of(study, storage, backend), trial, as_json=as_json)


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
    as_json: JsonOption = False,
) -> None:
    """Measure candidates for the fronts again, among the baseline, and tell which of them stay.

    Example: tune confirm --study mnist --top 5 --reps 3
    """
    from tuner.cli.confirm import confirm as verb

    raise typer.Exit(
        verb(
            specification(study),
            storage_url(study, storage, backend),
            backend.value,
            top,
            reps,
            as_json=as_json,
            replay=replay,
        )
    )


@app.command()
def explain(
    study: FinishedOption,
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
    as_json: JsonOption = False,
) -> None:
    """Tell which parameters matter, how objectives depend on them, and what that means.

    Example: tune explain --study mnist --at loss=0
    """
    from tuner.cli.explain import explain as verb

    verb(record_of(study, storage, backend), objective, at or [], as_json=as_json)


@app.command()
def report(
    study: FinishedOption,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File to write. [default: STUDY-report.html]",
            show_default=False,
        ),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write each figure as an image too (needs Chromium)."),
    ] = None,
    image_format: Annotated[
        ImageFormat, typer.Option(help="What images are written as.")
    ] = ImageFormat.svg,
    sampler: GridOption = None,
    storage: StorageOption = None,
    backend: BackendOption = BackendChoice.docker,
    as_json: JsonOption = False,
) -> None:
    """Write a study's report: one HTML file that works offline, with every figure and its numbers.

    Example: tune report --study mnist --figures figures
    """
    from tuner.cli.report import report as verb

    found = finished(study, storage, backend, grid=sampler is Sampler.grid)
    verb(found, output, figures, image_format.value, as_json=as_json)


@app.command(name="list")
def list_(storage: StorageOption = None, as_json: JsonOption = False) -> None:
    """List the studies that can be run, and the trials that they have.

    Example: tune list
    """
    from tuner.cli import documents, tables
    from tuner.spec.load import list_studies, results_directory
    from tuner.study.storage import found_studies

    urls = [storage] if storage else None
    found = found_studies(list_studies(), results_directory, urls)
    if as_json:
        documents.print_document(documents.list_document(found))
    else:
        tables.show_list(found)


@app.command()
def dashboard(
    study: StudyOption,
    storage: StorageOption = None,
    backend: BackendOption = BackendChoice.docker,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8080,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="Another address to listen at: exposes it, without a password."
        ),
    ] = "127.0.0.1",
    sampler: GridOption = None,
) -> None:
    """Start optuna-dashboard for a study, finished or running, and print its address.

    Example: tune dashboard --study mnist --port 0
    """
    print("starting optuna-dashboard, which takes some seconds ...", file=sys.stderr)
    from tuner.cli.dashboard import serve
    from tuner.spec.load import results_directory

    spec = specification(study)
    url = storage_url(study, storage, backend, grid=sampler is Sampler.grid)
    serve(spec.name, url, results_directory(spec), host, port)


@app.command()
def export(
    study: FinishedOption,
    format_: Annotated[Format, typer.Option("--format", "-f", help="What to write.")] = Format.json,
    pick: Annotated[
        str,
        typer.Option(
            help="knee (the recommended trial), all (every front's trials), trial numbers (7,12),"
            " min-art, min-cpu (any objective), or 'min art_ms where cpu_percent <= 40'."
        ),
    ] = "knee",
    when: Annotated[
        str | None,
        typer.Option(metavar="NAME=VALUE,...", help="Pick within this scenario: loss=1."),
    ] = None,
    balancer: Annotated[
        str | None,
        typer.Option(
            metavar="IMAGE", help="compose: put this image of nginx in front of the replicas."
        ),
    ] = None,
    claim: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="kubernetes: the PersistentVolumeClaim with the model. [default: MODEL-model]",
        ),
    ] = None,
    model_path: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="compose, docker-run: the directory of the model's versions."
            " [default: where tune models builds it]",
            show_default=False,
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(help="compose, docker-run: the first that is published. [default: 8501]"),
    ] = None,
    sampler: GridOption = None,
    storage: StorageOption = None,
    backend: BackendOption = BackendChoice.docker,
    output: OutputOption = None,
) -> None:
    """Write configurations: as data, or as a file that deploys one.

    compose, kubernetes, docker-run (a shell script) and env hold one configuration; json, yaml and
    csv any number. study is the whole study in one file, which verbs that read take for --study.
    replay is a Parquet file of every trial of the full grid (or of what --storage names);
    `tune run --backend replay` serves them again.

    Example: tune export --study mnist --format kubernetes --when loss=1,concurrency=4
    """
    if format_ is Format.replay:
        from tuner.cli.grids import export_table
        from tuner.errors import InputError
        from tuner.results.study_file import is_study_file

        if is_study_file(study):
            raise InputError("a study file has no full grid", "name the study, with its database")
        url = storage_url(study, storage, backend, grid=True)
        export_table(specification(study).name, url, output)
        return
    from tuner.cli.export import text, whole_study
    from tuner.export.render import Asked

    found = finished(study, storage, backend, grid=sampler is Sampler.grid)
    if format_ is Format.study:
        whole_study(found, output)
        return
    asked = Asked(pick, when, balancer, claim, model_path, port)
    write_text(text(found.record, format_.value, asked), output)


@app.command()
def verify(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A compose file or docker-run script that export wrote."
        ),
    ],
    study: FinishedOption,
    repeat: Annotated[
        int, typer.Option(min=1, help="Deploy and measure so many times, all anew.")
    ] = 1,
    sampler: GridOption = None,
    storage: StorageOption = None,
    backend: BackendOption = BackendChoice.docker,
    as_json: JsonOption = False,
) -> None:
    """Deploy an exported file as it stands, and tell whether it does what was predicted.

    It is taken down again. Exit code 4: something is outside its predicted interval, or the file
    brings up something else than was measured; 5: no measurement can be trusted.

    Example: tune verify compose.yaml --study mnist
    """
    from tuner.cli.verify import verify as verb

    record = record_of(study, storage, backend, grid=sampler is Sampler.grid)
    raise typer.Exit(verb(record, file, backend.value, repeat, as_json=as_json))


@app.command()
def compare(
    study: Annotated[
        str,
        typer.Argument(
            metavar="STUDY",
            help="Name of a study, the path of its study.yaml, a study file, or URL#NAME.",
            autocompletion=finished_names,
        ),
    ],
    other: Annotated[
        str | None,
        typer.Argument(
            metavar="OTHER",
            help="Another one, which is set beside it.",
            show_default=False,
            autocompletion=finished_names,
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            help="Without OTHER: grid (the study's own full grid), a file FILE.parquet that export"
            " --format replay wrote, another study's name, or a storage URL (URL#NAME for another"
            " study in it). [default: grid]",
            show_default=False,
        ),
    ] = None,
    storage: StorageOption = None,
    backend: BackendOption = BackendChoice.docker,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="With OTHER: also write a page (FILE.html)."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two studies (models, hosts, before and after), or a study with its full grid.

    Of two, everything is told of OTHER against STUDY: what differs between them, the ratio of each
    objective where both measured a configuration, with a test, and both fronts.

    Example: tune compare before.study.zip after.study.zip --output change.html
    """
    from tuner.cli.compare import compare as with_grid
    from tuner.cli.compare import compare_two, side
    from tuner.errors import InputError

    def named(name: str) -> StudyRecord:
        return record_of(name, storage, backend)

    if other is None:
        if output is not None:
            raise InputError("--output is for two studies", "name the other one, too")
        with_grid(side(study, named), against or "grid", backend.value, as_json=as_json)
        return
    if against is not None:
        raise InputError("--against is for one study and a grid", f"leave it, or leave {other}")
    found = compare_two(side(study, named), side(other, named), as_json=as_json)
    if output is not None:
        from tuner.pages.comparison import comparison_page
        from tuner.render.html import to_html

        write_text(to_html(comparison_page(found)), output)


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="Name of the new study.")],
    model: Annotated[
        str, typer.Option(help="The model that it serves.", autocompletion=model_names)
    ] = "mnist",
) -> None:
    """Write a commented study to start from, into studies/ and search_spaces/.

    Example: tune init mine --model mnist
    """
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
    """Build the serving image on this machine's engine, unless it is there.

    Example: tune image build --base bootstrap
    """
    from tuner.deploy.docker_engine import connect
    from tuner.errors import InputError
    from tuner.serving.image import build_image as build

    if base not in ("auto", "pull", "bootstrap"):
        raise InputError(f"--base {base!r} is unknown", "give auto, pull or bootstrap")
    with connect() as client:
        print(build(client, print, base))  # type: ignore[arg-type] # checked just above
