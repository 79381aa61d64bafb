"""The frame of a model's builder: arguments, steps, exit codes, output replaced as a whole."""

# ruff: noqa: T201 -- builders are scripts that print their progress

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tuner.errors import InputError, TuneError
from tuner.serving.built_model import BUILDER_BAD_INPUT


def run_builder(work: Callable[[], None], output: Path) -> int:
    """Do `work` and return the exit code.

    0: done, 1: failed, 2: wrong argument or file, 130: interrupted.
    """
    os.umask(0o022)  # The server, another user, must be able to read what is written here.
    started = time.monotonic()
    try:
        work()
    except TuneError as error:
        print("error:", error.message, error.mend and f"({error.mend})", file=sys.stderr)
        return BUILDER_BAD_INPUT if isinstance(error, InputError) else 1
    except KeyboardInterrupt:
        print(f"interrupted; {output} is unchanged", file=sys.stderr)
        return 130
    print(f"Built {output} in {time.monotonic() - started:.1f} s")
    return 0


@contextmanager
def step(title: str) -> Iterator[None]:
    """Print a step when it begins, and at its end how long it took."""
    print(title, flush=True)
    started = time.monotonic()
    yield
    print(f"  {time.monotonic() - started:.1f} s", flush=True)


@contextmanager
def new_output(output: Path) -> Iterator[Path]:
    """An empty directory that replaces `output` when the block ends without an error.

    Raises InputError where `output` has content that no builder wrote.
    """
    ours = (output / "card.json").is_file()
    if output.exists() and not ours and not (output.is_dir() and not any(output.iterdir())):
        raise InputError(
            f"--output {output} exists and is no built model (it has no card.json)",
            "name a new or empty directory",
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{output.name}-", dir=output.parent) as scratch:
        new, old = Path(scratch) / "new", Path(scratch) / "old"
        new.mkdir()
        yield new
        if output.exists():
            output.rename(old)
        try:
            new.rename(output)
        except OSError:
            if old.exists():
                old.rename(output)
            raise


def whole_number(text: str) -> int:
    if not (text.isdecimal() and int(text) < 2**32):
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 on, found {text!r}")
    return int(text)


def positive_number(text: str) -> int:
    if whole_number(text) == 0:
        raise argparse.ArgumentTypeError("expected a whole number from 1 on, found '0'")
    return int(text)
