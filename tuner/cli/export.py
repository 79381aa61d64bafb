"""`tune export`: configurations as data, or as a file that deploys one."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from tuner.cli.options import (
    DEFAULT_BACKEND,
    BackendOption,
    FinishedOption,
    GridOption,
    Sampler,
    StorageOption,
    opened,
)
from tuner.cli.output import write_text

if TYPE_CHECKING:
    from tuner.export.render import ExportFormat


class Format(StrEnum):
    json = "json"
    yaml = "yaml"
    csv = "csv"
    compose = "compose"
    stack = "stack"
    kubernetes = "kubernetes"
    docker_run = "docker-run"
    helm = "helm"
    kustomize = "kustomize"
    kserve = "kserve"
    env = "env"
    replay = "replay"
    study = "study"
    dask_workers = "dask-workers"


def export(
    study: FinishedOption,
    format_: Annotated[
        Format, typer.Option("--format", "-f", help="Format of the export (see above).")
    ] = Format.json,
    pick: Annotated[
        str | None,
        typer.Option(
            help="Which configurations: knee (what is recommended for the scenario), recommended"
            " (the same for each scenario), robust (one decision for all scenarios), all (those on"
            " any front), trial numbers (7,12), the best in one objective (min-art, min-cpu), or"
            " the best within a bound ('min art_ms where cpu_percent <= 40'). [default:"
            " recommended for json, yaml and csv, else knee]",
            show_default=False,
        ),
    ] = None,
    when: Annotated[
        str | None,
        typer.Option(
            metavar="NAME=VALUE,...",
            help="Pick among the configurations of this scenario only, such as loss=1.",
        ),
    ] = None,
    balancer: Annotated[
        str | None,
        typer.Option(
            metavar="IMAGE", help="compose: put this nginx image in front of the replicas."
        ),
    ] = None,
    claim: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="kubernetes, helm, kustomize, kserve: the PersistentVolumeClaim that holds the"
            " model. [default: NAME-model]",
        ),
    ] = None,
    model_path: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="compose, stack, docker-run: the directory with the model's versions."
            " [default: where tune models builds it]",
            show_default=False,
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            help="compose, stack, docker-run: the first port to publish for REST; each replica"
            " takes the next. [default: 8501]"
        ),
    ] = None,
    grpc_port: Annotated[
        int | None,
        typer.Option(
            help="compose, stack, docker-run: the first port to publish for gRPC. [default: the"
            " ports right before those for REST, so 8500 for one replica]",
        ),
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(
            metavar="IMAGE",
            help="The serving image to write, such as the name in your registry of the image that"
            " was measured. [default: the measured one]",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Name of what is deployed: Kubernetes objects, chart, compose services, containers"
            " of the script. [default: made from the model or the study]",
        ),
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="kubernetes, kustomize, kserve: the namespace of the objects.",
        ),
    ] = None,
    model_source: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            help="kubernetes, helm, kustomize, kserve: where each pod fetches the model before it"
            " starts, instead of --claim. Needs --init-image, except in kserve.",
        ),
    ] = None,
    init_image: Annotated[
        str | None,
        typer.Option(
            metavar="IMAGE",
            help="With --model-source: the init container's image. It gets the URI and a directory,"
            " as KServe's storage initializer does.",
        ),
    ] = None,
    autoscale: Annotated[
        float | None,
        typer.Option(
            metavar="RATE",
            help="kubernetes, helm, kustomize, kserve: add an autoscaler with as many replicas as"
            " RATE requests/s need. The study must have measured capacity_rps.",
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="tcp://HOST:8786",
            help="dask-workers: the address of the Dask scheduler, as the hosts reach it.",
        ),
    ] = None,
    sampler: GridOption = None,
    storage: StorageOption = None,
    backend: BackendOption = DEFAULT_BACKEND,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File to write; for helm, kustomize and dask-workers, a directory. [default:"
            " standard output]",
        ),
    ] = None,
) -> None:
    """Export configurations: as data, or as a file that deploys one of them.

    compose, stack (for Docker Swarm), docker-run (a shell script), kubernetes, kserve (an
    InferenceService), env, helm and kustomize hold one configuration. helm and kustomize are
    directories, written to --output.
    json, yaml and csv hold any number. study is the whole study in one file, which tune show,
    explain, report, compare and export take for --study. replay is the full grid (or what
    --storage names) as a Parquet file, which tune run --backend replay and tune compare --against
    take. dask-workers is a directory with what starts tune worker on hosts by SSH, Slurm and
    Kubernetes; it needs no trials.

    Example: tune export --study mnist --format kubernetes --when loss=1,concurrency=4
    """
    from tuner.errors import InputError

    if format_ is Format.replay:
        chosen = opened(study, storage, backend, sampler=Sampler.grid)
        print(chosen.export_grid(output), file=sys.stderr)
        return
    chosen = opened(study, storage, backend, sampler=sampler)
    if format_ is Format.study:
        chosen.export("study", output=output)
        print(f"wrote {output}", file=sys.stderr)
        return
    if format_ is Format.dask_workers:
        chosen.export("dask-workers", output=output, scheduler=scheduler, image=image)
        print(f"wrote {output}", file=sys.stderr)
        return
    if scheduler is not None:
        raise InputError(f"the format {format_.value} does not take --scheduler", "leave it out")
    from tuner.export.render import DIRECTORY_FORMATS

    is_directory = format_.value in DIRECTORY_FORMATS
    text = chosen.export(
        cast("ExportFormat", format_.value),
        pick=pick,
        scenario=when,
        output=output if is_directory else None,
        on_remark=lambda line: print(f"note: {line}", file=sys.stderr),
        balancer=balancer,
        claim=claim,
        model_path=model_path,
        port=port,
        grpc_port=grpc_port,
        image=image,
        name=name,
        namespace=namespace,
        model_source=model_source,
        init_image=init_image,
        autoscale=autoscale,
    )
    if is_directory:
        print(f"wrote {output}", file=sys.stderr)
    else:
        write_text(text, output)
