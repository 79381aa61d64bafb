# ruff: noqa: T201 -- a program that prints what it finds
"""Runs a small study in processes that die at a chosen point; a program for tests.

    python -m tests.study.cutting FIRST STEP

The points are those where a kill leaves something else behind: after each commit that wrote, and
before and after each file takes its place. For every `STEP`th point from `FIRST` on, a process runs
the study in a directory of its own and is killed there; a second one resumes it and is killed some
points later; a third one resumes it to its end. One line is printed for each point: its number, and
what does not hold then. The last one is `points N`.

The processes are forked, so that none has to import the package.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import optuna
from alembic.util import pyfiles
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.engine.default import DefaultDialect

from tests.study.forking import exit_code, forked
from tests.study.invariants import broken_invariants
from tests.study.small import configurations, opened, run, specification, url_of
from tests.study.worlds import World, untrusted
from tuner.backends.backend import DeployingBackend
from tuner.deploy.protocol import Deployer, Deployment
from tuner.errors import TrialFailed
from tuner.spec.load import results_directory
from tuner.spec.study import LoadProfile, StudySpec

TRIALS = 5
BROKEN = ("0000", "0003")
"""The labels of trials whose deployment breaks. The first is the baseline's."""


def backend(spec: StudySpec) -> DeployingBackend:
    """A host on which trials break, one configuration cannot be trusted and one cannot serve."""

    def choose(usual: Deployer, label: str) -> Deployer:
        if label in BROKEN:
            raise TrialFailed("the engine went away")
        return usual

    def distrust(target: Deployment, _profile: LoadProfile) -> bool:
        return bool(target.facts()["cpu"] == 0.25)

    return replace(untrusted(spec, distrust), deployer=World(spec, choose))


def study() -> StudySpec:
    return specification(("trials: 8", f"trials: {TRIALS}"), ("tpe", "random"))


def killing_at(point: int) -> None:
    """Let this process be killed at that point, counted from 0."""
    left = iter(range(point, -1, -1))
    wrote = False

    def reached() -> None:
        if next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def execute(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        nonlocal wrote
        wrote = wrote or statement.startswith(("INSERT", "UPDATE", "DELETE", "CREATE"))

    def commit(_dialect: DefaultDialect, connection: sqlite3.Connection) -> None:
        nonlocal wrote
        connection.commit()
        if wrote:
            wrote = False
            reached()

    def replaced(whole: Callable[..., None], *arguments: object, **named: object) -> None:
        reached()
        whole(*arguments, **named)
        reached()

    event.listen(Engine, "before_cursor_execute", execute)
    DefaultDialect.do_commit = commit  # type: ignore[method-assign]
    original = os.replace
    os.replace = lambda *arguments, **named: replaced(original, *arguments, **named)


def _without_waiting_for_the_disk(connection: sqlite3.Connection, _: object) -> None:
    """What a killed process wrote, the kernel keeps."""
    connection.execute("PRAGMA synchronous = OFF")


def ended(action: Callable[[], None]) -> int:
    return exit_code(forked(action))


def complete(point: int | None) -> None:
    spec = study()
    if point is not None:
        killing_at(point)
    run(spec, backend=backend(spec))


def check(point: int, expected: Path) -> None:
    spec = study()
    held = opened(spec)
    path = Path(url_of(spec).removeprefix("sqlite:///"))
    broken = broken_invariants(spec, held, results_directory(spec), path)
    found = described(held)
    if found != expected.read_text():
        broken.append(f"other configurations than of a whole run: {found}")
    print(f"{point}: {'; '.join(broken) or 'ok'}")


def described(held: optuna.Study) -> str:
    return "\n".join(sorted(map(str, configurations(held))))


def points(first: int, step: int) -> Iterator[int]:
    """The points at which a process was killed."""
    place, expected = Path.cwd(), Path.cwd() / "expected"

    # In this process, so that its children have all that it loaded.
    (place / "whole").mkdir()
    os.chdir(place / "whole")
    complete(None)
    expected.write_text(described(opened(study())))
    point = first
    while True:
        directory = place / str(point)
        directory.mkdir()
        os.chdir(directory)
        code = ended(lambda: complete(point))  # noqa: B023 -- called at once
        if code == -signal.SIGKILL:
            second = ended(lambda: complete(point % 7))  # noqa: B023
            third = ended(lambda: complete(None))
            if second not in (0, -signal.SIGKILL) or third:
                print(f"{point}: the resumed run failed")
        elif code:
            print(f"{point}: the run failed")
        ended(lambda: check(point, expected))  # noqa: B023
        if code != -signal.SIGKILL:
            return
        yield point
        point += step


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pyfiles.load_module_py = cache(pyfiles.load_module_py)  # type: ignore[assignment] # as tests/conftest.py
    event.listen(Engine, "connect", _without_waiting_for_the_disk)
    first, step = map(int, sys.argv[1:])
    print(f"points {len(list(points(first, step)))}")


if __name__ == "__main__":
    main()
