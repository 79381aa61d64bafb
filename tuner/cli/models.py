"""`tune models`: what can be served, and what there is to know of it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tuner.cli.completion import model_names
from tuner.cli.options import JsonOption, RequestsOption, TemplateOption
from tuner.cli.output import print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tuner.serving.first_run import FirstAnswers, FirstRun
    from tuner.spec.http_service import HttpService
    from tuner.spec.study import ModelSpec, ServingSpec

models = typer.Typer(
    help="List, show, add, build and check the models that studies serve.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

NameArgument = Annotated[str, typer.Argument(help="Name of the model.", autocompletion=model_names)]


class Loader(StrEnum):
    auto = "auto"
    replica = "replica"
    tensorflow = "tensorflow"


LoaderOption = Annotated[
    Loader,
    typer.Option(
        help="What runs the model: replica (a container of the serving image), tensorflow (the"
        " installed TensorFlow wheel), or auto (the first of them that is there)."
    ),
]
_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


@models.command("list")
def list_models(as_json: JsonOption = False) -> None:
    """List the models that studies can name.

    Example: tune models list
    """
    from tuner.export.verb_documents import models_document
    from tuner.pages.models_page import model_table
    from tuner.render.terminal import show
    from tuner.serving.model_facts import short_facts
    from tuner.spec import study_files
    from tuner.spec.load import load_model

    facts = [short_facts(load_model(name)) for name in study_files.existing("model", Path.cwd())]
    if as_json:
        print_json(models_document(facts))
    else:
        show(model_table(facts))


@models.command("show")
def show(name: NameArgument, as_json: JsonOption = False) -> None:
    """Show a model's signatures, versions, golden requests and where it comes from.

    Example: tune models show mnist
    """
    from tuner.export.verb_documents import models_document
    from tuner.pages.models_page import model_blocks
    from tuner.render import terminal
    from tuner.serving.model_facts import facts_of
    from tuner.spec.load import load_model

    facts = facts_of(load_model(name))
    if as_json:
        print_json(models_document([facts]))
    else:
        terminal.show(*model_blocks(facts))


@models.command("add")
def add(
    name: Annotated[str, typer.Option("--name", help="Name by which studies will call the model.")],
    path: Annotated[
        Path | None,
        typer.Argument(
            help="Directory of a SavedModel or of its numbered versions, an .onnx file, or a"
            " scikit-learn model as .joblib (the message for .pkl, .pickle and .skops says how to"
            " make one); nothing with --image."
        ),
    ] = None,
    signature: Annotated[
        str | None, typer.Option(help="Signature that requests call. [default: serving_default]")
    ] = None,
    requests: RequestsOption = None,
    template: TemplateOption = None,
    dim: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Size of an unknown dimension of made inputs: batch=4, or INPUT.AXIS=VALUE. May be"
            " given several times.",
        ),
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(help="Largest allowed difference between an answer and its golden answer."),
    ] = 1e-3,
    description: Annotated[
        str, typer.Option(help="What the model takes and answers, in a sentence.")
    ] = "",
    loader: LoaderOption = Loader.auto,
    image: Annotated[
        str | None,
        typer.Option(metavar="REF", help="In place of a path: an image that answers HTTP."),
    ] = None,
    port: Annotated[
        int, typer.Option(min=1, max=65_535, help="With --image: the port at which it answers.")
    ] = 8080,
    ready: Annotated[
        str, typer.Option(metavar="PATH", help="With --image: answers 200 once it is ready.")
    ] = "/",
    request: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help="With --image: a request, as METHOD PATH BODY. The body is JSON, other text, @FILE"
            " or nothing. May be given several times.",
        ),
    ] = None,
    command: Annotated[
        str, typer.Option(help="With --image: what to run in place of its own command.")
    ] = "",
    env: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="With --image: a variable. May be repeated."),
    ] = None,
    user: Annotated[
        str, typer.Option(metavar="UID:GID", help="With --image: who it runs as.")
    ] = "65534:65534",
    writable: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH", help="With --image: what it may write, in memory. May be repeated."
        ),
    ] = None,
) -> None:
    """Add a model of your own. It is run once, and its answers become the golden answers.

    It is a SavedModel, an ONNX file, a scikit-learn model (.joblib), or a service inside an image.

    Example: tune models add exported/ --name mine
    """
    from tuner.errors import InputError
    from tuner.measure.golden import matches
    from tuner.serving.added import Wish, add_model
    from tuner.serving.model_source import server_of
    from tuner.serving.traffic_template import template_text
    from tuner.spec.study import ServingSpec

    if (path is None) == (image is None):
        raise InputError(
            "expected the path of a model, or --image, one of them",
            "such as: tune models add exported/ --name mine",
        )
    if image is not None:
        service = _service(image, port, ready, request or [], command, env or [], user, writable)
        _add_service(name, service, description, _tolerance(tolerance))
        return
    assert path is not None
    wish = Wish(
        name,
        path,
        signature,
        requests,
        template_text(template, Path.cwd()) if template else None,
        _dims(dim or []),
        _tolerance(tolerance),
        description,
    )
    directory = add_model(
        wish, _first_run(loader, ServingSpec(server=server_of(path))), matches, print, Path.cwd()
    )
    print(f"wrote {directory}")
    print(f"next: tune init {name} --model {name}")


def _service(
    image: str,
    port: int,
    ready: str,
    request: list[str],
    command: str,
    env: list[str],
    user: str,
    writable: list[str] | None,
) -> tuple[HttpService, dict[str, bytes]]:
    import shlex

    from tuner.errors import InputError
    from tuner.serving.added_service import read_calls
    from tuner.spec.http_service import HttpService

    variables = {}
    for text in env:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise InputError(f"--env {text}: expected NAME=VALUE")
        variables[name] = value
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        raise InputError(f"--command {command!r}: {error}", "close its quotes") from error
    calls, files = read_calls(request or ["GET /"])
    service = HttpService(
        image, port, calls, ready, (), words, variables, user, tuple(writable or ())
    )
    return service, files


def _add_service(
    name: str, of: tuple[HttpService, dict[str, bytes]], description: str, tolerance: float
) -> None:
    from functools import partial

    from tuner.deploy.replica_answers import service_answers
    from tuner.serving.added_service import ServiceWish, add_service
    from tuner.spec.study import ServingSpec

    run = partial(service_answers, ready_seconds=ServingSpec.ready_seconds)
    wish = ServiceWish(name, *of, description, tolerance)
    directory = add_service(wish, run, print, Path.cwd())
    print(f"wrote {directory}")
    print(f"next: tune init {name} --model {name}")


@models.command("build", context_settings=_PASSED_ON)
def build(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(help="Name of a model with a builder.", autocompletion=model_names)
    ],
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Build it even if it is already built.")
    ] = False,
) -> None:
    """Build a model's SavedModel and golden requests. Other options are passed to its builder.

    Example: tune models build mnist
    """
    from tuner.serving.built_model import build_model, is_built
    from tuner.spec.load import load_model

    model = load_model(name)
    if is_built(model) and not rebuild and not context.args:
        print(f"model {name} is already built: {model.built}")
        return
    build_model(model, context.args, print)


@models.command("check")
def check(name: NameArgument, loader: LoaderOption = Loader.auto) -> None:
    """Run a model on its golden requests and compare its answers with the golden answers.

    Example: tune models check mnist
    """
    from tuner.errors import InputError
    from tuner.serving.built_model import require_built
    from tuner.serving.servers.table import server_named
    from tuner.spec.load import load_model
    from tuner.spec.study import ServingSpec

    model = load_model(name)
    require_built(model)
    server = server_named(model.server)
    golden = server.golden(model)
    requests = server.requests_in("rest", model, golden)
    answers = _first_run(loader, ServingSpec.of(model))(model, golden.bodies).bodies
    wrong = [n for n, answer in enumerate(answers) if not requests.right(n, answer)]
    if wrong:
        shown = ", ".join(map(str, wrong[:10])) + (", ..." if len(wrong) > 10 else "")
        raise InputError(
            f"model {name} answers {len(wrong)} of {len(answers)} golden requests differently by"
            f" more than {model.tolerance:g}: {shown}",
            f"build or add it again, or see {model.golden}",
        )
    print(f"model {name}: {len(answers)} golden requests answered as expected")


@models.command("convert", context_settings=_PASSED_ON)
def convert(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            help="Name of a model with a converter (deepspeech).", autocompletion=model_names
        ),
    ],
    graph: Annotated[Path, typer.Argument(help="The released file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory to write.")],
) -> None:
    """Convert a released graph into a SavedModel. Other options are passed to the converter.

    Example: tune models convert deepspeech output_graph.pb --output converted
    """
    from tuner.serving.built_model import convert_model
    from tuner.spec.load import load_model

    convert_model(load_model(name), graph, output, context.args, print)
    print(f"wrote {output}; next: tune models add {output} --name NAME")


def _first_run(loader: Loader, serving: ServingSpec) -> FirstRun:
    from tuner.deploy.replica_answers import can_run, replica_answers
    from tuner.errors import InputError, SetupError
    from tuner.serving.first_run import loader_answers
    from tuner.serving.server.signatures import tensorflow_directory
    from tuner.spec.study import ModelSpec

    if serving.server != ModelSpec.server:
        if loader is Loader.tensorflow:
            raise InputError(
                f"the TensorFlow wheel does not run a model of the server {serving.server}",
                "leave --loader out: a replica of that server runs it",
            )
        return _in_built_image
    if loader is Loader.tensorflow:
        return loader_answers
    if loader is Loader.auto:
        try:
            can_run(serving)
        except SetupError as error:
            try:
                tensorflow_directory()
            except ModuleNotFoundError:
                raise error from None
            print(f"the TensorFlow wheel runs it, as no container can be started: {error.message}")
            return loader_answers
    return replica_answers


def _in_built_image(model: ModelSpec, bodies: Sequence[bytes]) -> FirstAnswers:
    """A `FirstRun` by a replica, whose image is built where it is missing."""
    from tuner.deploy.docker_engine import connect
    from tuner.deploy.replica_answers import replica_answers
    from tuner.serving.base import image_exists
    from tuner.serving.image import build_image, image_tag
    from tuner.serving.servers.table import server_named

    recipe = server_named(model.server).image
    with connect() as client:
        if recipe is not None and not image_exists(client, image_tag(recipe)):
            build_image(client, print, recipe=recipe)
    return replica_answers(model, bodies)


def _dims(texts: list[str]) -> dict[str, int]:
    from tuner.errors import InputError

    dims = {}
    for text in texts:
        name, _, value = text.partition("=")
        if not (name and value.isdecimal() and int(value) > 0):
            raise InputError(
                f"--dim {text}: expected NAME=VALUE with a whole number above 0",
                "such as --dim batch=4 or --dim text.1=20",
            )
        dims[name] = int(value)
    return dims


def _tolerance(value: float) -> float:
    from tuner.errors import InputError

    if not 0 < value < float("inf"):
        raise InputError(f"--tolerance {value:g}: expected a number > 0")
    return value
