"""The verbs of `tune`, assembled: each is a file of this package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from tuner import __version__
from tuner.cli.check import check
from tuner.cli.compare import compare
from tuner.cli.confirm import confirm
from tuner.cli.dashboard import dashboard
from tuner.cli.explain import explain
from tuner.cli.export import export
from tuner.cli.image import image
from tuner.cli.init import init
from tuner.cli.list import list_
from tuner.cli.measure import measure
from tuner.cli.models import models
from tuner.cli.plan import plan
from tuner.cli.report import report
from tuner.cli.run import run
from tuner.cli.show import show
from tuner.cli.verify import verify
from tuner.cli.worker import worker

app = typer.Typer(
    name="tune",
    help="Find the best configuration of a model server by Bayesian optimisation.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # Rich's help pages take 0.4 s to import
)


@app.callback(invoke_without_command=True)
def version(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.")
    ] = False,
) -> None:
    if show_version:
        print(f"tune {__version__}")
        raise typer.Exit


_VERBS: dict[str, Callable[..., None]] = {
    "run": run,
    "measure": measure,
    "plan": plan,
    "check": check,
    "show": show,
    "confirm": confirm,
    "explain": explain,
    "report": report,
    "list": list_,
    "dashboard": dashboard,
    "export": export,
    "verify": verify,
    "compare": compare,
    "init": init,
    "worker": worker,
}
for name, verb in _VERBS.items():
    app.command(name)(verb)
app.add_typer(image, name="image")
app.add_typer(models, name="models")
