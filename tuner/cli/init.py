"""`tune init`: a new study."""

from __future__ import annotations

from typing import Annotated

import typer

from tuner.cli.completion import model_names


def init(
    name: Annotated[str, typer.Argument(help="Name of the new study.")],
    model: Annotated[
        str, typer.Option(help="The model that it serves.", autocompletion=model_names)
    ] = "mnist",
    slo: Annotated[
        list[str],
        typer.Option(
            metavar="TEXT",
            help="A service level to hold, such as 'p95_ms <= 15'. May be repeated.",
        ),
    ] = [],  # noqa: B006 -- Typer reads the default and copies it
    rate: Annotated[
        float | None,
        typer.Option(
            help="The load of the service level: requests per second, whatever the server does."
        ),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(help="The load of the service level: clients that wait for their answer."),
    ] = None,
) -> None:
    """Write a commented study to start from, into studies/ and search_spaces/.

    With a service level, the study asks for the cheapest configuration that holds it.

    Example: tune init mine --model mnist --slo "p95_ms <= 15" --rate 100
    """
    from tuner.spec.scaffold import ServiceLevel, scaffold

    service_level = ServiceLevel.parse(slo, rate, concurrency)
    for path in scaffold(name, model=model, service_level=service_level):
        print(f"wrote {path}")
    print(f"next: tune plan --study {name}")
