"""`tune init`: a new study."""

from __future__ import annotations

from typing import Annotated

import typer

from tuner.cli.completion import model_names
from tuner.cli.options import RequestsOption, TemplateOption


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
    requests: RequestsOption = None,
    template: TemplateOption = None,
) -> None:
    """Write a commented study to start from, into studies/ and search_spaces/.

    With a service level, the study asks for the cheapest configuration that holds it.

    Recorded requests are sent in place of the model's golden ones, and when they arrived where that
    is known (`arrivals: trace`).

    Example: tune init mine --model mnist --slo "p95_ms <= 15" --rate 100
    """
    from tuner.errors import InputError
    from tuner.load.study_requests import recorded_load
    from tuner.spec.scaffold import ServiceLevel, scaffold

    service_level = ServiceLevel.parse(slo, rate, concurrency)
    if template is not None and requests is None:
        raise InputError("--template is for the rows of recorded requests", "give --requests too")
    recorded = None if requests is None else recorded_load(requests, template)
    for path in scaffold(name, model=model, service_level=service_level, recorded=recorded):
        print(f"wrote {path}")
    print(f"next: tune plan --study {name}")
