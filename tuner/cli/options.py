"""Options that several verbs share, and what they select."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from tuner.cli.completion import backend_choices, finished_names, study_names

if TYPE_CHECKING:
    from tuner.api import Study
    from tuner.measure.record import StudyRecord


DEFAULT_BACKEND = "docker"


class Sampler(StrEnum):
    bayes = "bayes"
    tpe = "tpe"
    gp = "gp"
    nsga2 = "nsga2"
    random = "random"
    qmc = "qmc"
    grid = "grid"


StudyOption = Annotated[
    str,
    typer.Option(
        "--study",
        "-s",
        help="Name of a study, or path of its study.yaml.",
        autocompletion=study_names,
    ),
]
FinishedOption = Annotated[
    str,
    typer.Option(
        "--study",
        "-s",
        help="Name of a study, path of its study.yaml, or a study file (NAME.study.zip).",
        autocompletion=finished_names,
    ),
]
StorageOption = Annotated[
    str | None,
    typer.Option(
        "--storage",
        help="Optuna storage URL of the trials. [default: a SQLite file in studies/NAME/results]",
        show_default=False,
    ),
]


def _checked_backend(name: str) -> str:
    from tuner.backends import backend_names

    if name not in (names := backend_names()):
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(names)}")
    return name


BackendOption = Annotated[
    str,
    typer.Option(
        "--backend",
        parser=_checked_backend,
        metavar="docker|swarm|simulated|replay|endpoint|NAME",
        autocompletion=backend_choices,
        help="What runs the trials: docker measures containers, swarm measures them"
        " on several machines, simulated computes a host, replay"
        " takes trials from a recorded grid, endpoint measures a service that is there already,"
        " NAME is one that an installed package adds. Each has its own storage.",
    ),
]
GridOption = Annotated[
    Sampler | None,
    typer.Option("--sampler", help="grid: read the study's full grid, which has its own storage."),
]
ReplayOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="With --backend replay: the recorded grid (Parquet) to take trials from.",
    ),
]
RequestsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="Recorded requests: JSON lines, a directory with one body in each file, a table (.csv,"
        " .tsv, .parquet) with --template, or a HAR file.",
    ),
]
TemplateOption = Annotated[
    str | None,
    typer.Option(
        metavar="JSON",
        help="With --requests and a table: the request that a row makes, with {column} for its"
        " cells, or a file with that.",
    ),
]
MayLoadOption = Annotated[
    bool,
    typer.Option(
        "--i-may-load-this", help="Load an endpoint that is not on this machine: you may do that."
    ),
]
OnOption = Annotated[
    str | None,
    typer.Option(
        metavar="dask://HOST:8786",
        help="Measure on the hosts of this Dask cluster, one trial on each at a time; `tune worker`"
        " makes a host one of them. [default: this host]",
    ),
]
SendersOnOption = Annotated[
    str | None,
    typer.Option(
        metavar="dask://HOST:8786",
        help="With --backend swarm or endpoint: send the load from the hosts of this Dask cluster;"
        " `tune worker --sends` makes a host one of them. [default: this host]",
    ),
]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="File to write. [default: standard output]"),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document instead of text.")
]


def kept_record(study: Study) -> StudyRecord | None:
    """The finished trials; None where a run was broken off before anything was stored."""
    from tuner.errors import InputError

    try:
        return study.record
    except InputError:
        return None


def opened(
    study: str,
    storage: str | None = None,
    backend: str = DEFAULT_BACKEND,
    *,
    sampler: Sampler | None = None,
    replay: Path | None = None,
    may_load: bool = False,
    on: str | None = None,
    senders_on: str | None = None,
) -> Study:
    """The study that the options select. Raises InputError for a study that cannot be read."""
    import optuna

    from tuner.api import Study

    # Optuna reports each study that it makes, also those in memory.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return Study.open(
        study,
        storage=storage,
        backend=backend,
        replay=replay,
        sampler=None if sampler is None else sampler.value,
        may_load=may_load,
        on=on,
        senders_on=senders_on,
    )


def hosts_options(study: Study) -> str:
    """The options that name the other hosts of a study, for a command line; each with a space."""
    named = {"--on": study.on, "--senders-on": study.senders_on}
    return "".join(f" {option} {quote(on)}" for option, on in named.items() if on is not None)
