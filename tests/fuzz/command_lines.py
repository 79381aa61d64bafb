"""Bad command lines: every option and argument of every verb, as Typer knows them, with every value
that a hand, a script or an attacker may give.

Nothing here starts an engine, a server or a build: studies are simulated, and no Docker Engine is
found. What would repeat something a million times does it once.
"""

from __future__ import annotations

import io
import os
import random
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import typer.main

from tests.cli.small_study import small_study
from tests.fuzz.hanging import HangError, ended_if_it_hangs
from tuner.backends import repeats
from tuner.cli import main
from tuner.cli.app import app
from tuner.verify import verification

DOCUMENTED = {0, 2, 3, 4, 5, 6}
"""The exit codes of a command that nobody interrupts."""

STUDY = ("--study", "small", "--backend", "simulated")

BASES: Mapping[str, tuple[str, ...]] = {
    "run": (*STUDY, "--trials", "1"),
    "measure": STUDY,
    "plan": STUDY,
    "check": STUDY,
    "show": STUDY,
    "confirm": (*STUDY, "--top", "1", "--reps", "1"),
    "explain": STUDY,
    "report": (*STUDY, "--output", "report.html"),
    "list": (),
    "dashboard": (*STUDY, "--port", "0"),
    "export": STUDY,
    "verify": ("compose.yaml", *STUDY),
    "worker": ("--dask", "tcp://127.0.0.1:9", "--backend", "simulated"),
    "compare": ("small.study.zip", "small.study.zip"),
    "init": ("new",),
    "image build": (),
    "models list": (),
    "models show": ("mnist",),
    "models add": ("empty", "--name", "mine"),
    "models build": ("nothing",),
    "models check": ("nothing",),
    "models convert": ("nothing", "graph.pb", "--output", "converted"),
}
"""A command line of each verb that does something, or is refused for one reason only."""

VALUES = (
    *("0", "-1", "1", "1.5", "99999999999999999999", "1e999", "1e-999", "nan", "inf", "-inf"),
    *("", " ", "text", "true", "None", "[]", "{}", "=", "cpu=", "=1", "cpu=nan", "art_ms", "all"),
    *("p95_ms <= nan", "min art_ms where", "loss=0,loss=0", "loss=1e999", "1,2,4", "1:2", ":"),
    *("empty", ".", "/", "missing/file", "missing.study.zip", "small.study.zip", "compose.yaml"),
    *("x" * 300, "x" * 5000, "../../etc/passwd", "..", "/proc/self/mem", "a/b/c", "~", "*", "%s"),
    *("'", '"', "a'b\"c", "a\nb", "\n", "\t", "$(id)", "`id`", "; id", "--", "-", "--help", "\\"),
    *("sqlite:///", "sqlite:///empty", "sqlite:///missing/x.db", "mysql://", "http://[", "://"),
    *(
        "\uff53mall",
        "\u0455mall",
        "\u0661",
        "\u22121",
        "1\u00a0",
        "e\u0301",
        "\u202esmall",
        "\ud83d",
    ),
    *("\udcff", "\ufeffsmall", "SMALL", "small ", "mnist", "docker", "replay", "grid", "json"),
)


@dataclass(frozen=True)
class Line:
    """A command line, and which option of which verb is bad in it."""

    verb: str
    option: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return "tune " + " ".join(map(ascii, self.words))


@dataclass(frozen=True)
class Done:
    """What came of one: its exit code, what it said, and what is wrong with that, if anything."""

    code: int
    said: str
    fault: str


def verbs() -> Iterator[tuple[str, Any]]:
    """Every verb with Typer's command of it."""

    def below(name: str, group: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 -- a Click group
        for own, command in group.commands.items():
            whole = f"{name} {own}".strip()
            if hasattr(command, "commands"):
                yield from below(whole, command)
            else:
                yield whole, command

    yield from below("", typer.main.get_command(app))


def lines() -> Iterator[Line]:
    """All of them: each option of each verb with each value, each flag, and each argument."""
    for verb, command in verbs():
        base = BASES[verb]
        for parameter in command.params:
            name = parameter.opts[-1]
            if not name.startswith("-"):
                given = base[1:] if base and not base[0].startswith("-") else base
                yield from (
                    Line(verb, name, (*verb.split(), *given, "--", value)) for value in VALUES
                )
            elif parameter.is_flag:
                yield Line(verb, name, (*verb.split(), *base, name))
            else:
                for value in VALUES:
                    yield Line(verb, name, (*verb.split(), *base, f"{name}={value}"))


def pairs(seed: int) -> Iterator[Line]:
    """Endlessly: two bad options of one verb at once."""
    rng = random.Random(seed)
    every = list(lines())
    by_verb = {verb: [line for line in every if line.verb == verb] for verb in BASES}
    while True:
        first = rng.choice(every)
        second = rng.choice(by_verb[first.verb])
        if "--" in first.words or "--" in second.words:
            continue
        yield Line(first.verb, f"{first.option} {second.option}", (*first.words, second.words[-1]))


@contextmanager
def workplace(directory: Path) -> Iterator[Callable[[], None]]:
    """A working directory with a finished study, its file, and an export of it.

    What it yields takes the trials out again that commands have added: with thousands of them each
    command would take a minute.
    """
    before = Path.cwd()
    os.chdir(directory)
    try:
        path = Path("studies/small/study.yaml")
        path.parent.mkdir(parents=True)
        path.write_text(small_study(trials=2))
        Path("empty").mkdir()
        with bounded():
            run(("run", *STUDY))
            run(("export", *STUDY, "--format", "study", "--output", "small.study.zip"))
            run(("export", *STUDY, "--format", "compose", "--output", "compose.yaml"))
            database = Path("studies/small/results/simulated.db").absolute()
            whole = database.read_bytes()

            def restore() -> None:
                if not database.exists() or database.read_bytes() != whole:
                    database.write_bytes(whole)

            yield restore
    finally:
        os.chdir(before)


@contextmanager
def bounded() -> Iterator[None]:
    """No engine, no server, no name of another host is looked up, and nothing goes on for ever."""

    def once(times: str, function: Any) -> Any:  # noqa: ANN401 -- any function
        def wrapped(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
            cut = [1 if isinstance(a, int) and not isinstance(a, bool) else a for a in arguments]
            return function(*cut, **{k: 1 if k == times else v for k, v in options.items()})

        return wrapped

    def known(host: str | None, *_: object, **__: object) -> Any:  # noqa: ANN401
        raise OSError(f"no name is looked up here: {host!r}")

    environment = {"DOCKER_HOST": "unix:///nothing.sock", "COLUMNS": "100"}
    with (
        patch.dict(os.environ, environment),
        patch("tuner.render.images._written", _nothing_drawn),
        patch("http.server.HTTPServer.serve_forever", lambda *_, **__: None),
        patch("socket.getaddrinfo", known),
        patch.object(repeats, "repeated", once("times", repeats.repeated)),
        patch.object(verification, "verify_file", once("repeat", verification.verify_file)),
    ):
        yield


async def _nothing_drawn(*_: object) -> None:
    """Chromium takes seconds for each figure."""


def run(words: Sequence[str]) -> Done:
    """Run one in this process, and judge what came of it."""
    before = _files()
    out, err = io.StringIO(), io.StringIO()
    code, fault = 0, ""
    argv, sys.argv = sys.argv, ["tune", *words]
    try:
        with redirect_stdout(out), redirect_stderr(err), ended_if_it_hangs():
            main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except HangError:
        fault = "it hangs"
    except BaseException as error:  # noqa: BLE001 -- what no command line may lead to
        fault = "".join(traceback.format_exception(error)[-4:])
    finally:
        sys.argv = argv
    said = out.getvalue() + err.getvalue()
    left = sorted(_files() - before)
    return Done(code, said, fault or _fault(code, said, left))


def _fault(code: int, said: str, left: Sequence[str]) -> str:
    if code not in DOCUMENTED:
        return f"exit code {code}: {said}"
    if code == 2 and left:
        return f"refused, but left {', '.join(left)}: {said}"
    usage = "Usage: " in said and "Error" in said
    if code == 2 and not usage and not re.search("tune: .|cannot run yet", said):
        return f"refused without a word: {said}"
    return ""


def _files() -> set[str]:
    """All but databases, which a refused run may have opened."""
    return {
        str(path)
        for path in Path().rglob("*")
        if not path.name.endswith((".lock", ".db", "-journal"))
    }
